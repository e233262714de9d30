//! A run of a comparison, or one that should have been.

use super::figures::{Figures, check};
use crate::{
    config::{leaves, read_resolved},
    error::{Error, Fault, Result},
    record::{End, Ending, History, without_home},
    report::{State, state},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    num::NonZero,
    path::{Path, PathBuf},
    thread,
};

/// The key whose values make runs of one group.
pub const SEED: &str = "train.seed";

/// A run, or one that should have been: a point of a study with one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The run directory's, or the cell's.
    pub name: String,
    /// Dotted key and value: what may differ. Of a run, everything that its config says but the seed.
    pub settings: BTreeMap<String, Value>,
    pub seed: Option<u64>,
    /// Of a search by halving, from 1; it stands among the settings too.
    pub rung: Option<usize>,
    pub outcome: Outcome,
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It came to its end.
    Done(Box<Figures>),
    /// It ended before, and won't go on by itself.
    Failed {
        /// Why.
        told: String,
        /// As in the exit codes of the program; none where it is not known.
        exit_code: Option<u8>,
    },
    /// It is under way, or was stopped and can go on.
    Unfinished {
        /// Whether a process trains it now.
        is_running: bool,
        /// So far.
        figures: Box<Figures>,
    },
    /// It has not begun.
    Missing,
}

impl Outcome {
    /// What the directory of a run tells. `config`: what it was trained with, where that can be read.
    fn read(run: &Path, config: Option<&Value>) -> Self {
        let history = History::read(run);
        let figures = || Box::new(Figures::read(run, config, &history));
        let standing = history.as_ref().map_or(State::Unknown, |history| state(run, history));
        match standing {
            State::Ended(Ending::Finished) => Self::Done(figures()),
            State::Ended(how @ (Ending::Diverged | Ending::Failed)) => {
                let end = history.as_ref().ok().and_then(|history| history.parts.last()?.end.clone());
                let told = end.and_then(|End { told, .. }| told).unwrap_or_else(|| "nothing was told".to_owned());
                let exit_code = (how == Ending::Diverged).then_some(DIVERGED);
                Self::Failed { told: without_home(&told), exit_code }
            }
            State::Unknown if !run.join(crate::record::METRICS).exists() => Self::Missing,
            State::Running => Self::Unfinished { is_running: true, figures: figures() },
            State::Ended(Ending::Interrupted) | State::Lost | State::Unknown => {
                Self::Unfinished { is_running: false, figures: figures() }
            }
        }
    }

    /// The figures of a run that came to its end.
    pub fn done(&self) -> Option<&Figures> {
        match self {
            Self::Done(figures) => Some(figures),
            _ => None,
        }
    }

    /// The figures of a run so far.
    pub fn figures(&self) -> Option<&Figures> {
        match self {
            Self::Done(figures) | Self::Unfinished { figures, .. } => Some(figures),
            _ => None,
        }
    }

    /// In a word or two.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Failed { exit_code: Some(DIVERGED), .. } => "diverged",
            Self::Failed { .. } => "failed",
            Self::Unfinished { is_running: true, .. } => "running",
            Self::Unfinished { is_running: false, .. } => "not finished",
            Self::Missing => "missing",
        }
    }
}

/// The exit code of a run that diverged.
const DIVERGED: u8 = 6;

impl Member {
    /// A run as its directory tells it.
    ///
    /// # Errors
    /// A folder that holds no run, or a run whose config can't be read: nobody can say what it would be compared by.
    pub fn read(run: &Path) -> Result<Self> {
        check(run)?;
        let damaged = |fault: Fault| match fault.hint {
            None => fault.hint("the run's config is damaged: put the file back, or leave this run out"),
            Some(_) => fault,
        };
        let config = read_resolved(&run.join("config.toml"))
            .map_err(|faults| Error::Config { faults: faults.into_iter().map(damaged).collect() })?;
        let mut settings = leaves(&config);
        let seed = settings.remove(SEED).and_then(|seed| seed.as_u64());
        Ok(Self {
            name: without_home(&run.display().to_string()),
            settings,
            seed,
            rung: None,
            outcome: Outcome::read(run, Some(&config)),
        })
    }

    /// Reads many runs, on all cores, in their order.
    ///
    /// # Errors
    /// As [`Member::read`], of the first.
    pub fn read_all(runs: &[PathBuf]) -> Result<Vec<Self>> {
        on_all_cores(runs, |run| Self::read(run)).into_iter().collect()
    }
}

/// What a function makes of each item, in their order.
pub fn on_all_cores<T: Sync, R: Send>(items: &[T], of: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = items.len().div_ceil(cores).max(1);
    let of = &of;
    thread::scope(|scope| {
        let parts: Vec<_> =
            items.chunks(share).map(|part| scope.spawn(move || part.iter().map(of).collect::<Vec<_>>())).collect();
        let joined = parts.into_iter().map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.flatten().collect()
    })
}
