//! `infomax compare`.

use super::{named_runs::only_runs, told::Told};
use crate::{
    comparison::{Baseline, Comparison, Member, Options},
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
    /// The run whose settings are the baseline; the first one where not given
    #[arg(long, value_name = "RUN")]
    baseline: Option<PathBuf>,
    #[command(flatten)]
    told: Told,
}

impl Compare {
    /// Prints the comparison, and writes it where it is asked to.
    ///
    /// # Errors
    /// A folder that holds no run, a metric that none has, a file that can't be written.
    pub fn run(self) -> Result<()> {
        self.told.check()?;
        // With one run left nothing would be compared: then what is none was a mistake.
        let runs = only_runs(&self.runs, 2);
        let members = Member::read_all(&runs)?;
        let baseline = self.baseline.as_ref().map(|run| place(&runs, run)).transpose()?.map(Baseline::Member);
        let (metric, further) = (self.told.metric.clone(), self.told.further());
        let options = Options { metric, further, baseline, notes: Vec::new() };
        let title = format!("{} run{}", members.len(), if members.len() == 1 { "" } else { "s" });
        self.told.tell(&Comparison::of(&title, members, &options)?)
    }
}

/// Which of the runs a path names.
fn place(runs: &[PathBuf], run: &PathBuf) -> Result<usize> {
    let real = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let wanted = real(run);
    runs.iter().position(|other| real(other) == wanted).ok_or_else(|| {
        let fault = Fault::new(format!("the baseline `{}` is none of the runs", run.display()));
        Error::config(fault.hint("name it among them too"))
    })
}
