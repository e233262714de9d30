//! The learning rate of each update: linear warm-up, then milestones.
//!
//! # Source
//! The published AMDIM code: lr · min(1, (update + 1) / warm-up), × 0.2 at each milestone epoch.

use crate::config::Optimizer;

/// The learning rate as a function of updates and epochs.
#[derive(Clone, Debug)]
pub struct Schedule {
    lr: f64,
    warmup_steps: u64,
    milestones: Vec<u64>,
    factor: f64,
}

impl Schedule {
    /// The schedule of a config.
    pub fn new(optimizer: &Optimizer) -> Self {
        Self {
            lr: optimizer.lr,
            warmup_steps: optimizer.warmup_steps,
            milestones: optimizer.milestones.clone(),
            factor: optimizer.milestone_factor,
        }
    }

    /// The learning rate of the update after `step` updates, in the epoch after `epoch` epochs.
    pub fn lr(&self, step: u64, epoch: u64) -> f64 {
        let warmup = if self.warmup_steps == 0 { 1.0 } else { ((step + 1) as f64 / self.warmup_steps as f64).min(1.0) };
        let passed = self.milestones.iter().filter(|&&milestone| epoch >= milestone).count();
        self.lr * warmup * self.factor.powi(passed as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lr_warms_up_and_falls_at_milestones() {
        let schedule =
            Schedule::new(&Optimizer { warmup_steps: 500, milestones: vec![30, 45], ..Optimizer::default() });
        assert_eq!(schedule.lr(0, 0), 2e-4 / 500.0);
        assert_eq!(schedule.lr(499, 0), 2e-4);
        assert_eq!(schedule.lr(100_000, 29), 2e-4);
        assert!((schedule.lr(100_000, 30) - 4e-5).abs() < 1e-18);
        assert!((schedule.lr(100_000, 45) - 8e-6).abs() < 1e-18);
        assert_eq!(Schedule::new(&Optimizer { warmup_steps: 0, ..Optimizer::default() }).lr(0, 0), 2e-4);
    }
}
