//! `run.json`: which builds, data and machine a run's numbers come from; a resumed run must have the same builds and data.

use super::setup::Setup;
use crate::{
    config::Products,
    dataset::Source,
    error::{Error, Fault, Result},
    native::products,
    plugin::{Candidate, Kind},
    record::{free_path, write_whole},
};
use infomax_sdk::DatasetFacts;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const FILE: &str = "run.json";

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
    /// What the dataset found.
    pub dataset: DatasetFacts,
    /// Which labels are used, where not all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelIdentity>,
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
    /// The identity of a run with these components.
    pub fn new(setup: &Setup, config: &str, source: &Source, device: tch::Device, threads: usize) -> Self {
        let libraries = setup.components().map(|component| &component.library.candidate);
        let plugins = libraries.map(|library| {
            let Candidate { manifest, sha256, .. } = library.clone();
            let identity = PluginIdentity {
                version: manifest.version,
                sha256,
                abi: manifest.abi,
                rustc: manifest.rustc,
                libtorch: manifest.libtorch,
                file: kept_as(library, &libraries),
            };
            (known_as(library, &libraries), identity)
        });
        let named = setup.components().map(|c| (c.kind.name().to_owned(), known_as(&c.library.candidate, &libraries)));
        Self {
            infomax: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: crate::plugin::LIBTORCH.to_owned(),
            config: config.to_owned(),
            device: format!("{device:?}"),
            threads,
            products: Some(products::now()),
            plugins: plugins.into_iter().collect(),
            components: named.into_iter().collect(),
            dataset: source.facts().clone(),
            labels: source
                .choice()
                .map(|choice| LabelIdentity { count: choice.stage().len(), sha256: choice.digest() }),
        }
    }

    /// Writes the identity and keeps a copy of the libraries, so that the run can be repeated with them.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn write(&self, run: &Path, setup: &Setup) -> Result<()> {
        let folder = run.join("plugins");
        fs::create_dir_all(&folder).map_err(Error::io("make the folder", &folder))?;
        let libraries = setup.components().map(|component| &component.library.candidate);
        for component in setup.components() {
            let to = folder.join(kept_as(&component.library.candidate, &libraries));
            fs::copy(component.library.bytes(), &to).map_err(Error::io("copy a plugin to", &to))?;
        }
        let path = run.join(FILE);
        let text = serde_json::to_string_pretty(self).expect("an identity is plain data");
        write_whole(&path, text.as_bytes())
    }

    /// Writes the identity of a run that begins. Of one that goes on with other builds or data, which were overridden, what it was
    /// made with until then is kept beside as `run-1.json`, `run-2.json`, ….
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn adopt(&self, run: &Path, setup: &Setup) -> Result<()> {
        if !self.is_written(run) {
            return self.write(run, setup);
        }
        let before = Self::read(run)?;
        let hashes = |identity: &Self| identity.plugin_hashes();
        let is_same = hashes(&before) == hashes(self)
            && before.libtorch == self.libtorch
            && before.dataset.fingerprint == self.dataset.fingerprint
            && before.labels == self.labels;
        if is_same {
            return Ok(());
        }
        let kept = free_path(run, "run", ".json");
        fs::copy(run.join(FILE), &kept).map_err(Error::io("write", &kept))?;
        for plugin in before.plugins.values() {
            let replaced = |now: &PluginIdentity| now.file == plugin.file && now.sha256 != plugin.sha256;
            let file = run.join("plugins").join(&plugin.file);
            if self.plugins.values().any(replaced) && file.exists() {
                let name = format!("{}.{}", plugin.file, &plugin.sha256[..12]);
                fs::rename(&file, run.join("plugins").join(name)).map_err(Error::io("move away", &file))?;
            }
        }
        self.write(run, setup)
    }

    /// The identity that a run began with.
    ///
    /// # Errors
    /// A file that can't be read, or holds something else.
    pub fn read(run: &Path) -> Result<Self> {
        let path = run.join(FILE);
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        serde_json::from_str(&text).map_err(|error| {
            let fault = Fault::new(format!("the run's identity can't be read: {error}"));
            Error::Checkpoint { fault: fault.at(path.display().to_string()).hint("start a new run") }
        })
    }

    /// Whether a run has an identity.
    pub fn is_written(&self, run: &Path) -> bool {
        run.join(FILE).exists()
    }

    /// Makes sure that a run goes on with the builds and the data that it began with.
    ///
    /// # Errors
    /// What differs, all of it, but for what is overridden by name: `dataset`, `libtorch`, `plugin.NAME`.
    pub fn check(&self, run: &Path, overrides: &[String]) -> Result<()> {
        let overridden = |name: &str| overrides.iter().any(|other| other == name);
        let path = run.join(FILE);
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

/// Digits of a hash that tell builds of one plugin apart.
const DIGITS: usize = 12;

/// What a run calls a library: its plugin's name, with the hash where another build of it stands beside.
fn known_as(library: &Candidate, all: &[&Candidate]) -> String {
    let name = &library.manifest.name;
    let is_twin = |other: &&Candidate| other.manifest.name == *name && other.sha256 != library.sha256;
    if all.iter().any(is_twin) { format!("{name}@sha256:{}", &library.sha256[..DIGITS]) } else { name.clone() }
}

/// The file's name among a run's copies: its own, with the hash where another library has the same.
fn kept_as(library: &Candidate, all: &[&Candidate]) -> String {
    let name = |library: &Candidate| library.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let own = name(library);
    if all.iter().all(|other| name(other) != own || other.sha256 == library.sha256) {
        return own;
    }
    format!("{}.{}.so", own.trim_end_matches(".so"), &library.sha256[..DIGITS])
}
