//! `infomax plugin`: what loads a library, beside the desk's commands.

mod check;

use super::say;
use crate::{
    error::Result,
    plugin::{Candidate, LOADED, REFUSED, load},
};
use clap::Subcommand;
use infomax_desk::cli::Plugin as AtTheDesk;
use std::path::PathBuf;

/// Commands on plugins.
#[derive(Debug, Subcommand)]
pub enum Plugin {
    #[command(flatten)]
    AtTheDesk(AtTheDesk),
    /// Load a library and nothing else: what the host does in a child process first
    #[command(hide = true)]
    Probe {
        /// A library file, or the name of a plugin or of a component
        library: PathBuf,
        /// Plugins whose libtorch may be another one, as the config allows
        #[arg(long)]
        allow_torch_skew: Vec<String>,
    },
    /// Check a library: every component through the boundary, as training would call it (exit code 3 where it fails)
    Check(check::Check),
}

impl Plugin {
    /// Runs the command.
    ///
    /// # Errors
    /// A library that is refused, a check that fails, and those of the desk's commands.
    pub fn run(self) -> Result<()> {
        match self {
            Self::AtTheDesk(plugin) => plugin.run()?,
            Self::Probe { library, allow_torch_skew } => {
                let candidate = Candidate::read(&library, &allow_torch_skew)?;
                let loaded = load(&candidate);
                say(&format!("{} {}", if loaded.is_ok() { LOADED } else { REFUSED }, candidate.sha256));
                loaded?;
            }
            Self::Check(check) => check.run()?,
        }
        Ok(())
    }
}
