//! How often something is due: every so many epochs or updates.

/// Updates that lie at least between two tests, or two checkpoints, where the config does not say how many: on a folder of a few
/// hundred images an epoch is over in seconds.
const LEAST_STEPS: u64 = 100;

/// When a test, or a checkpoint, is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    every: u64,
    /// Epochs between two, where an epoch alone would be too short and the config does not say.
    pub stretched: Option<u64>,
}

impl Cadence {
    /// What a config says, for epochs of a length in updates; each epoch where it says nothing, unless epochs are very short.
    pub fn new(epochs: Option<u64>, steps: Option<u64>, steps_per_epoch: u64) -> Self {
        let steps_per_epoch = steps_per_epoch.max(1);
        match (steps, epochs) {
            (Some(steps), _) => Self { every: steps.max(1), stretched: None },
            (None, Some(epochs)) => Self { every: epochs * steps_per_epoch, stretched: None },
            (None, None) => {
                let epochs = LEAST_STEPS.div_ceil(steps_per_epoch);
                Self { every: epochs * steps_per_epoch, stretched: (epochs > 1).then_some(epochs) }
            }
        }
    }

    /// Whether it is due after this many updates.
    pub fn is_due(self, step: u64) -> bool {
        step > 0 && step.is_multiple_of(self.every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_epochs_are_put_together_unless_the_config_says_how_many() {
        let quiet = Cadence::new(None, None, 6);
        assert_eq!(quiet.stretched, Some(17));
        assert!(quiet.is_due(102) && !quiet.is_due(6) && !quiet.is_due(0));
        let usual = Cadence::new(None, None, 250);
        assert_eq!(usual, Cadence { every: 250, stretched: None });
        assert!(Cadence::new(Some(1), None, 6).is_due(6) && Cadence::new(None, Some(4), 6).is_due(8));
        assert!(Cadence::new(None, None, 0).is_due(100));
    }
}
