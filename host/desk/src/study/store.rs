//! Where cells lie: one folder each, `cells/<identity>` beside the runs, shared by all studies; and what became of each.
//!
//! The run in a cell's folder says itself whether it is finished, so that nothing is done twice whenever a driver was killed.

use super::{
    identity::CellIdentity,
    lease::{Asked, Lease, LeaseHolder},
};
use crate::{
    comparison::{memory_bytes, read_figures},
    error::{Error, Result},
    plain,
    record::{End, Ending, History, METRICS, free_path, read_metrics, write_whole},
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// The folder of cells, beside the runs.
pub const CELLS: &str = "cells";
const IDENTITY: &str = "cell.json";
const FAILURE: &str = "failure.json";
/// The run directory in a cell's folder.
pub const RUN: &str = "run";
/// What the cell's process says.
pub const OUTPUT: &str = "output.txt";

/// The cells beside some runs.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    /// How old the lease of another machine may be.
    pub lifetime: Duration,
}

/// What became of a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum CellState {
    /// Nothing was done, or what was done can go on.
    Missing {
        has_begun: bool,
    },
    /// Somebody works on it.
    Running(LeaseHolder),
    Done,
    Failed(Failure),
}

/// What a cell has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Updates done.
    pub steps: u64,
    /// Of training, tests included.
    pub seconds: Option<f64>,
    /// Of memory, at most.
    pub bytes: Option<f64>,
}

/// How a cell failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How often it was tried.
    pub tries: u64,
    /// Of its process; none where a signal ended it.
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    /// What its process said.
    pub told: String,
    /// In seconds since 1970.
    pub at: u64,
}

impl Failure {
    /// Whether the cell's process was only told to end: by a signal, or by itself after one.
    pub fn is_interruption(&self) -> bool {
        const AT_ONCE: i32 = 130; // after a second request
        let asking = [libc::SIGTERM, libc::SIGINT, libc::SIGUSR1, libc::SIGHUP];
        matches!(self.exit_code, Some(75 | AT_ONCE)) || self.signal.is_some_and(|signal| asking.contains(&signal))
    }

    /// What its process said first.
    pub fn message(&self) -> &str {
        self.told.lines().next().unwrap_or_default().trim_start_matches("error: ")
    }

    /// In which way, in a few words.
    pub fn how(&self) -> String {
        let tries = if self.tries > 1 { format!(" after {} tries", self.tries) } else { String::new() };
        match (self.exit_code, self.signal) {
            (Some(code), _) => format!("exit code {code}{tries}"),
            (None, Some(signal)) => {
                let name = signal_hook::low_level::signal_name(signal).unwrap_or("unknown");
                format!("signal {signal} ({name}){tries}")
            }
            (None, None) => format!("no exit code{tries}"),
        }
    }
}

impl Store {
    /// The cells beside the runs of a folder.
    pub fn new(run_directory: &Path, lifetime: Duration) -> Self {
        Self { root: run_directory.join(CELLS), lifetime }
    }

    /// A folder beside the cells.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.with_file_name(name)
    }

    /// A cell's folder.
    pub fn folder(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// A cell's run directory.
    pub fn run(&self, id: &str) -> PathBuf {
        self.folder(id).join(RUN)
    }

    /// What became of a cell.
    ///
    /// # Errors
    /// A folder that can't be read.
    pub fn state(&self, id: &str) -> Result<CellState> {
        if !self.folder(id).is_dir() {
            return Ok(CellState::Missing { has_begun: false });
        }
        if let Some(holder) = Lease::holder(&self.folder(id), self.lifetime)? {
            return Ok(CellState::Running(holder));
        }
        let history = History::read(&self.run(id)).unwrap_or_default();
        if is_finished(&history) {
            return Ok(CellState::Done);
        }
        if let Some(failure) = self.failure(id)?.filter(|failure| !failure.is_interruption()) {
            return Ok(CellState::Failed(failure));
        }
        Ok(CellState::Missing { has_begun: !history.parts.is_empty() })
    }

    /// Whether a cell's run is finished.
    pub fn is_done(&self, id: &str) -> bool {
        is_finished(&History::read(&self.run(id)).unwrap_or_default())
    }

    /// The last value of a metric in a cell's run.
    pub fn last_value(&self, id: &str, metric: &str) -> Option<f64> {
        let rows = read_metrics(&self.run(id).join(METRICS)).ok()?;
        rows.iter().rev().find_map(|row| row.get(metric)).filter(|value| value.is_finite())
    }

    /// What a cell has taken so far.
    pub fn cost(&self, id: &str) -> Cost {
        let Ok(figures) = read_figures(&self.run(id)) else { return Cost::default() };
        let bytes = figures.memory.and_then(memory_bytes).map(|bytes| bytes as f64);
        Cost { steps: figures.steps, seconds: figures.wall_seconds, bytes }
    }

    /// Asks for a cell; its folder is made.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn lease(&self, id: &str) -> Result<Asked> {
        let folder = self.folder(id);
        fs::create_dir_all(&folder).map_err(Error::io("make the folder", &folder))?;
        Lease::ask(&folder, self.lifetime)
    }

    /// What a cell's result depends on; none where it was never begun.
    pub fn identity(&self, id: &str) -> Option<CellIdentity> {
        serde_json::from_slice(&fs::read(self.folder(id).join(IDENTITY)).ok()?).ok()
    }

    /// Writes what a cell's result depends on.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn write_identity(&self, id: &str, identity: &CellIdentity) -> Result<()> {
        let text = serde_json::to_vec_pretty(identity).expect("an identity is plain data");
        write_whole(&self.folder(id).join(IDENTITY), &text)
    }

    /// How a cell failed last.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn failure(&self, id: &str) -> Result<Option<Failure>> {
        let path = self.folder(id).join(FAILURE);
        match plain::read(&path, plain::SMALL) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text).unwrap_or_default())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Notes how a cell failed.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn write_failure(&self, id: &str, failure: &Failure) -> Result<()> {
        let text = serde_json::to_vec_pretty(failure).expect("a failure is plain data");
        write_whole(&self.folder(id).join(FAILURE), &text)
    }

    /// Puts a cell's run aside under another name, if there is one: nothing goes on from it.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn set_aside(&self, id: &str) -> Result<()> {
        let run = self.run(id);
        if !run.exists() {
            return Ok(());
        }
        let free = free_path(&self.folder(id), &format!("{RUN}-failed"), "");
        fs::rename(&run, free).map_err(Error::io("rename", &run))
    }

    /// Forgets that a cell failed. What it had reached goes on, but for a run that diverged or can't go on: that is put aside.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn forgive(&self, id: &str, failure: &Failure) -> Result<()> {
        if matches!(failure.exit_code, Some(2 | 3 | 5 | 6)) {
            self.set_aside(id)?;
        }
        let path = self.folder(id).join(FAILURE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &path)(error)),
            _ => Ok(()),
        }
    }
}

fn is_finished(history: &History) -> bool {
    matches!(history.parts.last(), Some(part) if matches!(part.end, Some(End { how: Ending::Finished, .. })))
}
