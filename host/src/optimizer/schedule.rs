//! The learning rate of each update: linear warm-up, then milestones or half a cosine.
//!
//! # Source
//! The published AMDIM code: lr · min(1, (update + 1) / warm-up), × 0.2 at each milestone epoch. Loshchilov and Hutter
//! 2017, equation 5, without restarts, from the end of the warm-up on.

use crate::config::{Optimizer, ScheduleName};
use std::f64::consts::PI;

/// The learning rate as a function of updates and epochs.
#[derive(Clone, Debug)]
pub struct Schedule {
    lr: f64,
    warmup_steps: u64,
    fall: Fall,
}

#[derive(Clone, Debug)]
enum Fall {
    Milestones { epochs: Vec<u64>, factor: f64 },
    Cosine { total_steps: u64, final_fraction: f64 },
}

impl Schedule {
    /// The schedule of a config for epochs of a length and a whole length in updates (0: not known).
    pub fn new(optimizer: &Optimizer, steps_per_epoch: u64, total_steps: u64) -> Self {
        let steps = optimizer.warmup_steps.unwrap_or(Optimizer::DEFAULT_WARMUP_STEPS);
        let fall = match optimizer.schedule {
            ScheduleName::Milestones => {
                Fall::Milestones { epochs: optimizer.milestones.clone(), factor: optimizer.milestone_factor }
            }
            ScheduleName::Cosine => Fall::Cosine { total_steps, final_fraction: optimizer.final_lr_fraction },
        };
        Self {
            lr: optimizer.lr,
            warmup_steps: optimizer.warmup_epochs.map_or(steps, |epochs| epochs * steps_per_epoch),
            fall,
        }
    }

    /// Updates of warm-up.
    pub fn warmup_steps(&self) -> u64 {
        self.warmup_steps
    }

    /// Whether the warm-up is over after `step` updates.
    pub fn is_warm(&self, step: u64) -> bool {
        step >= self.warmup_steps
    }

    /// The learning rate of the update after `step` updates, in the epoch after `epoch` epochs.
    pub fn lr(&self, step: u64, epoch: u64) -> f64 {
        let warmup = if self.warmup_steps == 0 { 1.0 } else { ((step + 1) as f64 / self.warmup_steps as f64).min(1.0) };
        self.lr
            * warmup
            * match &self.fall {
                Fall::Milestones { epochs, factor } => {
                    factor.powi(epochs.iter().filter(|&&milestone| epoch >= milestone).count() as i32)
                }
                Fall::Cosine { total_steps, final_fraction } => {
                    let length = total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
                    let done = (step.saturating_sub(self.warmup_steps) as f64 / length).min(1.0);
                    final_fraction + (1.0 - final_fraction) * ((PI * done).cos() + 1.0) / 2.0
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(optimizer: Optimizer) -> Schedule {
        Schedule::new(&optimizer, 10, 1000)
    }

    #[test]
    fn lr_warms_up_and_falls_at_milestones() {
        let schedule = schedule(Optimizer { milestones: vec![30, 45], ..Optimizer::default() });
        assert_eq!(schedule.lr(0, 0), 2e-4 / 500.0);
        assert_eq!(schedule.lr(499, 0), 2e-4);
        assert_eq!(schedule.lr(100_000, 29), 2e-4);
        assert!((schedule.lr(100_000, 30) - 4e-5).abs() < 1e-18);
        assert!((schedule.lr(100_000, 45) - 8e-6).abs() < 1e-18);
        let at_once = self::schedule(Optimizer { warmup_steps: Some(0), ..Optimizer::default() });
        assert_eq!(at_once.lr(0, 0), 2e-4);
    }

    #[test]
    fn lr_falls_by_half_a_cosine_after_epochs_of_warmup() {
        let cosine = Optimizer {
            lr: 1.0,
            schedule: ScheduleName::Cosine,
            warmup_epochs: Some(10),
            final_lr_fraction: 0.1,
            ..Optimizer::default()
        };
        let schedule = schedule(cosine);
        assert_eq!(schedule.lr(0, 0), 0.01);
        assert_eq!(schedule.lr(99, 9), 1.0);
        assert!((schedule.lr(550, 55) - 0.55).abs() < 1e-12, "halfway between 1 and 0.1");
        assert!((schedule.lr(1000, 100) - 0.1).abs() < 1e-12);
        assert!((schedule.lr(5000, 500) - 0.1).abs() < 1e-12);
    }
}
