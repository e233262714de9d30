//! `infomax report`.

use super::say;
use crate::{
    error::{Error, Fault, Result},
    record::{EventFile, History, METRICS, RunDirectory, TENSORBOARD, read_metrics},
    report,
};
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `infomax report`.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax report runs/shapes-demo-1")]
pub struct Report {
    /// The run directory; the run may still go on
    run: PathBuf,
    /// The page to write: `report.html` in the run directory where not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write TensorBoard's event files too, from the run's metrics, into its folder `tensorboard`
    #[arg(long)]
    tensorboard: bool,
}

impl Report {
    /// Writes the page.
    ///
    /// # Errors
    /// A folder that holds no run, a file that can't be written; for event files a run that still goes on, or damaged metrics.
    pub fn run(self) -> Result<()> {
        if !report::is_run(&self.run) {
            let message = format!("`{}` holds no run", self.run.display());
            let hint = "name a run directory, such as `runs/shapes-demo-1`";
            return Err(Error::config(Fault::new(message).hint(hint)));
        }
        let out = self.out.unwrap_or_else(|| self.run.join(report::FILE));
        report::write(&self.run, &out)?;
        say(&format!("{}: everything on one page", out.display()));
        if self.tensorboard {
            let folder = write_events(&self.run)?;
            say(&format!("{}: event files, see `tensorboard --logdir {0}`", folder.display()));
        }
        Ok(())
    }
}

fn write_events(run: &Path) -> Result<PathBuf> {
    // A run that goes on writes its own.
    let _held = RunDirectory::resume(run)?;
    let rows = read_metrics(&run.join(METRICS))?;
    let began = History::read(run).unwrap_or_default().began();
    let folder = run.join(TENSORBOARD);
    EventFile::create(&folder, began, &rows)?;
    Ok(folder)
}
