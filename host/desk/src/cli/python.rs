//! `infomax python`.

use super::say;
use crate::error::Result;
use clap::Args;

/// The file, as it is printed.
const SCRIPT: &str = include_str!("../../python/infomax_read.py");

/// Arguments of `infomax python`: none.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax python > infomax_read.py")]
pub struct Python {}

impl Python {
    /// Prints the file.
    ///
    /// # Errors
    /// None.
    pub fn run(self) -> Result<()> {
        say(SCRIPT.trim_end());
        Ok(())
    }
}
