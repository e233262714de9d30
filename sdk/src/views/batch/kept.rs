//! Tensors that are made once and stay on their device: tables, matrices, constants.

use crate::{Device, Tensor};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Tensors by name and device.
#[derive(Default)]
pub struct Kept(Mutex<HashMap<(String, Device), Tensor>>);

impl Kept {
    /// The tensor of a name, made and put on the device where it is not there yet.
    pub fn get(&self, name: impl Into<String>, device: Device, make: impl FnOnce() -> Tensor) -> Tensor {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entry((name.into(), device)).or_insert_with(|| make().to_device(device)).clone()
    }
}
