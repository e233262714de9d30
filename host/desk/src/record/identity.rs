//! `run.json`: which builds, data and machine a run's numbers come from; a resumed run must have the same builds and data.

use super::provenance::Provenance;
use crate::{
    config::Products,
    error::{Error, Fault, Result},
    plugin::Kind,
};
use infomax_sdk::DatasetFacts;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The folder of a run directory with copies of the files that components are read from.
const FILES: &str = "files";

/// The file's name in a run directory.
pub const IDENTITY: &str = "run.json";

/// What a run was made with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The host's version.
    pub infomax: String,
    /// The libtorch that it is built for.
    pub libtorch: String,
    /// SHA-256 of the resolved config.
    pub config: String,
    /// `Cpu`, `Cuda(0)`, …
    pub device: String,
    /// Threads inside one operation.
    pub threads: usize,
    /// Which library multiplied matrices of f32 numbers; runs of infomax 0.1.0 don't all say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<Products>,
    /// By name; where two builds of one plugin stand side by side, by `name@sha256:…`.
    pub plugins: BTreeMap<String, PluginIdentity>,
    /// Which of them each component is from, by kind; runs of infomax 0.1.0 don't all say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<String, String>,
    /// SHA-256 of each file that a component is read from, by the key that names it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// What the dataset found.
    pub dataset: DatasetFacts,
    /// Which labels are used, where not all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelIdentity>,
    /// How the run was started; runs of infomax 0.1.0 don't all say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

/// Which labels were chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelIdentity {
    pub count: usize,
    pub sha256: String,
}

/// Which build of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginIdentity {
    pub version: String,
    pub sha256: String,
    pub abi: [u32; 2],
    pub rustc: String,
    pub libtorch: Option<String>,
    /// Of the copy in the run directory.
    pub file: String,
}

impl Identity {
    /// The identity that a run began with.
    ///
    /// # Errors
    /// A file that can't be read, or holds something else.
    pub fn read(run: &Path) -> Result<Self> {
        let path = run.join(IDENTITY);
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        serde_json::from_str(&text).map_err(|error| {
            let fault = Fault::new(format!("the run's identity can't be read: {error}"));
            Error::Checkpoint { fault: fault.at(path.display().to_string()).hint("start a new run") }
        })
    }

    /// Whether a run has an identity.
    pub fn is_written(&self, run: &Path) -> bool {
        run.join(IDENTITY).exists()
    }

    /// Makes sure that a run goes on with the builds and the data that it began with.
    ///
    /// # Errors
    /// What differs, all of it, but for what is overridden by name: `dataset`, `libtorch`, `plugin.NAME`, the key of a component's file.
    pub fn check(&self, run: &Path, overrides: &[String]) -> Result<()> {
        let overridden = |name: &str| overrides.iter().any(|other| other == name);
        let path = run.join(IDENTITY);
        let fail = |message: String, hint: &str| {
            Err(Error::Checkpoint { fault: Fault::new(message).at(path.display().to_string()).hint(hint) })
        };
        let before = Self::read(run)?;
        let mut changed = Vec::new();
        let names = before.plugins.keys().chain(self.plugins.keys());
        for name in names.collect::<std::collections::BTreeSet<_>>() {
            let hash = |identity: &Self| identity.plugins.get(name).map_or("absent", |p| &p.sha256[..12]).to_owned();
            let (then, now) = (hash(&before), hash(self));
            if then != now && !overridden(&format!("plugin.{name}")) {
                changed.push(format!("`{name}` was {then}, is {now}"));
            }
        }
        if !changed.is_empty() {
            let hint = "the run directory keeps the libraries: list its `plugins` folder under `plugins.search`; or pass `--override plugin.NAME` to go on with another build";
            return fail(format!("plugins changed since the run began: {}", changed.join("; ")), hint);
        }
        if before.libtorch != self.libtorch && !overridden("libtorch") {
            let message =
                format!("libtorch changed since the run began: {} then, {} now", before.libtorch, self.libtorch);
            return fail(message, "use the libtorch of then, or pass `--override libtorch`");
        }
        before.check_files(&path, &self.files, overrides)?;
        if before.dataset.fingerprint != self.dataset.fingerprint && !overridden("dataset") {
            let count = |identity: &Self| identity.dataset.splits.iter().map(|split| split.length).sum::<u64>();
            let message =
                format!("the dataset changed since the run began: {} images then, {} now", count(&before), count(self));
            return fail(message, "put the data back, or pass `--accept-dataset-change` (or `--override dataset`)");
        }
        let may_choose = ["dataset", "dataset.label_list", "dataset.label_fraction"].into_iter().any(overridden);
        if before.labels != self.labels && !may_choose {
            let count = |identity: &Self| identity.labels.as_ref().map_or("all".to_owned(), |l| l.count.to_string());
            let message = format!(
                "the chosen labels changed since the run began: {} labels then, {} now",
                count(&before),
                count(self)
            );
            return fail(message, "put the file `dataset.label_list` back, or pass `--override dataset.label_list`");
        }
        Ok(())
    }

