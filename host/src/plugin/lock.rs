//! `plugins.lock`: the hash of each plugin, trusted on first use, so that a rebuilt, damaged or swapped library is
//! noticed before any of its code runs.

use super::{Candidate, PluginError};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The file's name, beside an experiment's config or in the working directory.
pub const FILE: &str = "plugins.lock";

/// What a lock file says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lock {
    /// By plugin name.
    pub plugins: BTreeMap<String, Locked>,
    #[serde(skip)]
    path: PathBuf,
    #[serde(skip)]
    complete: bool,
}

/// A plugin's entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// Its version, for people.
    pub version: String,
    /// Of the file, in hex.
    pub sha256: String,
}

impl Lock {
    /// The lock file of a folder; none where there is none. `complete`: plugins that are not in it are refused.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn read(folder: &Path, complete: bool) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !complete => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let refuse = |error: toml::de::Error| {
            PluginError::refused(
                &path,
                format!("the lock file can't be read: {}", error.message()),
                "run `infomax plugin lock`",
            )
        };
        let lock: Self = toml::from_str(&text).map_err(refuse)?;
        Ok(Some(Self { path, complete, ..lock }))
    }

    /// Writes a lock file with these plugins.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn write(folder: &Path, candidates: &[Candidate]) -> Result<PathBuf> {
        let entry = |c: &Candidate| {
            (c.manifest.name.clone(), Locked { version: c.manifest.version.clone(), sha256: c.sha256.clone() })
        };
        let lock = Self { plugins: candidates.iter().map(entry).collect(), ..Self::default() };
        let path = folder.join(FILE);
        let text = toml::to_string(&lock).expect("a lock is plain data");
        fs::write(&path, text).map_err(Error::io("write", &path))?;
        Ok(path)
    }

    /// Whether a library is the one that was locked.
    ///
    /// # Errors
    /// Another hash, or no entry where every plugin must have one.
    pub fn check(&self, candidate: &Candidate) -> Result<(), PluginError> {
        let name = &candidate.manifest.name;
        let refuse = |reason| {
            let hint = "if you rebuilt it on purpose, run `infomax plugin lock`";
            Err(PluginError::refused(&candidate.path, reason, hint))
        };
        match self.plugins.get(name) {
            Some(locked) if locked.sha256 == candidate.sha256 => Ok(()),
            Some(locked) => refuse(format!(
                "`{name}` has the hash {}…, but {} says {}…",
                &candidate.sha256[..12],
                self.path.display(),
                &locked.sha256.get(..12).unwrap_or("?"),
            )),
            None if self.complete => refuse(format!("`{name}` is not in {}", self.path.display())),
            None => Ok(()),
        }
    }
}
