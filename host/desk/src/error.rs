//! Every way in which the host fails: facts in the variants, exit codes and rendering in one place.

use crate::{
    plugin::{MEMORY_HINT, PluginError, memory_ran_out},
    record::RecordError,
};
use serde::{Deserialize, Serialize};
use std::{fmt, io, path::PathBuf};

/// A result of the host.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed.
#[derive(Debug)]
pub enum Error {
    /// The command line or the config can't work; every fault that was found (exit code 2).
    Config { faults: Vec<Fault> },
    /// A plugin or one of its components failed (exit code 3).
    Plugin(Box<PluginError>),
    /// The data are missing, damaged or not what they should be (exit code 4).
    Dataset { fault: Fault },
    /// A checkpoint is missing, damaged or does not fit (exit code 5).
    Checkpoint { fault: Fault },
    /// Training diverged (exit code 6).
    Diverged { fault: Fault },
    /// Processes that train together differ, or lost one another (exit code 7).
    Distributed { fault: Fault, lost_peer: bool },
    /// One of the processes of a run failed first (exit code: its own).
    Rank { rank: usize, exit_code: u8, faults: Vec<Fault> },
    /// Reading or writing failed (exit code 8 where the disk is full, 1 otherwise).
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// libtorch refused a call of the host's own (exit code 8 where memory ran out, 1 otherwise).
    Torch { action: &'static str, message: String },
    /// A signal asked for an end; the state is saved, in a directory that rank 0 knows (exit code 75).
    Interrupted { step: u64, run: Option<PathBuf> },
    /// A signal asked for an end before there was anything to save (exit code 75).
    InterruptedEarly,
    /// A signal ended the work on a study; what is done is kept (exit code 75).
    StudyInterrupted { left: usize, study: String },
    /// Cells of a study failed, or can't be trained (exit code 9).
    StudyFailed { failed: usize, cells: usize, study: String },
    /// A run's repetition differs from it (exit code 10), or did not come to its end (exit code: its own).
    Reproduction { fault: Fault, exit_code: u8 },
    /// Checks of this machine that failed (exit code 1).
    Selfcheck { failed: Vec<String> },
    /// The system allows this process too little (exit code 8).
    Limit { fault: Fault },
    /// A thread of the host panicked (exit code 1).
    Bug { what: String },
}

/// One fault: what failed, where, what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What failed: lower case, no full stop, values in backticks.
    pub message: String,
    /// File and line, layer, step, rank.
    pub at: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without place and hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.at = Some(place.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(at) = &self.at {
            write!(f, "\n  at: {at}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

impl Error {
    /// One config fault.
    pub fn config(fault: Fault) -> Self {
        Self::Config { faults: vec![fault] }
    }

    /// Wraps an I/O error with what was being done to which path.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// Wraps a libtorch error with what was being done.
    pub fn torch<E: fmt::Display>(action: &'static str) -> impl FnOnce(E) -> Self {
        // libtorch appends a C++ backtrace to its messages; the first line says what is wrong.
        move |error| {
            let text = error.to_string();
            Self::Torch { action, message: format!("libtorch: {}", text.lines().next().unwrap_or_default().trim_end()) }
        }
    }

    /// Wraps a message of the C++ shim with what was being done.
    pub fn native(action: &'static str) -> impl FnOnce(String) -> Self {
        move |message| {
            if is_lost_peer(&message) { Self::exchange(action, message) } else { Self::Torch { action, message } }
        }
    }

    /// What c10d says where an exchange with the other processes failed.
    pub fn exchange(action: &'static str, message: String) -> Self {
        let fault = Fault::new(format!("can't {action}: {message}"));
        let hint = if message.contains("ollectives differ") || message.contains("ismatch between collectives") {
            "the processes do different things at this step: see the message for both"
        } else {
            "another process died, hangs or can't be reached; `distributed.timeout_seconds` is how long it is waited for"
        };
        Self::Distributed { fault: fault.hint(hint), lost_peer: true }
    }

    /// Adds the place of a failure between processes: `step 12, rank 0`.
    #[must_use]
    pub fn during(self, place: &str) -> Self {
        match self {
            Self::Distributed { fault, lost_peer } if fault.at.is_none() => {
                Self::Distributed { fault: fault.at(place), lost_peer }
            }
            Self::Plugin(error) => Self::Plugin(Box::new(error.during(place))),
            other => other,
        }
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config { .. } => 2,
            Self::Plugin(error) => error.exit_code(),
            Self::Dataset { .. } => 4,
            Self::Checkpoint { .. } => 5,
            Self::Diverged { .. } => 6,
            Self::Distributed { .. } => 7,
            Self::Rank { exit_code, .. } | Self::Reproduction { exit_code, .. } => *exit_code,
            Self::Io { source, .. } if is_full(source) || is_out_of_files(source) => 8,
            Self::Torch { message, .. } if memory_ran_out(message) => 8,
            Self::Io { .. } | Self::Torch { .. } | Self::Bug { .. } | Self::Selfcheck { .. } => 1,
            Self::Limit { .. } => 8,
            Self::Interrupted { .. } | Self::InterruptedEarly | Self::StudyInterrupted { .. } => 75,
            Self::StudyFailed { .. } => 9,
        }
    }

    /// What to tell the user.
    pub fn faults(&self) -> Vec<Fault> {
        let one = match self {
            Self::Config { faults } => return faults.clone(),
            Self::Dataset { fault } | Self::Checkpoint { fault } | Self::Diverged { fault } => fault.clone(),
            Self::Distributed { fault, .. } | Self::Limit { fault } | Self::Reproduction { fault, .. } => fault.clone(),
            Self::Rank { rank, faults, .. } => {
                let named = |fault: &Fault| {
                    let place = fault.at.clone().unwrap_or_default();
                    let told = place.contains("rank ");
                    let at = if told { place } else { [format!("rank {rank}"), place].join(", ") };
                    Fault { at: Some(at.trim_end_matches(", ").to_owned()), ..fault.clone() }
                };
                return faults.iter().map(named).collect();
            }
            Self::Plugin(error) => error.fault(),
            Self::Io { action, path, source } => {
                let fault = Fault::new(format!("can't {action} `{}`: {source}", path.display()));
                if is_full(source) {
                    fault.hint("free some space, then run again with `--resume`")
                } else if is_out_of_files(source) {
                    fault.hint(format!("allow at least {OPEN_FILES} open files: `ulimit -n {OPEN_FILES}`"))
                } else {
                    fault
                }
            }
            Self::Torch { action, message } if memory_ran_out(message) => {
                Fault::new(format!("out of memory while trying to {action}: {message}")).hint(MEMORY_HINT)
            }
            Self::Torch { action, message } => Fault::new(format!("can't {action}: {message}")),
            Self::Interrupted { step, run } => {
                let fault = Fault::new(format!("interrupted after step {step}; the state is saved"));
                let hint = run.as_ref().map(|run| format!("continue with `infomax train --resume {}`", run.display()));
                Fault { hint, ..fault }
            }
            Self::InterruptedEarly => Fault::new("interrupted before the first step: nothing has changed")
                .hint("the same command begins, or goes on, again"),
            Self::StudyInterrupted { left, study } => {
                Fault::new(format!("interrupted; {left} cells are left, and what is done is kept"))
                    .hint(format!("go on with `infomax ablate run {study}`"))
            }
            Self::StudyFailed { failed, cells, study } => {
                Fault::new(format!("{failed} of the study's {cells} cells failed or can't be trained"))
                    .at(study.clone())
                    .hint("each is told above; after mending try the failed ones again with `--retry-failed`")
            }
            Self::Selfcheck { failed } => {
                Fault::new(format!("{} of the checks failed: {}", failed.len(), failed.join("; ")))
                    .hint("see the lines above; `infomax doctor` says what is installed")
            }
            Self::Bug { what } => Fault::new(format!("bug in infomax: {what}")),
        };
        vec![one]
    }
}

/// Files that a run has open at once, with some to spare: libraries, plugins, the dataset's, the run's.
const OPEN_FILES: u64 = 256;

fn is_out_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// What c10d's messages have in them. Gloo names itself where an exchange fails first, and not where it meets a connection
/// that it has closed before.
const LOST_PEER: [&str; 7] =
    ["gloo", "NCCL", "by peer", "pair closure", "Timed out waiting", "Connect timeout", "Remote peer closed"];

/// Whether c10d speaks, through whatever call.
fn is_lost_peer(message: &str) -> bool {
    LOST_PEER.iter().any(|sign| message.contains(sign))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults().iter().enumerate() {
            write!(f, "{}error: {fault}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<PluginError> for Error {
    fn from(error: PluginError) -> Self {
        Self::Plugin(Box::new(error))
    }
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::File { what, path, source } => Self::Io { action: what, path, source },
            RecordError::Drawing { .. } => Self::Bug { what: error.to_string() },
            _ => {
                let fault = Fault { hint: error.hint().map(str::to_owned), ..Fault::new(error.to_string()) };
                Self::config(fault)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_peer_is_told_as_such_in_whatever_words() {
        let told = |message: &str| Error::native("run the encoder backward")(message.to_owned());
        for message in [
            "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:29500",
            "Application timeout caused pair closure",
            "Timed out waiting 3000ms for recv operation to complete",
            "NCCL communicator was aborted on rank 0",
        ] {
            let error = told(message);
            assert!(matches!(error, Error::Distributed { lost_peer: true, .. }), "{error}");
            assert_eq!(error.exit_code(), 7);
        }
        let own = told("element 0 of tensors does not require grad and does not have a grad_fn");
        assert!(matches!(own, Error::Torch { .. }), "{own}");
    }
}
