//! `plugins.lock`: the hash of each plugin, trusted on first use, so that a rebuilt, damaged or swapped library is
//! noticed before any of its code runs.

use super::{Candidate, PluginError};
use crate::{
    error::{Error, Fault, Result},
    record::write_whole,
};
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
    pub plugins: BTreeMap<String, Builds>,
    #[serde(skip)]
    path: PathBuf,
    #[serde(skip)]
    complete: bool,
}

/// The builds of a plugin: one, as a rule; several where an ablation compares them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Builds {
    One(Locked),
    Several(Vec<Locked>),
}

impl Builds {
    /// All of them.
    pub fn all(&self) -> &[Locked] {
        match self {
            Self::One(locked) => std::slice::from_ref(locked),
            Self::Several(all) => all,
        }
    }
}

/// A build's entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// Its version, for people.
    pub version: String,
    /// Of the file, in hex.
    pub sha256: String,
}

impl Locked {
    /// `0.1.0 (0123456789ab…)`.
    pub fn label(&self) -> String {
        format!("{} ({}…)", self.version, self.sha256.get(..12).unwrap_or("?"))
    }
}

impl Lock {
    /// The lock file of a folder; none where there is none. `complete`: plugins that are not in it are refused.
    ///
    /// # Errors
    /// A file that can't be read, or none where there must be one.
    pub fn read(folder: &Path, complete: bool) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !complete => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let fault = Fault::new(format!("`--locked` goes by `{}`, which isn't there", path.display()));
                return Err(Error::config(
                    fault.hint("write it with `infomax plugin lock`, beside the config or here"),
                ));
            }
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

    /// A lock of these builds and no others.
    pub fn of(candidates: &[Candidate]) -> Self {
        let mut plugins: BTreeMap<String, Vec<Locked>> = BTreeMap::new();
        for Candidate { manifest, sha256, .. } in candidates {
            let builds = plugins.entry(manifest.name.clone()).or_default();
            if !builds.iter().any(|build| build.sha256 == *sha256) {
                builds.push(Locked { version: manifest.version.clone(), sha256: sha256.clone() });
            }
        }
        let builds = |mut all: Vec<Locked>| match all.len() {
            1 => Builds::One(all.remove(0)),
            _ => {
                all.sort_by(|a, b| a.sha256.cmp(&b.sha256));
                Builds::Several(all)
            }
        };
        Self { plugins: plugins.into_iter().map(|(name, all)| (name, builds(all))).collect(), ..Self::default() }
    }

    /// Writes a lock file with these plugins.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn write(folder: &Path, candidates: &[Candidate]) -> Result<PathBuf> {
        let path = folder.join(FILE);
        let text = toml::to_string(&Self::of(candidates)).expect("a lock is plain data");
        write_whole(&path, text.as_bytes())?;
        Ok(path)
    }

    /// Takes a build in, in place of all others of its plugin.
    pub fn take_in(&mut self, candidate: &Candidate) {
        let one = Self::of(std::slice::from_ref(candidate));
        self.plugins.extend(one.plugins);
    }

    /// Writes the same lock to a file elsewhere.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn copy_to(&self, path: &Path) -> Result<()> {
        write_whole(path, toml::to_string(self).expect("a lock is plain data").as_bytes())
    }

    /// Where it was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a library is one that was locked.
    ///
    /// # Errors
    /// Another hash, or no entry where every plugin must have one.
    pub fn check(&self, candidate: &Candidate) -> Result<(), PluginError> {
        let Candidate { manifest, sha256, path } = candidate;
        let name = &manifest.name;
        let lock = self.path.display();
        match self.plugins.get(name).map(Builds::all) {
            Some(builds) if builds.iter().any(|locked| locked.sha256 == *sha256) => Ok(()),
            Some(builds) => {
                let locked: Vec<String> =
                    builds.iter().map(|build| format!("{}…", build.sha256.get(..12).unwrap_or("?"))).collect();
                let reason =
                    format!("`{name}` has the hash {}…, but {lock} says {}", &sha256[..12], locked.join(" or "));
                let hint = "if you rebuilt it on purpose, run `infomax plugin lock`; \
                            `infomax plugin verify` shows every difference";
                Err(PluginError::refused(path, reason, hint))
            }
            None if self.complete => {
                let hint = "if you added it on purpose, run `infomax plugin lock`";
                Err(PluginError::refused(path, format!("`{name}` is not in {lock}"), hint))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_of_one_build_and_of_several_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[plugins.a]\nversion = \"1\"\nsha256 = \"ab\"\n[[plugins.b]]\nversion = \"1\"\nsha256 = \"cd\"\n\
                    [[plugins.b]]\nversion = \"2\"\nsha256 = \"ef\"\n";
        fs::write(folder.path().join(FILE), text).unwrap();
        let lock = Lock::read(folder.path(), false).unwrap().unwrap();
        assert_eq!(lock.plugins.values().map(|builds| builds.all().len()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(toml::to_string(&lock).unwrap().matches("[[plugins.b]]").count(), 2);
    }
}