    /// Where a run keeps a copy of a component's file.
    pub fn file_to_keep(run: &Path, key: &str, from: &Path) -> PathBuf {
        let extension = from.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
        run.join(FILES).join(format!("{key}{}", extension.unwrap_or_default()))
    }

    /// The settings that put the run's own copies in the place of the files that its config names, as `--set` takes them.
    pub fn kept_files(&self, run: &Path) -> Vec<String> {
        let names = fs::read_dir(run.join(FILES)).into_iter().flatten().flatten().map(|entry| entry.path());
        let copies: Vec<PathBuf> = names.collect();
        let setting = |key: &String| {
            let is_its = |copy: &&PathBuf| {
                let name = copy.file_name().unwrap_or_default().to_string_lossy();
                name.strip_prefix(key.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            let copy = copies.iter().find(is_its)?;
            Some(format!("{key}={}", Value::from(copy.to_string_lossy().into_owned())))
        };
        self.files.keys().filter_map(setting).collect()
    }

    /// Those of [`Identity::kept_files`] whose file the run's config names but is no longer there.
    pub fn kept_where_gone(run: &Path) -> Vec<String> {
        let config = fs::read_to_string(run.join("config.toml")).ok().and_then(|text| text.parse::<toml::Table>().ok());
        let (Some(config), Ok(identity)) = (config, Self::read(run)) else { return Vec::new() };
        let is_gone = |setting: &String| {
            let key = setting.split_once('=').map_or("", |(key, _)| key);
            let mut parts = key.split('.');
            let first = parts.next().and_then(|part| config.get(part));
            let named = parts.fold(first, |value, part| value?.get(part)).and_then(toml::Value::as_str);
            named.is_some_and(|path| !Path::new(path).exists())
        };
        identity.kept_files(run).into_iter().filter(is_gone).collect()
    }

    /// Makes sure that components are read from the files that they were read from when the run began; `at` is the run's file.
    ///
    /// # Errors
    /// A file that changed, but for what is overridden by the key that names it.
    pub fn check_files(&self, at: &Path, now: &BTreeMap<String, String>, overrides: &[String]) -> Result<()> {
        let changed = |key: &&String| now.get(*key).is_some_and(|hash| *hash != self.files[*key]);
        let Some(key) = self.files.keys().filter(|key| !overrides.contains(key)).find(changed) else { return Ok(()) };
        let short = |hash: &str| hash.get(..12).unwrap_or(hash).to_owned();
        let (then, now) = (short(&self.files[key]), short(&now[key]));
        let fault = Fault::new(format!("the file of `{key}` changed since the run began: {then} then, {now} now"));
        let hint = format!(
            "put the file of then back, which the run keeps in `files`, or pass `--override {key}` to go on with another"
        );
        Err(Error::Checkpoint { fault: fault.at(at.display().to_string()).hint(hint) })
    }

    /// The copy that a run keeps of a component's library; none where it does not say.
    pub fn copy(&self, run: &Path, kind: Kind) -> Option<(PathBuf, &PluginIdentity)> {
        let plugin = self.plugins.get(self.components.get(kind.name())?)?;
        Some((run.join("plugins").join(&plugin.file), plugin))
    }

    /// The hash of each plugin library, by name.
    pub fn plugin_hashes(&self) -> BTreeMap<String, String> {
        self.plugins.iter().map(|(name, plugin)| (name.clone(), plugin.sha256.clone())).collect()
    }
}
