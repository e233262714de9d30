//! One thing that is wrong with a config: what, where, what to do.

use std::fmt;

/// One thing that is wrong with a config. Lower case, no full stop, values in backticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// Where: `configs/experiments/cifar10.toml:14`, `--set train.batch_size=-1`, `environment INFOMAX__TRAIN__SEED`.
    pub at: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without place or hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), at: None, hint: None }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, at: impl Into<String>) -> Self {
        self.at = Some(at.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(at) = &self.at {
            write!(f, "\n  at: {at}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
