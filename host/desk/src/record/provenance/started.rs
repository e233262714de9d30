//! The command that a person gave, also where it has started other processes.

use super::{super::home::without_home, secrets};
use serde::{Deserialize, Serialize};
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The variable by which a study tells its cells, and a supervisor its processes, which command started them.
pub const STARTED_BY: &str = "INFOMAX_STARTED_BY";

/// A command and the config or study that it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    command: Vec<String>,
    /// With its whole path; none where the command names no file.
    file: Option<PathBuf>,
    /// The working directory.
    from: PathBuf,
}

impl Started {
    /// This process's command, or that of the process that started it on behalf of another. `file`: what it is about.
    pub fn this(file: Option<&Path>) -> Self {
        let by_another = env::var(STARTED_BY).ok().and_then(|text| serde_json::from_str(&text).ok());
        by_another.unwrap_or_else(|| Self {
            command: env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            file: file.and_then(|file| std::path::absolute(file).ok()),
            from: env::current_dir().unwrap_or_default(),
        })
    }

    /// The value of [`STARTED_BY`] for processes that this one starts.
    pub fn to_variable(&self) -> OsString {
        serde_json::to_string(self).expect("a command is plain data").into()
    }

    /// The words as they are written down.
    pub(super) fn shown(&self) -> Vec<String> {
        self.command.iter().map(|word| without_home(&secrets::of_word(word))).collect()
    }

    /// The folder whose commit counts.
    pub(super) fn folder(&self) -> PathBuf {
        let beside = self.file.as_deref().and_then(Path::parent);
        beside.unwrap_or(&self.from).to_owned()
    }

    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_handed_on_whole_and_its_folder_is_the_file_s() {
        let started = Started {
            command: vec!["infomax".to_owned(), "train".to_owned(), "a b".to_owned()],
            file: Some("/configs/mine.toml".into()),
            from: "/work".into(),
        };
        let read: Started = serde_json::from_str(started.to_variable().to_str().unwrap()).unwrap();
        assert_eq!(read, started);
        assert_eq!(started.folder(), Path::new("/configs"));
        assert_eq!(Started { file: None, ..started }.folder(), Path::new("/work"));
    }
}
