//! Errors as they cross the boundary.

use abi_stable::{
    StableAbi,
    std_types::{RResult, RString, RVec},
};

/// An error of a component.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct FfiError {
    /// 0 component, 1 config, 2 data, 3 panic; an unknown number counts as 0.
    pub kind: u32,
    /// What failed.
    pub message: RString,
    /// The causes, nearest first.
    pub causes: RVec<RString>,
    /// What to do; empty for none.
    pub hint: RString,
    /// Source file, line and column of a panic; empty for none.
    pub place: RString,
    /// A JSON object, for what is added later; empty for none.
    pub detail: RString,
}

/// The result of every call that can fail.
pub type FfiResult<T> = RResult<T, FfiError>;
