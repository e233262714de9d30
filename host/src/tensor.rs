//! The SDK's plain data with the host's own tensors, and how those cross the boundary. `AtenTensorHandle` and tch's
//! `C_tensor*` are both `at::Tensor*` today; only this file relies on it, and the host tests it at start-up.

use infomax_abi::{FfiFacts, FfiFeature, FfiNamedTensor, FfiTensor, TensorPtr};
use infomax_sdk::{Error, FeatureMap, Result, Role};
use tch::{Device, Kind, Tensor};

/// A parameter or buffer of a component.
pub type NamedTensor = infomax_sdk::NamedTensor<Tensor>;
/// What a loss is told about a step.
pub type Facts = infomax_sdk::Facts<Tensor>;
/// One feature map.
pub type Feature = infomax_sdk::Feature<Tensor>;
/// The features that a loss asked for.
pub type Features = infomax_sdk::Features<Tensor>;
/// What a loss gives.
pub type Terms = infomax_sdk::Terms<Tensor>;
/// What a loss with its own backward pass gives.
pub type Gradients = infomax_sdk::Gradients<Tensor>;

/// A trained tensor with the usual tags.
pub fn parameter(name: impl Into<String>, tensor: &Tensor) -> NamedTensor {
    NamedTensor::of(Role::Parameter, name, tensor.shallow_clone())
}

/// A tensor that is saved but not trained.
pub fn buffer(name: impl Into<String>, tensor: &Tensor) -> NamedTensor {
    NamedTensor::of(Role::Buffer, name, tensor.shallow_clone())
}

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

/// Takes a tensor that was handed over; none for null.
///
/// # Safety
/// The plugin handed the tensor over, by the SDK's `give` or `give_none`.
pub unsafe fn take(given: FfiTensor) -> Option<Tensor> {
    // SAFETY: the caller's promise; the handle is freed where it was made, after an own reference is taken.
    let tensor = unsafe { borrow(given.tensor) };
    if tensor.is_some() {
        (given.drop)(given.tensor);
    }
    tensor
}

/// Takes named tensors.
///
/// # Safety
/// The plugin handed them over.
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

/// Lends features; maps cross by their position in the encoder's description.
pub fn lend_features(features: &Features, maps: &[FeatureMap]) -> Vec<FfiFeature> {
    let position = |name: &str| maps.iter().position(|map| map.name == name).unwrap_or(usize::MAX) as u32;
    let lend_one = |f: &Feature| FfiFeature {
        view: f.view as u32,
        encoder: f.source as u32,
        map: position(&f.map),
        tensor: lend(&f.tensor),
    };
    features.items().iter().map(lend_one).collect()
}

/// Lends facts for the length of a call.
pub fn lend_facts<R>(facts: &Facts, call: impl FnOnce(&FfiFacts<'_>) -> R) -> R {
    let optional = |tensor: &Option<Tensor>| tensor.as_ref().map_or(std::ptr::null_mut(), lend);
    let [key_a, key_b] = facts.key.0;
    let dtype = match facts.dtype {
        infomax_sdk::Kind::F16 => 5,
        infomax_sdk::Kind::Bf16 => 15,
        _ => 6,
    };
    call(&FfiFacts {
        step: facts.step,
        total_steps: facts.total_steps,
        epoch: facts.epoch,
        key_a,
        key_b,
        world_size: facts.world_size,
        dtype,
        labels: optional(&facts.labels),
        indices: optional(&facts.indices),
        more: "".into(),
    })
}

/// The SDK's name of an autocast kind.
pub fn kind_of(kind: Kind) -> infomax_sdk::Kind {
    match kind {
        Kind::Half => infomax_sdk::Kind::F16,
        Kind::BFloat16 => infomax_sdk::Kind::Bf16,
        _ => infomax_sdk::Kind::F32,
    }
}

/// The device that a request names.
///
/// # Errors
/// A name other than `cpu`, `cuda` or `cuda:N`.
pub fn device(name: &str) -> Result<Device> {
    infomax_sdk::ffi::module::device(name).map(|device| match device {
        infomax_sdk::Device::Cuda(index) => Device::Cuda(index),
        _ => Device::Cpu,
    })
}
