//! The command that a person gave, also where it has started other processes.

use super::{super::home::without_home, secrets};
use serde::{Deserialize, Serialize};
use std::{env, ffi::OsString, path::PathBuf};

/// The variable by which a study tells its cells, and a supervisor its processes, which command started them.
pub const STARTED_BY: &str = "INFOMAX_STARTED_BY";

/// A command and the configs or the study that it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    command: Vec<String>,
    /// With their whole paths, that of the experiment or the study first; none where the command names no file.
    files: Vec<PathBuf>,
    /// The working directory.
    from: PathBuf,
}

impl Started {
    /// This process's command, or that of the process that started it on behalf of another. `files`: what it is about, the experiment or
    /// the study first, then what that extends.
    pub fn this(files: &[PathBuf]) -> Self {
        let by_another = env::var(STARTED_BY).ok().and_then(|text| serde_json::from_str(&text).ok());
        by_another.unwrap_or_else(|| Self {
            command: env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            files: files.iter().filter_map(|file| std::path::absolute(file).ok()).collect(),
            from: env::current_dir().unwrap_or_default(),
        })
    }

    /// The value of [`STARTED_BY`] for processes that this one starts.
    pub fn to_variable(&self) -> OsString {
        // Paths that are no UTF-8 can't be told so: then the process that is started tells its own command.
        serde_json::to_string(self).unwrap_or_default().into()
    }

    /// The words as they are written down.
    pub(super) fn shown(&self) -> Vec<String> {
        self.command.iter().map(|word| without_home(&secrets::of_word(word))).collect()
    }

    /// The folder whose commit counts.
    pub(super) fn folder(&self) -> PathBuf {
        let beside = self.files.first().and_then(|file| file.parent());
        beside.unwrap_or(&self.from).to_owned()
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_command_is_handed_on_whole_and_its_folder_is_the_file_s() {
        let started = Started {
            command: vec!["infomax".to_owned(), "train".to_owned(), "a b".to_owned()],
            files: vec!["/configs/mine.toml".into(), "/other/base.toml".into()],
            from: "/work".into(),
        };
        let read: Started = serde_json::from_str(started.to_variable().to_str().unwrap()).unwrap();
        assert_eq!(read, started);
        assert_eq!(started.folder(), Path::new("/configs"));
        assert_eq!(Started { files: Vec::new(), ..started }.folder(), Path::new("/work"));
    }
}
