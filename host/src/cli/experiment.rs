//! What commands on an experiment share: which config, which plugins.

use super::published::PublishedArguments;
use crate::{
    config::{Device, Flag, FlagValue, Precision, Resolved, Sources, Survey, resolve, survey},
    error::{Error, Fault, Result},
    plugin::{Registry, Schemas, lock::Lock, search_folders},
    train::{Arithmetic, resolve_device},
};
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Which experiment.
#[derive(Clone, Debug, Default, Args)]
pub struct ExperimentArguments {
    /// Config files; later ones win
    #[arg(value_name = "CONFIG")]
    pub files: Vec<PathBuf>,
    /// Set a value: `--set train.batch_size=64`; wins over files and environment
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Refuse plugins that are not in `plugins.lock`
    #[arg(long)]
    pub locked: bool,
    /// Mixed precision, as published: f16 with loss scaling on a GPU, bf16 on a CPU
    #[arg(long)]
    pub amp: bool,
    #[command(flatten)]
    pub published: PublishedArguments,
    /// Whether the files are of runs, resolved then: the environment has no say.
    #[arg(skip)]
    of_run: bool,
}

impl ExperimentArguments {
    /// Finds plugins and resolves the config.
    ///
    /// # Errors
    /// Every fault of the config, or a lock file that can't be read.
    pub fn resolve(&self) -> Result<(Resolved, Registry)> {
        let registry = self.registry()?;
        let sources = self.sources(&registry)?;
        let resolved = resolve(&sources, &Schemas(&registry)).map_err(|faults| Error::Config { faults })?;
        let classifiers = sources.published.is_some_and(|defaults| defaults.classifiers);
        if classifiers && resolved.experiment.encoder.weights.is_none() {
            let fault = Fault::new("`--classifiers` trains on a frozen encoder, but nothing says on which");
            return Err(Error::config(fault.hint("name its weights: `--cpt_load_path PATH`")));
        }
        Ok((resolved, registry))
    }

    /// What is said about every key; the host's own keys where no config is given.
    ///
    /// # Errors
    /// As [`ExperimentArguments::resolve`].
    pub fn survey(&self) -> Result<Survey> {
        let registry = self.registry()?;
        let survey = survey(&self.sources(&registry)?, &Schemas(&registry));
        survey.map_err(|faults| Error::Config { faults })
    }

    /// The experiment of one config file.
    pub fn of_file(file: &Path) -> Self {
        Self { files: vec![file.to_owned()], ..Self::default() }
    }

    /// Takes a run directory among the files for the config that it holds.
    #[must_use]
    pub fn with_runs(mut self) -> Self {
        for file in self.files.iter_mut().filter(|file| file.is_dir()) {
            file.push("config.toml");
            self.of_run = true;
        }
        self
    }

    /// Whether anything says which experiment is meant.
    pub fn are_bare(&self) -> bool {
        self.files.is_empty() && self.published.are_empty()
    }

    fn sources(&self, registry: &Registry) -> Result<Sources> {
        let published = self.files.is_empty().then(|| self.published.defaults()).flatten();
        let sources = Sources {
            files: self.files.clone(),
            published,
            dataset: self.published.dataset(),
            flags: self.published.flags(),
            set: self.set.clone(),
            ..Sources::default()
        };
        let sources = if self.of_run { sources } else { sources.with_process_environment() };
        if self.amp { self.with_amp(sources, registry) } else { Ok(sources) }
    }

    /// Sets the precision that `--amp` means on the experiment's device.
    fn with_amp(&self, mut sources: Sources, registry: &Registry) -> Result<Sources> {
        if self.set.iter().any(|value| value.trim_start().starts_with("train.precision")) {
            let fault = Fault::new("`--amp` and `--set train.precision=…` both choose the precision");
            return Err(Error::config(fault.hint("give one of them")));
        }
        let flag = |precision: Precision| Flag {
            name: "--amp",
            key: "train.precision",
            value: FlagValue::Text(precision.to_string()),
        };
        sources.flags.push(flag(Precision::F16)); // what the device is does not depend on it
        let survey = survey(&sources, &Schemas(registry)).map_err(|faults| Error::Config { faults })?;
        let device = survey.device().unwrap_or(Device::Auto);
        sources.flags.pop();
        sources.flags.push(flag(Arithmetic::of_amp(resolve_device(device, 0)?)));
        Ok(sources)
    }

    /// The plugins that this experiment can use. The folders that a config adds must be known before it can be checked,
    /// so they are read on their own first.
    ///
    /// # Errors
    /// A lock file that can't be read.
    pub fn registry(&self) -> Result<Registry> {
        self.registry_for(&self.files)
    }

    /// The same for a run's own config.
    ///
    /// # Errors
    /// A lock file that can't be read.
    pub fn registry_of(&self, file: &Path) -> Result<Registry> {
        self.registry_for(&[file.to_owned()])
    }

    /// The plugins that a study's experiments can use: those beside its file, and those that its bases add.
    ///
    /// # Errors
    /// A lock file that can't be read.
    pub fn registry_of_study(file: &Path, bases: &[PathBuf], set: &[String]) -> Result<Registry> {
        let files: Vec<PathBuf> = [file.to_owned()].into_iter().chain(bases.iter().cloned()).collect();
        Self { set: set.to_vec(), ..Self::default() }.registry_for(&files)
    }

    fn registry_for(&self, files: &[PathBuf]) -> Result<Registry> {
        let folder = files.first().and_then(|file| file.parent()).map(Path::to_owned);
        let folder = folder.map(|folder| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder });
        let plugins = plugins_table(files, &self.set);
        let lock = match &folder {
            Some(folder) => match Lock::read(folder, false)? {
                Some(_) => Lock::read(folder, self.locked)?,
                None => Lock::read(Path::new("."), self.locked)?,
            },
            None => Lock::read(Path::new("."), self.locked)?,
        };
        let strings = |key: &str| -> Vec<String> {
            let list = plugins.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
            list.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        let configured: Vec<PathBuf> = strings("search").into_iter().map(PathBuf::from).collect();
        let folders = search_folders(&configured, folder.as_deref());
        Ok(Registry::search(folders, &strings("allow_torch_skew"), lock))
    }

    /// The experiment's name: that of its last file, or of the published one.
    pub fn name(&self) -> String {
        if self.files.is_empty()
            && let Some(defaults) = self.published.defaults()
        {
            return format!("amdim-{}", defaults.dataset.name().to_lowercase());
        }
        let stem = self.files.last().and_then(|file| file.file_stem());
        stem.map_or_else(|| "experiment".to_owned(), |stem| stem.to_string_lossy().into_owned())
    }
}

/// The `plugins` table as files and `--set` give it; anything wrong with it is found when the whole is resolved.
fn plugins_table(files: &[PathBuf], set: &[String]) -> Value {
    let mut table = toml::Table::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Ok(toml::Value::Table(plugins)) =
            text.parse::<toml::Table>().map(|mut t| t.remove("plugins").unwrap_or(toml::Value::Boolean(false)))
        {
            table.extend(plugins);
        }
    }
    for assignment in set {
        if let Some((key, value)) = assignment.strip_prefix("plugins.").and_then(|rest| rest.split_once('='))
            && let Ok(mut parsed) = format!("value = {value}").parse::<toml::Table>()
        {
            table.insert(key.trim().to_owned(), parsed.remove("value").expect("written above"));
        }
    }
    serde_json::to_value(table).unwrap_or_default()
}
