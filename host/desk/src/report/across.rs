//! What curves are drawn over.

use super::axis::Axis;
use crate::record::{Row, duration};

/// What curves are drawn over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Across {
    /// Optimizer updates.
    #[default]
    Steps,
    /// The time that was spent on training, in seconds.
    Time,
}

impl Across {
    /// Where a row lies.
    pub fn place(self, row: &Row) -> f64 {
        match self {
            Self::Steps => row.step as f64,
            // A row that does not tell its time lies at the beginning.
            Self::Time => Some(row.seconds).filter(|seconds| seconds.is_finite()).unwrap_or(0.0),
        }
    }

    /// The axis up to a last place, and its name.
    pub fn axis(self, last: u64, letters: usize) -> (Axis, &'static str) {
        match self {
            Self::Steps => (Axis::of_steps(last, letters), "step"),
            Self::Time => Axis::of_time(last, letters),
        }
    }

    /// A place in words: `at step 200`, `after 12 min`.
    pub fn told(self, place: f64) -> String {
        match self {
            Self::Steps => format!("at step {place}"),
            Self::Time => format!("after {}", duration(place)),
        }
    }

    /// `by step`, `by time`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Steps => "by step",
            Self::Time => "by time",
        }
    }
}
