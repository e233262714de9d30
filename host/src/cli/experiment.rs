//! What commands on an experiment share: which config, which plugins.

use crate::{
    config::{ComponentSchemas, Resolved, Sources, resolve},
    error::{Error, Fault, Result},
    plugin::{Kind, PluginError, Registry, lock::Lock, search_folders},
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
}

impl ExperimentArguments {
    /// Finds plugins and resolves the config.
    ///
    /// # Errors
    /// Every fault of the config, or a lock file that can't be read.
    pub fn resolve(&self) -> Result<(Resolved, Registry)> {
        let registry = self.registry()?;
        let sources = Sources { files: self.files.clone(), set: self.set.clone(), ..Sources::default() };
        let resolved = resolve(&sources.with_process_environment(), &Schemas(&registry));
        Ok((resolved.map_err(|faults| Error::Config { faults })?, registry))
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

    /// The experiment's name: that of its last file.
    pub fn name(&self) -> String {
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

/// Components' schemas out of the registry.
pub struct Schemas<'a>(pub &'a Registry);

impl ComponentSchemas for Schemas<'_> {
    fn schema(&self, kind: &str, name: &str, path: Option<&str>) -> Result<Value, Fault> {
        let kind = Kind::from_name(kind).ok_or_else(|| Fault::new(format!("unknown kind `{kind}`")))?;
        self.0.schema(kind, name, path.map(Path::new)).map_err(|error| {
            let fault = error.fault();
            // The place in the config says more than the folders that were searched.
            if matches!(error, PluginError::Unknown { .. }) { Fault { at: None, ..fault } } else { fault }
        })
    }
}
