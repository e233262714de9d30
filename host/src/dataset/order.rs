//! The order of samples: a keyed permutation an epoch, cut into batches; what is left over at the end is left out.
//! A function of (seed, step) alone, so that neither workers nor interruptions change it.

use infomax_sdk::Key;
use std::sync::Mutex;

/// Which samples each step sees.
pub struct Order {
    key: Key,
    length: u64,
    batch_size: u64,
    /// The permutation of the epoch asked for last.
    cached: Mutex<Option<(u64, std::sync::Arc<[u64]>)>>,
}

impl Order {
    /// An order over `length` samples; `length` is at least `batch_size`.
    pub fn new(key: Key, length: u64, batch_size: u64) -> Self {
        Self { key, length, batch_size, cached: Mutex::new(None) }
    }

    /// Batches per epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.length / self.batch_size
    }

    /// The epoch, from 0, of the step after `step` updates.
    pub fn epoch(&self, step: u64) -> u64 {
        step / self.steps_per_epoch()
    }

    /// The positions of a step's samples.
    pub fn batch(&self, step: u64) -> Vec<u64> {
        let permutation = self.permutation(self.epoch(step));
        let start = (step % self.steps_per_epoch()) * self.batch_size;
        permutation[start as usize..(start + self.batch_size) as usize].to_vec()
    }

    fn permutation(&self, epoch: u64) -> std::sync::Arc<[u64]> {
        let mut cached = self.cached.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, permutation)) = cached.as_ref().filter(|(of, _)| *of == epoch) {
            return permutation.clone();
        }
        let mut positions: Vec<u64> = (0..self.length).collect();
        self.key.fold(epoch).rng().shuffle(&mut positions);
        let permutation: std::sync::Arc<[u64]> = positions.into();
        *cached = Some((epoch, permutation.clone()));
        permutation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_sees_each_sample_at_most_once_and_epochs_differ() {
        let order = Order::new(Key::new(1), 103, 10);
        assert_eq!(order.steps_per_epoch(), 10);
        let epoch = |e: u64| (0..10).flat_map(|s| order.batch(e * 10 + s)).collect::<Vec<_>>();
        let (first, second) = (epoch(0), epoch(1));
        let distinct: std::collections::BTreeSet<_> = first.iter().collect();
        assert_eq!((first.len(), distinct.len()), (100, 100));
        assert_ne!(first, second);
        assert_eq!(first, epoch(0));
    }
}
