//! Tensors without libtorch: handles to the host's, and PyTorch's operators on them through the host's operator table.
//!
//! - Names, argument order and meaning are PyTorch's: `x.logsumexp(1, false)`, `x.masked_fill(&mask, 0.0)`.
//! - Arithmetic works on values and references: `(&one - &two).square().mean()`, `2.0 * x`, `-&x`.
//! - Cloning shares storage, as assigning does in Python; names that end in `_` work in place.
//! - An operator that fails does not return: it unwinds to the boundary, where the host says which operator, the shapes,
//!   and the line of the plugin's source. [`attempt`] stops it earlier, for who wants to go on.
//! - What has no method is called by name: [`Tensor::op`].

mod argument;
mod arithmetic;
mod call;
mod draws;
pub(crate) mod failure;
mod found;
mod host;
mod kind;
mod memory;
mod methods;
mod modes;
#[cfg(feature = "tch")]
mod tch;

pub use argument::{Argument, Dims, Number, Operand, Tensors, Value};
pub(crate) use call::Operator;
pub use call::{Output, Outputs, call};
pub use failure::attempt;
pub use found::{FoundOperator, Slot};
pub(crate) use host::connect;
pub use kind::{Device, Kind, MemoryFormat};
pub use memory::Element;
pub use methods::operators;
pub use modes::{gradients, no_grad, with_gradients, without_autocast};

use host::table;
use infomax_abi::{FfiTensorFacts, TensorPtr};
use std::fmt;

/// A tensor of the host's libtorch. Cloning makes another handle to the same tensor.
///
/// Indices in the names of variables say the dimensions: `z_bd` is images × channels.
#[repr(transparent)]
pub struct Tensor {
    handle: TensorPtr,
}

// SAFETY: libtorch counts references atomically, and a handle may be used by any one thread at a time.
unsafe impl Send for Tensor {}

impl Tensor {
    /// Takes a handle over.
    ///
    /// # Safety
    /// The handle is a live `at::Tensor*` of the host's libtorch, and nobody else frees it.
    pub unsafe fn from_handle(handle: TensorPtr) -> Self {
        Self { handle }
    }

    /// The handle, lent.
    pub fn handle(&self) -> TensorPtr {
        self.handle
    }

    /// Gives the handle up: whoever takes it frees it.
    pub fn into_handle(self) -> TensorPtr {
        let handle = self.handle;
        std::mem::forget(self);
        handle
    }

    fn facts(&self) -> FfiTensorFacts {
        table().facts()(self.handle)
    }

    /// Sizes of the dimensions.
    pub fn size(&self) -> Vec<i64> {
        let mut sizes = [0; 8];
        let rank = table().sizes()(self.handle, sizes.as_mut_ptr(), sizes.len());
        if rank <= sizes.len() {
            return sizes[..rank].to_vec();
        }
        let mut sizes = vec![0; rank];
        table().sizes()(self.handle, sizes.as_mut_ptr(), rank);
        sizes
    }

    /// The size of one dimension, counted from the end where it is negative.
    #[track_caller]
    pub fn size_of(&self, dim: i64) -> i64 {
        let sizes = self.size();
        let at = if dim < 0 { dim + sizes.len() as i64 } else { dim };
        match usize::try_from(at).ok().and_then(|at| sizes.get(at)) {
            Some(&size) => size,
            None => failure::fail("size_of", &format!("there is no dimension {dim} of {sizes:?}")),
        }
    }

    /// The sizes of a tensor of so many dimensions: `let [b, d] = z_bd.dims();`.
    #[track_caller]
    pub fn dims<const N: usize>(&self) -> [i64; N] {
        let sizes = self.size();
        match <[i64; N]>::try_from(&sizes[..]) {
            Ok(sizes) => sizes,
            Err(_) => failure::fail("dims", &format!("{N} dimensions were expected, the tensor has {sizes:?}")),
        }
    }

    /// How many dimensions.
    pub fn rank(&self) -> usize {
        self.facts().rank as usize
    }

    /// How many numbers.
    pub fn numel(&self) -> i64 {
        self.size().iter().product()
    }

    /// The kind of its numbers.
    pub fn kind(&self) -> Kind {
        Kind::from_code(self.facts().kind)
    }

    /// Where it lies.
    pub fn device(&self) -> Device {
        Device::from_code(self.facts().device)
    }

    /// Whether gradients are tracked.
    pub fn requires_grad(&self) -> bool {
        self.facts().requires_grad != 0
    }

    /// Whether it holds anything at all.
    pub fn defined(&self) -> bool {
        self.facts().defined != 0
    }
}

impl Clone for Tensor {
    fn clone(&self) -> Self {
        Self { handle: table().clone_handle()(self.handle) }
    }
}

impl Drop for Tensor {
    fn drop(&mut self) {
        table().drop_handle()(self.handle);
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.defined() {
            return f.write_str("Tensor (undefined)");
        }
        write!(f, "Tensor {:?} {:?} {:?}", self.size(), self.kind(), self.device())
    }
}

/// A trained leaf with the numbers of a tensor, made by the host.
#[track_caller]
pub(crate) fn fresh_parameter(initial: Tensor) -> Tensor {
    let handle = table().parameter()(initial.handle);
    if handle.is_null() {
        failure::fail_on("Parameter::new", &format!("{:?}", initial.size()), &table().last_error()());
    }
    // SAFETY: the host made the handle for this caller.
    unsafe { Tensor::from_handle(handle) }
}
