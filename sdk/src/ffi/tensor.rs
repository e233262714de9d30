//! Tensors across the boundary: handles to the host's, lent, handed over and taken.

use crate::{Error, NamedTensor, Result, Role, Tensor};
use infomax_abi::{FfiNamedTensor, FfiTensor, TensorPtr};

/// Takes an own handle to a lent tensor; none for null.
///
/// # Safety
/// `pointer` is null or a live `at::Tensor*` of the host.
pub unsafe fn borrow(pointer: TensorPtr) -> Option<Tensor> {
    // SAFETY: the caller's promise; the lent handle itself is not freed.
    let lent = (!pointer.is_null()).then(|| std::mem::ManuallyDrop::new(unsafe { Tensor::from_handle(pointer) }))?;
    Some(Tensor::clone(&lent))
}

/// Hands a tensor over.
pub fn give(tensor: Tensor) -> FfiTensor {
    FfiTensor { tensor: tensor.into_handle(), drop: free }
}

/// Hands no tensor over.
pub fn give_none() -> FfiTensor {
    FfiTensor { tensor: std::ptr::null_mut(), drop: free }
}

extern "C" fn free(pointer: TensorPtr) {
    if !pointer.is_null() {
        // SAFETY: the pointer came from `give`, which gave its owner up.
        drop(unsafe { Tensor::from_handle(pointer) });
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
