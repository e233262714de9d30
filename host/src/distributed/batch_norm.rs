//! Which samples share BatchNorm statistics in an encoder's training pass: those of a process's pass, those of a part of
//! it, or those of all processes. Works on whatever encoder calls libtorch's `batch_norm`, which the shim replaces.

use super::{group::Group, native::set_batch_norm_policy};
use crate::config::{self, BatchNormMode};

/// Which samples share statistics.
#[derive(Clone)]
pub struct BatchNormPolicy {
    chunk_size: Option<u64>,
    shared: Option<Group>,
}

impl BatchNormPolicy {
    /// The policy of a config.
    pub fn new(table: &config::BatchNorm, group: &Group) -> Self {
        let shared = (table.mode == BatchNormMode::Sync && group.raw().is_some()).then(|| group.clone());
        Self { chunk_size: table.chunk_size, shared }
    }

    /// Runs an encoder's training pass over `rows` images a view under the policy.
    pub fn during<T>(&self, rows: usize, pass: impl FnOnce() -> T) -> T {
        let parts = self.chunk_size.map_or(1, |size| (rows as u64).div_ceil(size).max(1));
        let group = self.shared.as_ref().and_then(Group::raw);
        let _reset = Reset;
        // SAFETY: `self` keeps the group until the guard below has reset the policy. Graphs made meanwhile live within a
        // step, and the stepper that owns `self` outlives its steps.
        unsafe { set_batch_norm_policy(parts as i64, group.map(|group| &**group)) };
        pass()
    }
}

/// Leaves libtorch's own rule behind, also after a panic.
struct Reset;

impl Drop for Reset {
    fn drop(&mut self) {
        // SAFETY: no group is given.
        unsafe { set_batch_norm_policy(1, None) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn a_normalisation_of_each_image_alone_knows_no_policy() {
        let x = Tensor::randn([4, 3, 5, 5], (Kind::Float, Device::Cpu));
        let normalised = || x.f_instance_norm::<Tensor>(None, None, None, None, true, 0.1, 1e-5, false);
        let expected = normalised().expect("libtorch normalises");
        let table = config::BatchNorm { chunk_size: Some(2), ..Default::default() };
        let given = BatchNormPolicy::new(&table, &Group::alone()).during(4, normalised);
        assert_eq!(given.expect("an image is no part of a batch"), expected);
    }
}
