//! A run that is to be repeated: its config, the libraries that it kept, and what speaks against the same bits.

use crate::{
    config::{KINDS, Resolved},
    dataset::Source,
    error::{Error, Fault, Result},
    plugin::{Candidate, Kind, LIBTORCH, PluginError, Registry, Schemas, lock::Lock},
    record::{ENCODER, Hardware, History, IDENTITY, Identity},
    train::Setup,
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

/// A run that is to be repeated.
pub struct Original {
    run: PathBuf,
    config: Table,
    identity: Identity,
    history: History,
    /// The library of each kind, in the order of the flow, and the component's name in it.
    libraries: Vec<(Candidate, String)>,
}

impl Original {
    /// Reads a run.
    ///
    /// # Errors
    /// No run, one that can't be repeated in one go, or a library that it has not kept.
    pub fn open(run: &Path) -> Result<Self> {
        let path = run.join("config.toml");
        if !path.is_file() || !run.join("run.json").is_file() {
            let message =
                format!("`{}` is no run that trained: it has no `config.toml` or no `run.json`", run.display());
            return Err(Error::config(Fault::new(message).hint("name a run directory, such as `runs/shapes-demo-1`")));
        }
        let run = fs::canonicalize(run).map_err(Error::io("find", run))?;
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let config: Table = toml::from_str(&text).map_err(|error| {
            let fault = Fault::new(format!("the run's config can't be read: {}", error.message()));
            Error::config(fault.at(path.display().to_string()))
        })?;
        let identity = Identity::read(&run)?;
        let history = History::read(&run).map_err(|reason| Error::config(Fault::new(reason)))?;
        let mut original = Self { run, config, identity, history, libraries: Vec::new() };
        original.check_one_go()?;
        original.libraries = Kind::ALL.into_iter().map(|kind| original.library(kind)).collect::<Result<_>>()?;
        Ok(original)
    }

    /// The run directory.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// The name of the run directory.
    pub fn name(&self) -> String {
        self.run.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether the run came to its end.
    pub fn is_finished(&self) -> bool {
        self.run.join(ENCODER).exists()
    }

    /// Writes config and lock file of the repetition into a folder.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join("config.toml");
        fs::copy(self.run.join("config.toml"), &path).map_err(Error::io("write", &path))?;
        let libraries: Vec<Candidate> = self.libraries.iter().map(|(library, _)| library.clone()).collect();
        Lock::write(folder, &libraries)?;
        Ok(path)
    }

    /// What is set besides: the run's own copies of the libraries, and as many threads and the library of products as then.
    pub fn settings(&self) -> Vec<String> {
        let text = |value: &str| Value::from(value).to_string();
        let mut settings = vec![format!("train.threads={}", self.identity.threads)];
        if let Some(products) = self.identity.products {
            settings.push(format!("train.products={}", Value::from(products.to_string())));
        }
        settings.extend(self.identity.kept_files(&self.run));
        for (kind, (library, name)) in KINDS.iter().zip(&self.libraries) {
            settings.push(format!("{kind}.path={}", text(&library.path.to_string_lossy())));
            settings.push(format!("{kind}.name={}", text(name)));
        }
        settings
    }

    /// Makes sure that the data are those of then, with the config and the libraries of then.
    ///
    /// # Errors
    /// Other data, or a config that this host can't take any more.
    pub fn check_data(&self, config: &Path) -> Result<()> {
        let registry = Registry::search(vec![self.run.join("plugins")], &self.skewed(), None);
        let resolved = Resolved::from_file(config, &self.settings(), &Schemas(&registry));
        let experiment = resolved.map_err(|faults| registry.told(faults))?.experiment;
        let setup = Setup::new(&experiment, &registry, "cpu")?;
        self.identity.check_files(&self.run.join(IDENTITY), &setup.files()?, &[])?;
        let short_side = setup.augmentation_description.decode_short_side;
        let source = Source::open(&setup.dataset, &experiment.dataset, short_side)?;
        source.hush();
        let (then, now) = (&self.identity.dataset, source.facts());
        if then.fingerprint == now.fingerprint {
            return Ok(());
        }
        let count = |facts: &infomax_sdk::DatasetFacts| facts.splits.iter().map(|split| split.length).sum::<u64>();
        let message = format!("the data changed since the run: {} images then, {} now", count(then), count(now));
        Err(Error::Dataset { fault: Fault::new(message).hint("put the data back: other data give another result") })
    }

    /// What speaks against the same bits, though the run can be repeated.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let identity = &self.identity;
        let mut changed = |what: &str, then: &str, now: &str| {
            if then != now {
                doubts.push(format!("{what}: {then} then, {now} now"));
            }
        };
        changed("infomax", &identity.infomax, env!("CARGO_PKG_VERSION"));
        changed("libtorch", &identity.libtorch, LIBTORCH);
        let then: Vec<String> =
            Hardware::read(&self.run).unwrap_or_default().into_iter().map(|h| h.processor).collect();
        if !then.is_empty() {
            changed("processor", &then.join(" and "), &Hardware::of_this_machine().processor);
        }
        for (name, then, now) in identity.provenance.iter().flat_map(|provenance| provenance.other_arithmetic()) {
            changed(name, &then, &now);
        }
        if identity.device != "Cpu" {
            doubts.push(format!("it ran on {}: only a CPU gives the same bits again", identity.device));
        }
        let parts = self.history.parts.len();
        if parts > 1 {
            doubts.push(format!("it was trained in {parts} parts, and is repeated in one go"));
        }
        if !self.is_finished() {
            doubts.push("it did not come to its end: compared is what it recorded until then".to_owned());
        }
        doubts
    }

    /// A run whose settings, builds or data were changed on the way, or that went by the clock, has no one config.
    fn check_one_go(&self) -> Result<()> {
        let refuse = |message: String, hint: &str| {
            let fault = Fault::new(message).at(self.run.display().to_string());
            Err(Error::config(fault.hint(hint)))
        };
        if let Some(file) = ["config-1.toml", "run-1.json"].into_iter().find(|file| self.run.join(file).exists()) {
            let message = format!("the run was changed on the way, as `{file}` tells: it can't be repeated in one go");
            return refuse(message, "repeat it as it was trained: `infomax train`, then `--resume` with the changes");
        }
        if self.config.get("train").and_then(|train| train.get("seconds")).is_some() {
            let message = "the run's length was set by the clock (`train.seconds`): it can't be repeated bit by bit";
            return refuse(message.to_owned(), "give a run its length in `train.steps` or `train.epochs`");
        }
        Ok(())
    }

    fn skewed(&self) -> Vec<String> {
        let listed = self.config.get("plugins").and_then(|plugins| plugins.get("allow_torch_skew"));
        let listed = listed.and_then(Value::as_array).into_iter().flatten();
        listed.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The library that the run kept for a kind, checked.
    fn library(&self, kind: Kind) -> Result<(Candidate, String)> {
        let name = self.config.get(kind.name()).and_then(|table| table.get("name")).and_then(Value::as_str);
        let name = name.unwrap_or_default();
        let Some((copy, plugin)) = self.identity.copy(&self.run, kind) else {
            // A run from before `run.json` told which component is from which library.
            let registry = Registry::search(vec![self.run.join("plugins")], &self.skewed(), None);
            return Ok(registry.find(kind, name, None)?);
        };
        let candidate = Candidate::read(&copy, &self.skewed())?;
        if candidate.sha256 != plugin.sha256 {
            let (then, now) = (&plugin.sha256[..12], &candidate.sha256[..12]);
            let reason = format!("the run was trained with {then}…, this file has the hash {now}…");
            return Err(PluginError::refused(copy, reason, "put the run's own copy back").into());
        }
        Ok((candidate, name.split('@').next().unwrap_or_default().to_owned()))
    }
}
