//! The operator table: libtorch's operators as functions that the host hands to a plugin, so that a plugin computes with
//! tensors without being built against libtorch. Found by the id [`ID`] among the host's extensions.
//!
//! Kinds, devices and layouts are numbers of this interface, not libtorch's, which may change theirs. Inputs are borrowed
//! for the call; outputs are owned by the caller, handles to be freed with `drop_handle`, lists with `free_list`.

use crate::{Extension, TensorPtr};
use abi_stable::{
    StableAbi,
    std_types::{RStr, RString},
};

/// The extension's id; a table whose meaning changed would have another.
pub const ID: &str = "infomax.operators.1";

/// An operator that was looked up; valid for the life of the process.
pub type Operator = *const ();

/// One argument or result: what `tag` says, in `bits`, or behind the pointer in `bits` for `count` elements.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct FfiValue {
    /// One of the constants `VALUE_…`.
    pub tag: u32,
    /// How many elements a list or a string has.
    pub count: u32,
    /// The number, or a pointer.
    pub bits: u64,
}

/// The operator's own default. Arguments left out at the end are defaults too.
pub const VALUE_DEFAULT: u32 = 0;
/// `None`.
pub const VALUE_NONE: u32 = 1;
/// A [`TensorPtr`].
pub const VALUE_TENSOR: u32 = 2;
/// An i64.
pub const VALUE_INT: u32 = 3;
/// An f64, by its bits.
pub const VALUE_DOUBLE: u32 = 4;
/// 0 or 1.
pub const VALUE_BOOL: u32 = 5;
/// UTF-8.
pub const VALUE_STRING: u32 = 6;
/// A list of i64.
pub const VALUE_INTS: u32 = 7;
/// A list of f64.
pub const VALUE_DOUBLES: u32 = 8;
/// A list of bytes, 0 or 1.
pub const VALUE_BOOLS: u32 = 9;
/// A list of [`TensorPtr`]; null for none where the operator takes that.
pub const VALUE_TENSORS: u32 = 10;
/// One of the constants `KIND_…`.
pub const VALUE_KIND: u32 = 11;
/// [`device`] of a type and an index.
pub const VALUE_DEVICE: u32 = 12;
/// 0 contiguous, 1 preserve, 2 channels-last, 3 channels-last in three dimensions.
pub const VALUE_MEMORY_FORMAT: u32 = 13;
/// A [`Generator`].
pub const VALUE_GENERATOR: u32 = 14;

/// A generator of random numbers on a device, made by [`OperatorTable::generator`].
pub type Generator = *mut ();

/// Truth values.
pub const KIND_BOOL: u32 = 0;
/// 8 bits, unsigned.
pub const KIND_U8: u32 = 1;
/// 8 bits.
pub const KIND_I8: u32 = 2;
/// 16 bits.
pub const KIND_I16: u32 = 3;
/// 32 bits.
pub const KIND_I32: u32 = 4;
/// 64 bits.
pub const KIND_I64: u32 = 5;
/// IEEE half precision.
pub const KIND_F16: u32 = 6;
/// f32 with 8 bits of significand.
pub const KIND_BF16: u32 = 7;
/// Single precision.
pub const KIND_F32: u32 = 8;
/// Double precision.
pub const KIND_F64: u32 = 9;
/// Any other of libtorch's.
pub const KIND_OTHER: u32 = u32::MAX;

/// The processor.
pub const DEVICE_CPU: u32 = 0;
/// NVIDIA's.
pub const DEVICE_CUDA: u32 = 1;
/// Any other of libtorch's.
pub const DEVICE_OTHER: u32 = u32::MAX;

/// A device as one number: its type in the upper half, its index in the lower.
pub const fn device(device_type: u32, index: u32) -> u64 {
    (device_type as u64) << 32 | index as u64
}

/// What a tensor is; its sizes are asked for apart.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct FfiTensorFacts {
    /// 0 for a tensor that holds nothing at all, whose other fields mean nothing.
    pub defined: u32,
    /// One of the constants `KIND_…`.
    pub kind: u32,
    /// As [`device`] makes it.
    pub device: u64,
    /// How many dimensions.
    pub rank: u64,
    /// Whether gradients are tracked.
    pub requires_grad: u32,
    /// Whether it was made by no operation.
    pub leaf: u32,
}

