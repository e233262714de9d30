//! How long a run goes on.

use crate::config::Budget;

/// A budget in updates, or in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Updates planned; none where the budget is in seconds.
    pub steps: Option<u64>,
    /// Seconds planned.
    pub seconds: Option<f64>,
}

impl Plan {
    /// The plan of a budget for batches of a size and epochs of a length in updates.
    pub fn new(budget: Budget, batch_size: u64, steps_per_epoch: u64) -> Self {
        let steps = match budget {
            Budget::Epochs(epochs) => Some(epochs * steps_per_epoch),
            Budget::Steps(steps) => Some(steps),
            Budget::Images(images) => Some(images.div_ceil(batch_size)),
            Budget::Seconds(_) => None,
        };
        let seconds = if let Budget::Seconds(seconds) = budget { Some(seconds as f64) } else { None };
        Self { steps, seconds }
    }

    /// Whether a run is over after this many updates and seconds.
    pub fn is_over(&self, step: u64, seconds: f64) -> bool {
        self.steps.is_some_and(|steps| step >= steps) || self.seconds.is_some_and(|planned| seconds >= planned)
    }

    /// Estimated seconds to the end.
    pub fn seconds_left(&self, step: u64, seconds: f64, seconds_per_step: f64) -> f64 {
        match (self.steps, self.seconds) {
            (Some(steps), _) => steps.saturating_sub(step) as f64 * seconds_per_step,
            (None, Some(planned)) => (planned - seconds).max(0.0),
            (None, None) => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_become_updates_or_seconds() {
        assert_eq!(Plan::new(Budget::Epochs(3), 10, 7).steps, Some(21));
        assert_eq!(Plan::new(Budget::Images(101), 10, 7).steps, Some(11));
        let seconds = Plan::new(Budget::Seconds(5), 10, 7);
        assert!(!seconds.is_over(1_000_000, 4.9) && seconds.is_over(0, 5.0));
    }
}
