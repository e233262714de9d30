//! How a run stands, and why where it is not well.

use crate::{
    plain::{SMALL, is_plain},
    record::{Ending, History, LOCK_FILE, without_home},
    report::{State, state},
    study::{CellState, Failure, Store},
};
use serde::Serialize;
use std::path::Path;

/// How a run stands, in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A process trains it now.
    Training,
    /// It came to its end.
    Done,
    /// It was stopped, and can go on.
    Interrupted,
    /// Values were not finite, or the representation collapsed.
    Diverged,
    /// Anything else went wrong.
    Failed,
    /// Its process ended without a word.
    Lost,
    /// It was prepared, and has not begun.
    #[default]
    Waiting,
}

impl Phase {
    /// As tables have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Done => "done",
            Self::Interrupted => "interrupted",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Waiting => "waiting",
        }
    }

    /// How it looks on a page: well, undecided, or badly.
    pub fn class(self) -> &'static str {
        match self {
            Self::Done => "good",
            Self::Training | Self::Interrupted | Self::Waiting => "fair",
            Self::Diverged | Self::Failed | Self::Lost => "poor",
        }
    }
}

/// How a run stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    pub phase: Phase,
    /// Why it did not come to its end, or what can't be read.
    pub told: Option<String>,
}

impl Standing {
    /// How a run with this history stands.
    pub fn of_run(run: &Path, history: &Result<History, String>) -> Self {
        if !is_plain(&run.join(LOCK_FILE), SMALL) {
            return Self { phase: Phase::Failed, told: Some(format!("`{LOCK_FILE}` is no plain file")) };
        }
        let history = match history {
            Ok(history) => history,
            Err(reason) => return Self { phase: Phase::Failed, told: Some(without_home(reason)) },
        };
        let told = || history.parts.last()?.end.as_ref()?.told.as_deref().map(without_home);
        let phase = match state(run, history) {
            State::Running => Phase::Training,
            State::Ended(Ending::Finished) => Phase::Done,
            State::Ended(Ending::Interrupted) => Phase::Interrupted,
            State::Ended(Ending::Diverged) => return Self { phase: Phase::Diverged, told: told() },
            State::Ended(Ending::Failed) => return Self { phase: Phase::Failed, told: told() },
            State::Lost => {
                let told = "its process ended without a word: it was killed, or its machine went down";
                return Self { phase: Phase::Lost, told: Some(told.to_owned()) };
            }
            State::Unknown => Phase::Waiting,
        };
        Self { phase, told: None }
    }

    /// How a cell of a study stands, whose run has this history: what its driver saw of its process counts too.
    pub fn of_cell(store: &Store, id: &str, history: &Result<History, String>) -> Self {
        let run = store.run(id);
        let standing = Self::of_run(&run, history);
        match store.state(id) {
            Ok(CellState::Running(_)) if standing.phase != Phase::Done => Self { phase: Phase::Training, told: None },
            Ok(CellState::Failed(failure)) => Self { phase: phase(&failure), told: Some(told(&failure)) },
            Ok(CellState::Missing { has_begun }) => match standing.phase {
                // Its driver ended with it, and whoever runs the study again goes on from where it was.
                Phase::Lost | Phase::Waiting if has_begun => Self { phase: Phase::Interrupted, told: None },
                Phase::Waiting => Self::default(),
                _ => standing,
            },
            Err(error) => Self { phase: Phase::Failed, told: Some(without_home(&error.to_string())) },
            _ => standing,
        }
    }
}

fn phase(failure: &Failure) -> Phase {
    // As in the exit codes of the program.
    if failure.exit_code == Some(6) { Phase::Diverged } else { Phase::Failed }
}

fn told(failure: &Failure) -> String {
    without_home(&format!("{} ({})", failure.message(), failure.how()))
}
