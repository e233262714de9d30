//! Tensors across the boundary. `AtenTensorHandle` and tch's `C_tensor*` are both `at::Tensor*` today; only this file
//! relies on it, and the host tests it at start-up.

use crate::{Error, Result, state::NamedTensor, state::Role};
use infomax_abi::{FfiNamedTensor, FfiTensor, TensorPtr};
use tch::Tensor;

/// Lends a tensor for the length of a call.
pub fn lend(tensor: &Tensor) -> TensorPtr {
    tensor.as_ptr().cast_mut().cast()
}

/// Takes an own reference to a lent tensor; none for null.
///
/// # Safety
/// `pointer` is null or a live `at::Tensor*` of the libtorch that this process shares.
pub unsafe fn borrow(pointer: TensorPtr) -> Option<Tensor> {
    // SAFETY: the caller's promise.
    (!pointer.is_null()).then(|| unsafe { Tensor::clone_from_ptr(pointer.cast()) })
}

/// Hands a tensor over.
pub fn give(tensor: Tensor) -> FfiTensor {
    let pointer = lend(&tensor);
    std::mem::forget(tensor);
    FfiTensor { tensor: pointer, drop: free }
}

/// Hands no tensor over.
pub fn give_none() -> FfiTensor {
    FfiTensor { tensor: std::ptr::null_mut(), drop: free }
}

/// Takes a tensor that was handed over; none for null.
///
/// # Safety
/// The tensor came from [`give`] or [`give_none`] on the other side.
pub unsafe fn take(given: FfiTensor) -> Option<Tensor> {
    // SAFETY: the caller's promise; the handle is freed where it was made, after an own reference is taken.
    let tensor = unsafe { borrow(given.tensor) };
    if tensor.is_some() {
        (given.drop)(given.tensor);
    }
    tensor
}

extern "C" fn free(pointer: TensorPtr) {
    if !pointer.is_null() {
        // SAFETY: the pointer came from `give`, which forgot its owner.
        drop(unsafe { Tensor::from_ptr(pointer.cast()) });
    }
}

/// Hands named tensors over.
///
/// # Errors
/// Never in practice: tags are plain data.
pub fn give_named(tensors: Vec<NamedTensor>) -> Result<Vec<FfiNamedTensor>> {
    let give_one = |named: NamedTensor| {
        let tags = serde_json::to_string(&named.tags).map_err(|e| Error::new("can't write tags").caused_by(&e))?;
        let role = u32::from(named.role == Role::Parameter);
        Ok(FfiNamedTensor { name: named.name.into(), tensor: give(named.tensor), role, tags: tags.into() })
    };
    tensors.into_iter().map(give_one).collect()
}

/// Takes named tensors.
///
/// # Safety
/// They came from [`give_named`] on the other side.
///
/// # Errors
/// Undefined tensors and tags that are not JSON.
pub unsafe fn take_named(given: Vec<FfiNamedTensor>) -> Result<Vec<NamedTensor>> {
    let take_one = |named: FfiNamedTensor| {
        let name = named.name.into_string();
        // SAFETY: the caller's promise.
        let tensor = unsafe { take(named.tensor) };
        let undefined =
            || Error::new(format!("`{name}` is undefined")).hint("list tensors that exist, always the same");
        let tensor = tensor.filter(Tensor::defined).ok_or_else(undefined)?;
        let tags = serde_json::from_str(&named.tags)
            .map_err(|e| Error::new(format!("can't read the tags of `{name}`")).caused_by(&e))?;
        let role = if named.role == 1 { Role::Parameter } else { Role::Buffer };
        Ok(NamedTensor { name, tensor, role, tags })
    };
    given.into_iter().map(take_one).collect()
}
