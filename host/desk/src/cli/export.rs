//! `infomax export`.

use super::{named_runs::only_measured, say};
use crate::{
    error::Result,
    export::{Form, Shape, Table, print, write},
};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `infomax export`.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax export runs/shapes-demo-1 runs/shapes-demo-2 --out metrics.parquet")]
pub struct Export {
    /// Run directories; a run may still go on
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The file to write, `.csv` or `.parquet`; CSV on standard output where not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A row for each value (run, step, epoch, seconds, name, value), in place of one for each row of metrics with a column a name
    #[arg(long)]
    long: bool,
}

impl Export {
    /// Writes the table.
    ///
    /// # Errors
    /// A folder that holds no run, damaged metrics, a file that can't be written.
    pub fn run(self) -> Result<()> {
        if let Some(out) = &self.out {
            Form::of(out)?;
        }
        let runs = only_measured(&self.runs);
        let table = Table::of(&runs, if self.long { Shape::Long } else { Shape::Wide })?;
        let Some(out) = &self.out else { return print(&table) };
        let rows = write(&table, out)?;
        let count = if runs.len() == 1 { "1 run".to_owned() } else { format!("{} runs", runs.len()) };
        say(&format!("{}: {rows} rows of {} columns from {count}", out.display(), table.columns().len()));
        Ok(())
    }
}
