//! `infomax config`.

use super::{experiment::ExperimentArguments, say};
use crate::error::Result;
use clap::Subcommand;

/// Commands on configs.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Print the resolved config: every value, defaults filled in
    Show(ExperimentArguments),
}

impl Config {
    /// Runs the command.
    ///
    /// # Errors
    /// Every fault of the config.
    pub fn run(self) -> Result<()> {
        let Self::Show(experiment) = self;
        let (resolved, _) = experiment.resolve()?;
        say(resolved.toml.trim_end());
        Ok(())
    }
}
