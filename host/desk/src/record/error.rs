//! What can go wrong when a run is recorded.

use super::run_directory::Holder;
use std::{
    io,
    path::{Path, PathBuf},
};

/// What can go wrong when a run is recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file or folder can't be used.
    #[error("can't {what} `{}`: {source}", path.display())]
    File {
        /// What was tried, as in `write`.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process holds the run directory.
    #[error("the run directory `{}` is in use by {holder}", path.display())]
    Held {
        /// The run directory.
        path: PathBuf,
        /// Who holds it.
        holder: Holder,
    },
    /// A new run would mix with an old one.
    #[error("the run directory `{}` is not empty", path.display())]
    NotEmpty {
        /// The run directory.
        path: PathBuf,
    },
    /// A symbolic link in the place of a new run directory.
    #[error("the run directory `{}` is a symbolic link, which may lead elsewhere", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// There is nothing to resume.
    #[error("the run directory `{}` does not exist", path.display())]
    Missing {
        /// The run directory.
        path: PathBuf,
    },
    /// A name that could lead out of the folder of runs.
    #[error("`{}` can't be the name of a run", name.escape_debug())]
    Name {
        /// The name.
        name: String,
    },
    /// A line of the metrics is not what this program writes.
    #[error("line {line} of `{}` is not a line of metrics", path.display())]
    Metrics {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A picture can't be drawn.
    #[error("can't draw {what}: {reason}")]
    Drawing {
        /// Which picture.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl RecordError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Held { .. } => Some("wait until it has ended, or give another name: `--set record.name=…`"),
            Self::NotEmpty { .. } => Some(
                "go on with that run (`--resume RUN`, or `--resume auto` to begin or go on), or give another name: `--set record.name=…`",
            ),
            Self::Link { .. } => Some("give another name, or put runs where it leads: `--set record.run_directory=…`"),
            Self::Missing { .. } => Some("start without `--resume`, or look at the names in the folder of runs"),
            Self::Name { .. } => Some("use up to 200 letters, digits, `_`, `-` and `.`, the first not a `.` or `-`"),
            Self::Metrics { .. } => Some("the file was changed by hand or damaged; move it away to start a new one"),
            Self::File { .. } | Self::Drawing { .. } => None,
        }
    }

    pub(super) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { what, path, source }
    }

    pub(super) fn drawing(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Drawing { what, reason: reason.to_string() }
    }
}
