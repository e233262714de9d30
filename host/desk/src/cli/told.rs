//! How commands tell a comparison: what is compared, in which form, and the files that are written besides.

use super::say;
use crate::{
    comparison::{Comparison, Format, check_out},
    error::Result,
};
use clap::Args;
use std::path::PathBuf;

/// What is compared, and how it is told.
#[derive(Clone, Debug, Args)]
pub struct Told {
    /// What is compared: `linear_top1`, `knn_top1`, `loss`, …
    #[arg(long, value_name = "METRIC")]
    pub metric: Option<String>,
    /// Further metrics as columns, in place of the other accuracies
    #[arg(long, value_name = "METRIC")]
    further: Vec<String>,
    /// The form of what is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Files to write besides: a page (`.html`), a picture (`.png`), `.md`, `.csv`, `.tex`, `.json`, `.txt`
    #[arg(long, value_name = "FILE")]
    out: Vec<PathBuf>,
}

impl Told {
    /// Whether the files can be written by their names; asked before anything is read.
    ///
    /// # Errors
    /// A name that says nothing.
    pub fn check(&self) -> Result<()> {
        self.out.iter().try_for_each(|path| check_out(path))
    }

    /// The further metrics, where any are named.
    pub fn further(&self) -> Option<Vec<String>> {
        (!self.further.is_empty()).then(|| self.further.clone())
    }

    /// Prints a comparison, and writes it where it is asked to.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn tell(&self, comparison: &Comparison) -> Result<()> {
        say(comparison.to_text(self.format).trim_end());
        for path in &self.out {
            comparison.write(path)?;
        }
        if self.format == Format::Table && !self.out.is_empty() {
            let names: Vec<String> = self.out.iter().map(|path| path.display().to_string()).collect();
            say(&format!("\n{}", names.join(", ")));
        }
        Ok(())
    }
}
