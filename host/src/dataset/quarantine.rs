//! Images that can't be used: counted once each, replaced by a rule that doesn't depend on who loads them.

use infomax_sdk::Key;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// The images that were found bad, with the reason.
#[derive(Debug, Default)]
pub struct Quarantine {
    bad: Mutex<BTreeMap<(usize, u64), String>>,
    retries: std::sync::atomic::AtomicU64,
}

impl Quarantine {
    /// Notes a bad image; gives how many there are in its split, and whether this one is new.
    pub fn note(&self, split: usize, index: u64, reason: String) -> (usize, bool) {
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = bad.insert((split, index), reason).is_none();
        (bad.range((split, 0)..=(split, u64::MAX)).count(), is_new)
    }

    /// How many images were found bad.
    pub fn count(&self) -> usize {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Notes a read that had to be repeated.
    pub fn note_retry(&self) {
        self.retries.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// How many reads had to be repeated.
    pub fn retries(&self) -> u64 {
        self.retries.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The position that takes the place of a bad one, at the n-th try.
    pub fn replacement(position: u64, attempt: u64, length: u64) -> u64 {
        Key::new(position).purpose("replacement").fold(attempt).rng().below(length)
    }
}
