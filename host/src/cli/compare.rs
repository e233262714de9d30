//! `infomax compare`.

use super::say;
use crate::{
    comparison::{Baseline, Comparison, Format, Member, Options, check_out},
    error::{Error, Fault, Result},
};
use clap::Args;
use std::{fs, path::PathBuf};

/// Arguments of `infomax compare`.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax compare runs/shapes-demo-1 runs/shapes-demo-2 --out comparison.html")]
pub struct Compare {
    /// Run directories; runs that differ in `train.seed` alone are one row
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// What is compared: `linear_top1`, `knn_top1`, `loss`, …
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
    /// Further metrics as columns, in place of the other accuracies
    #[arg(long, value_name = "METRIC")]
    further: Vec<String>,
    /// The run whose settings are the baseline; the first one where not given
    #[arg(long, value_name = "RUN")]
    baseline: Option<PathBuf>,
    /// The form of what is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Files to write besides: a page (`.html`), a picture (`.png`), `.md`, `.csv`, `.tex`, `.json`, `.txt`
    #[arg(long, value_name = "FILE")]
    out: Vec<PathBuf>,
}

impl Compare {
    /// Prints the comparison, and writes it where it is asked to.
    ///
    /// # Errors
    /// A folder that holds no run, a metric that none has, a file that can't be written.
    pub fn run(self) -> Result<()> {
        self.out.iter().try_for_each(|path| check_out(path))?;
        let members = Member::read_all(&self.runs)?;
        let baseline = self.baseline.as_ref().map(|run| self.place(run)).transpose()?.map(Baseline::Member);
        let further = (!self.further.is_empty()).then(|| self.further.clone());
        let options = Options { metric: self.metric.clone(), further, baseline, notes: Vec::new() };
        let title = format!("{} run{}", members.len(), if members.len() == 1 { "" } else { "s" });
        let comparison = Comparison::of(&title, members, &options)?;
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

    /// Which of the runs a path names.
    fn place(&self, run: &PathBuf) -> Result<usize> {
        let real = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let wanted = real(run);
        self.runs.iter().position(|other| real(other) == wanted).ok_or_else(|| {
            let fault = Fault::new(format!("the baseline `{}` is none of the runs", run.display()));
            Error::config(fault.hint("name it among them too"))
        })
    }
}
