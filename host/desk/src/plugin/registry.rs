//! Looks components up among the plugins that were found.

use super::{Candidate, PluginError, discovery::library_files, lock::Lock};
use crate::error::{Error, Fault};
use serde_json::Value;
use std::{
    cell::RefCell,
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The kinds of component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Dataset,
    Augmentation,
    Encoder,
    Loss,
}

impl Kind {
    /// All kinds, in the order of the flow.
    pub const ALL: [Self; 4] = [Self::Dataset, Self::Augmentation, Self::Encoder, Self::Loss];

    /// The name in configs and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dataset => "dataset",
            Self::Augmentation => "augmentation",
            Self::Encoder => "encoder",
            Self::Loss => "loss",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The plugins that were found in the search folders, read but not loaded.
pub struct Registry {
    folders: Vec<PathBuf>,
    candidates: Vec<Candidate>,
    rejected: Vec<PluginError>,
    allow_torch_skew: Vec<String>,
    lock: Option<Lock>,
    /// Libraries named by path, outside the search folders.
    named: RefCell<Vec<Candidate>>,
    /// The first library that was there and not to be used.
    refusal: RefCell<Option<PluginError>>,
}

/// Digits of a hash that name a build: two of a thousand builds begin with the same eight with a chance of 1e-4.
const LEAST_DIGITS: usize = 8;

impl Registry {
    /// Reads every library in the folders.
    pub fn search(folders: Vec<PathBuf>, allow_torch_skew: &[String], lock: Option<Lock>) -> Self {
        let (mut candidates, mut rejected): (Vec<Candidate>, Vec<PluginError>) = Default::default();
        let mut hashes = BTreeSet::new();
        for file in folders.iter().flat_map(|folder| library_files(folder)) {
            match Candidate::read(&file, allow_torch_skew) {
                Ok(candidate) if hashes.insert(candidate.sha256.clone()) => candidates.push(candidate),
                Ok(_) => {}
                Err(error) => rejected.push(error),
            }
        }
        Self {
            folders,
            candidates,
            rejected,
            allow_torch_skew: allow_torch_skew.to_vec(),
            lock,
            named: RefCell::default(),
            refusal: RefCell::default(),
        }
    }

    /// The lock file that counts.
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    /// The error for a config's faults: a library that is refused comes before what else is wrong.
    pub fn told(&self, faults: Vec<Fault>) -> Error {
        self.refusal.borrow_mut().take().map_or(Error::Config { faults }, Error::from)
    }

    /// The folders that were searched.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The folders as `INFOMAX_PLUGIN_PATH` lists them, for processes that are to find the same plugins.
    ///
    /// # Errors
    /// A folder whose name can't stand in a list.
    pub fn path_list(&self) -> Result<OsString, Error> {
        std::env::join_paths(&self.folders).map_err(|error| Error::Bug { what: format!("a plugin folder: {error}") })
    }

    /// The libraries that can be loaded.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The files that can't, each with its reason.
    pub fn rejected(&self) -> &[PluginError] {
        &self.rejected
    }

    /// Finds the one library that has a component: by explicit path, by `name@sha256:…`, or by name.
    ///
    /// # Errors
    /// None or several have it, or the lock file says otherwise.
    pub fn find(&self, kind: Kind, spec: &str, path: Option<&Path>) -> Result<(Candidate, String), PluginError> {
        let found = self.find_any(kind, spec, path);
        if let Err(error @ (PluginError::Refused { .. } | PluginError::Ambiguous { .. })) = &found {
            self.refusal.borrow_mut().get_or_insert_with(|| error.clone());
        }
        found
    }

    fn find_any(&self, kind: Kind, spec: &str, path: Option<&Path>) -> Result<(Candidate, String), PluginError> {
        let (name, hash) = match spec.split_once("@sha256:") {
            Some((name, hash)) => (name, Some(hash.to_ascii_lowercase())),
            None => (spec, None),
        };
        if let Some(hash) = hash.as_ref().filter(|hash| !names_a_build(hash)) {
            let reason = format!("`@sha256:{hash}` names no build: give {LEAST_DIGITS} to 64 digits of its hash");
            return Err(PluginError::refused(spec, reason, "`infomax plugin list` shows every build's hash"));
        }
        let has = |candidate: &&Candidate| {
            candidate.manifest.components.iter().any(|c| c.kind == kind.name() && c.name == name)
                && hash.as_ref().is_none_or(|hash| candidate.sha256.starts_with(hash))
        };
        let found: Vec<Candidate> = match path {
            Some(path) => {
                let candidate = self.read_named(path)?;
                [candidate].iter().filter(has).cloned().collect()
            }
            None => self.candidates.iter().filter(has).cloned().collect(),
        };
        match found.as_slice() {
            [one] => {
                if let Some(lock) = &self.lock {
                    lock.check(one)?;
                }
                Ok((one.clone(), name.to_owned()))
            }
            [] => Err(self.unknown(kind, spec)),
            several => {
                let digits = telling_digits(several);
                let found = several.iter().map(|c| (c.path.clone(), c.sha256[..digits].to_owned())).collect();
                Err(PluginError::Ambiguous { kind: kind.name(), name: spec.to_owned(), found })
            }
        }
    }

    /// The JSON Schema of a component's `config` table.
    ///
    /// # Errors
    /// As [`Registry::find`].
    pub fn schema(&self, kind: Kind, spec: &str, path: Option<&Path>) -> Result<Value, PluginError> {
        let (candidate, name) = self.find(kind, spec, path)?;
        let component = candidate.manifest.components.into_iter().find(|c| c.kind == kind.name() && c.name == name);
        Ok(component.expect("`find` checked it").schema)
    }

    fn read_named(&self, path: &Path) -> Result<Candidate, PluginError> {
        let mut named = self.named.borrow_mut();
        if let Some(known) = named.iter().find(|candidate| candidate.path == path) {
            return Ok(known.clone());
        }
        let candidate = Candidate::read(path, &self.allow_torch_skew)?;
        named.push(candidate.clone());
        Ok(candidate)
    }

    fn unknown(&self, kind: Kind, spec: &str) -> PluginError {
        let named = self.named.borrow();
        let components = self.candidates.iter().chain(named.iter()).flat_map(|c| &c.manifest.components);
        let known: BTreeSet<String> =
            components.filter(|c| c.kind == kind.name()).map(|component| component.name.clone()).collect();
        let near = known.iter().map(|name| (strsim::damerau_levenshtein(name, spec), name)).min();
        let nearest = near.filter(|&(distance, _)| distance <= 1 + spec.len() / 3).map(|(_, name)| name.clone());
        PluginError::Unknown {
            kind: kind.name(),
            name: spec.to_owned(),
            known: known.into_iter().collect(),
            nearest,
            searched: self.folders.clone(),
        }
    }
}

fn names_a_build(hash: &str) -> bool {
    (LEAST_DIGITS..=64).contains(&hash.len()) && hash.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// How many digits of their hashes tell builds apart, at least twelve.
fn telling_digits(builds: &[Candidate]) -> usize {
    let apart = |digits: &usize| {
        let starts: BTreeSet<&str> = builds.iter().map(|build| &build.sha256[..*digits]).collect();
        starts.len() == builds.len()
    };
    (12..64).find(apart).unwrap_or(64)
}
