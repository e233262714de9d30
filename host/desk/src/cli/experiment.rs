//! What commands on an experiment share: which config, which plugins.

use super::published::PublishedArguments;
use crate::{
    config::{Device, Explained, Flag, FlagValue, LENGTHS, Precision, Resolved, Sources, Survey, resolve, survey},
    console::note,
    error::{Error, Fault, Result},
    plugin::{Registry, Schemas, found_beside, lock::Lock},
};
use clap::Args;
use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// Updates of a run that only tries things out.
const SMOKE_STEPS: u64 = 4;

/// What `--amp` means on a device, which only the engine can look at.
type PrecisionOf = fn(Device) -> Result<Precision>;

static AMP: OnceLock<PrecisionOf> = OnceLock::new();

/// From now on, `--amp` means what this says.
pub fn amp_means(precision: PrecisionOf) {
    let _ = AMP.set(precision);
}

/// Which plugins may be used.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Trust {
    /// Refuse plugins that are not in `plugins.lock`: the one beside the config, or else the one in the working directory
    #[arg(long)]
    pub locked: bool,
}

impl Trust {
    /// The working directory's lock, where plugins must be in it.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn lock(self) -> Result<Option<Lock>> {
        if self.locked { Lock::read(Path::new("."), true) } else { Ok(None) }
    }
}

/// Which experiment.
#[derive(Clone, Debug, Default, Args)]
pub struct ExperimentArguments {
    /// Config files; later ones win
    #[arg(value_name = "CONFIG", value_parser = config_file)]
    pub files: Vec<PathBuf>,
    /// Set a value: `--set train.batch_size=64`; wins over files and environment
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub trust: Trust,
    /// Mixed precision, as published: f16 with loss scaling on a GPU, bf16 on a CPU that has it
    #[arg(long)]
    pub amp: bool,
    #[command(flatten)]
    pub published: PublishedArguments,
    /// Whether the files are of runs, resolved then: the environment has no say.
    #[arg(skip)]
    of_run: bool,
}

/// A config file; a bare name is that of an experiment under `configs`.
fn config_file(text: &str) -> std::result::Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.exists() {
        return Ok(path);
    }
    if let Some((key, _)) = text.split_once('=')
        && !key.is_empty()
        && !key.contains(['/', ' '])
    {
        return Err(format!("it is no file; a value is set with `--set {text}`"));
    }
    let is_name = path.extension().is_none() && !path.is_absolute() && !text.starts_with('.');
    let folders = ["configs/experiments", "configs"].map(|folder| Path::new(folder).join(format!("{text}.toml")));
    let named = folders.into_iter().find(|file| is_name && file.is_file());
    if let Some(file) = &named {
        eprintln!("config: {}", file.display());
    }
    Ok(named.unwrap_or(path)) // what is not there is told when it is read
}

impl ExperimentArguments {
    /// As [`ExperimentArguments::resolve`], but short: a few updates, a test and a checkpoint among them.
    ///
    /// # Errors
    /// As [`ExperimentArguments::resolve`].
    pub fn resolve_smoke(&mut self) -> Result<(Resolved, Registry)> {
        // What makes sense depends on the experiment, which is looked at with a warm-up that fits whatever it says.
        let own = |key: &str, set: &[String]| set.iter().any(|set| set.trim_start().starts_with(&format!("{key}=")));
        if !LENGTHS.iter().any(|key| own(key, &self.set)) {
            self.set.push(format!("train.steps={SMOKE_STEPS}"));
        }
        if !own("optimizer.warmup_steps", &self.set) && !own("optimizer.warmup_epochs", &self.set) {
            self.set.push("optimizer.warmup_steps=1".to_owned());
        }
        let (resolved, _) = self.resolve_quietly()?;
        let shorter = [
            ("evaluation", "every_steps", SMOKE_STEPS / 2),
            ("checkpoint", "every_steps", SMOKE_STEPS / 2),
            ("train", "log_every_steps", 1),
        ];
        for (table, field, value) in shorter {
            let key = format!("{table}.{field}");
            let epochs = format!("{table}.every_epochs");
            let acts =
                matches!(resolved.survey.explain(&key), Ok(Explained::Field(field)) if field.without_effect.is_none());
            if acts && !own(&key, &self.set) && !own(&epochs, &self.set) {
                self.set.push(format!("{key}={value}"));
            }
        }
        if resolved.experiment.evaluation.untrained && !own("evaluation.untrained", &self.set) {
            self.set.push("evaluation.untrained=false".to_owned());
        }
        self.resolve()
    }

    /// Finds plugins and resolves the config.
    ///
    /// # Errors
    /// Every fault of the config, or a lock file that can't be read.
    pub fn resolve(&self) -> Result<(Resolved, Registry)> {
        let found = self.resolve_quietly()?;
        found.0.notes.iter().for_each(note);
        Ok(found)
    }

    fn resolve_quietly(&self) -> Result<(Resolved, Registry)> {
        let registry = self.registry()?;
        let sources = self.sources(&registry)?;
        let resolved = resolve(&sources, &Schemas(&registry)).map_err(|faults| registry.told(faults))?;
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
        survey.map_err(|faults| registry.told(faults))
    }

    /// No experiment, and the plugins that may be used.
    pub fn trusting(trust: Trust) -> Self {
        Self { trust, ..Self::default() }
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
        if self.amp { self.with_amp(self.said(), registry) } else { Ok(self.said()) }
    }

    /// What files, flags and environment say, but for what depends on the device.
    fn said(&self) -> Sources {
        let sources = Sources {
            files: self.files.clone(),
            published: self.files.is_empty().then(|| self.published.defaults()).flatten(),
            dataset: self.published.dataset(),
            flags: self.published.flags(),
            set: self.set.clone(),
            ..Sources::default()
        };
        if self.of_run { sources } else { sources.with_process_environment() }
    }

    /// Sets the precision that `--amp` means on the experiment's device.
    fn with_amp(&self, mut sources: Sources, registry: &Registry) -> Result<Sources> {
        if self.set.iter().any(|value| value.trim_start().starts_with("train.precision")) {
            let fault = Fault::new("`--amp` and `--set train.precision=…` both choose the precision");
            return Err(Error::config(fault.hint("give one of them")));
        }
        let precision = AMP.get().ok_or_else(|| Error::Bug { what: "`--amp` without the engine".to_owned() })?;
        let flag = |precision: Precision| Flag {
            name: "--amp",
            key: "train.precision",
            value: FlagValue::Text(precision.to_string()),
        };
        sources.flags.push(flag(Precision::F16)); // what the device is does not depend on it
        let survey = survey(&sources, &Schemas(registry)).map_err(|faults| registry.told(faults))?;
        let device = survey.device().unwrap_or(Device::Auto);
        sources.flags.pop();
        sources.flags.push(flag(precision(device)?));
        Ok(sources)
    }

    /// The plugins that this experiment can use: those beside its first file, and in the folders that it adds.
    ///
    /// # Errors
    /// A lock file that can't be read.
    pub fn registry(&self) -> Result<Registry> {
        self.registry_for(self.files.first().map(PathBuf::as_path), &self.said())
    }

    /// The same for a run's own config.
    ///
    /// # Errors
    /// A lock file that can't be read.
    pub fn registry_of(&self, file: &Path) -> Result<Registry> {
        let said = Sources { files: vec![file.to_owned()], set: self.set.clone(), ..Sources::default() };
        self.registry_for(Some(file), &said)
    }

    fn registry_for(&self, beside: Option<&Path>, said: &Sources) -> Result<Registry> {
        found_beside(beside, said, self.trust.locked)
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