/// Libtorch's operators and the life of tensors. Functions that can fail give 0 for success; what went wrong is asked of
/// `last_error`, on the same thread, before the next call.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = OperatorTableRef)))]
#[sabi(missing_field(option))]
pub struct OperatorTable {
    /// Looks an operator up: name (`aten::sum`), overload (`dim_IntList`, empty for none), and how many results it has. Null
    /// where there is none: `last_error` then names the nearest.
    pub resolve: extern "C" fn(RStr<'_>, RStr<'_>, &mut u32) -> Operator,
    /// Calls an operator: arguments in the order of its schema, room for its results.
    pub call: extern "C" fn(Operator, *const FfiValue, usize, *mut FfiValue, usize) -> u32,
    /// What went wrong last on this thread; one line.
    pub last_error: extern "C" fn() -> RString,
    /// Frees the list that a result held, not the tensors in it.
    pub free_list: extern "C" fn(FfiValue),
    /// Another handle to the same tensor.
    pub clone_handle: extern "C" fn(TensorPtr) -> TensorPtr,
    /// Frees a handle.
    pub drop_handle: extern "C" fn(TensorPtr),
    /// What a tensor is.
    pub facts: extern "C" fn(TensorPtr) -> FfiTensorFacts,
    /// Writes the sizes of the dimensions, at most so many; gives their number.
    pub sizes: extern "C" fn(TensorPtr, *mut i64, usize) -> usize,
    /// A tensor on a device from numbers in memory: kind, sizes, their number, bytes, their number, device. Null: see
    /// `last_error`.
    pub from_bytes: extern "C" fn(u32, *const i64, usize, *const u8, usize, u64) -> TensorPtr,
    /// The numbers of a tensor as another kind, in order: kind, bytes, their number.
    pub to_bytes: extern "C" fn(TensorPtr, u32, *mut u8, usize) -> u32,
    /// A trained leaf with the numbers of a tensor, sharing its storage where nothing else tracks it. Null: see
    /// `last_error`.
    pub parameter: extern "C" fn(TensorPtr) -> TensorPtr,
    /// Whether gradients are tracked on this thread; 0 or 1 sets it, another number only asks. Gives what was before.
    pub grad_mode: extern "C" fn(u32) -> u32,
    /// Whether autocast is on for a device type on this thread; 0 or 1 sets it, another number only asks. Gives what was
    /// before.
    pub autocast: extern "C" fn(u32, u32) -> u32,
    /// Gradients of the sum of some tensors, each times its weight (none: ones), with respect to others: tensors, weights,
    /// their number, others, their number, whether the graph is kept, whether the gradients can be differentiated again,
    /// room for the gradients (null where nothing depends on it).
    #[sabi(last_prefix_field)]
    pub gradients: extern "C" fn(
        *const TensorPtr,
        *const TensorPtr,
        usize,
        *const TensorPtr,
        usize,
        u32,
        u32,
        *mut TensorPtr,
    ) -> u32,
    /// A generator of its own with a seed, on a device. Null: see `last_error`.
    pub generator: extern "C" fn(u64, u64) -> Generator,
    /// Frees a generator.
    pub drop_generator: extern "C" fn(Generator),
    /// A generator by the key that some numbers lead to, one after the other, from a key of the host's: its two halves, the
    /// numbers, how many they are, the device. As `generator` with that key's seed; but the host can make it again for another
    /// step. Null: see `last_error`.
    pub derived_generator: extern "C" fn(*const u64, *const u64, usize, u64) -> Generator,
    /// What an operator takes, then what it gives, a line each: `>` or `<`, its name, its type, and the tensors that it shares
    /// memory with: nothing, a letter for each set of such (`a`), with `!` where it is written to. Parted by tabs.
    pub signature: extern "C" fn(Operator) -> RString,
}

/// The table as an extension pointer.
pub fn as_extension(table: OperatorTableRef) -> Extension {
    let pointer: *const OperatorTableRef = &raw const table;
    // SAFETY: a prefix reference is one pointer, `repr(transparent)`; it is copied out.
    unsafe { pointer.cast::<Extension>().read() }
}

/// The table behind an extension pointer; none for null.
///
/// # Safety
/// The pointer is what the host's `extension` gave for [`ID`].
pub unsafe fn from_extension(extension: Extension) -> Option<OperatorTableRef> {
    // SAFETY: as in `as_extension`; the pointer is not null.
    (!extension.is_null()).then(|| unsafe { (&raw const extension).cast::<OperatorTableRef>().read() })
}
