//! What each loader thread is at, for the message when one panics or hangs: a note per sample, about 50 ns.

use super::Source;
use std::{
    cell::RefCell,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

/// How long a dataset may take to say where a sample lies, when it may be the dataset that hangs.
const LOCATE_DEADLINE: Duration = Duration::from_secs(1);

/// What one thread is at; the thread writes, whoever waits for it reads.
#[derive(Clone, Default)]
pub(super) struct Reading(Arc<Mutex<At>>);

#[derive(Clone, Default)]
struct At {
    number: u64,
    sample: Option<(Source, usize, u64)>,
}

thread_local! {
    static HERE: RefCell<Option<Reading>> = const { RefCell::new(None) };
}

/// Notes the sample that this thread turns to; nothing outside a loader.
pub(super) fn note(source: &Source, split: usize, index: u64) {
    HERE.with_borrow(|here| {
        if let Some(reading) = here {
            reading.set(|at| at.sample = Some((source.clone(), split, index)));
        }
    });
}

impl Reading {
    /// Notes what this thread makes while `work` runs.
    pub fn during<T>(&self, number: u64, work: impl FnOnce() -> T) -> T {
        self.set(|at| *at = At { number, sample: None });
        let outer = HERE.replace(Some(self.clone()));
        let result = work();
        HERE.set(outer);
        result
    }

    /// Forgets the sample, and with it the dataset.
    pub fn clear(&self) {
        self.set(|at| at.sample = None);
    }

    fn set(&self, change: impl FnOnce(&mut At)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// `batch 7, ROOT/a/1.jpg`, if the thread is at that batch.
    pub fn place(&self, number: u64) -> Option<String> {
        let at = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if at.number != number {
            return None;
        }
        let (source, split, index) = at.sample?;
        let (answer, answered) = mpsc::channel();
        thread::spawn(move || answer.send(source.place(split, index)));
        let known = answered.recv_timeout(LOCATE_DEADLINE);
        let known = known.unwrap_or_else(|_| format!("split {split}, image {index}"));
        Some(format!("batch {number}, {known}"))
    }
}
