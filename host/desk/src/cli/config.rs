//! `infomax config`.

use super::{
    experiment::ExperimentArguments,
    explain::{self, columns},
    say,
};
use crate::{
    config::{difference, read_resolved, shown},
    error::{Error, Fault, Result},
};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Commands on configs.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Print the resolved config: every value that has an effect, defaults filled in
    Show(ExperimentArguments),
    /// Say where a value comes from, and what its key means and takes
    Explain(Explain),
    /// List the keys whose values differ
    Diff(Diff),
}

/// Arguments of `infomax config explain`.
#[derive(Debug, Args)]
#[command(after_help = "In place of a config file a run directory can be given. \
    Example: infomax config explain optimizer.lr configs/experiments/shapes-demo.toml")]
pub struct Explain {
    /// A field such as `optimizer.lr`, or a table such as `train`
    key: String,
    #[command(flatten)]
    experiment: ExperimentArguments,
}

/// Arguments of `infomax config diff`.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax config diff runs/shapes-demo-1 configs/experiments/shapes-demo.toml")]
pub struct Diff {
    /// A run directory or a config file
    before: PathBuf,
    /// Another one
    after: PathBuf,
}

impl Config {
    /// Runs the command.
    ///
    /// # Errors
    /// Every fault of the config.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Show(experiment) => {
                let (resolved, _) = experiment.with_runs().resolve()?;
                say(resolved.toml.trim_end());
            }
            Self::Explain(Explain { key, experiment }) => {
                let survey = experiment.with_runs().survey()?;
                say(&explain::text(&survey.explain(&key).map_err(Error::config)?));
            }
            Self::Diff(Diff { before, after }) => diff(&before, &after)?,
        }
        Ok(())
    }
}

fn diff(before: &Path, after: &Path) -> Result<()> {
    let changes = difference(&value(before)?, &value(after)?);
    if changes.is_empty() {
        say("nothing differs");
        return Ok(());
    }
    let text = |value: Option<Value>| value.map_or_else(|| "not set".to_owned(), |value| shown(&value));
    let header = ["key".to_owned(), before.display().to_string(), after.display().to_string()];
    let rows = changes.into_iter().map(|change| [change.key, text(change.before), text(change.after)]);
    say(&columns([header].into_iter().chain(rows).collect()));
    Ok(())
}

/// What a run was made with, as it stands in its directory; or what a config file resolves to.
fn value(path: &Path) -> Result<Value> {
    if path.is_dir() {
        let file = path.join("config.toml");
        if !file.is_file() {
            let fault = Fault::new(format!("`{}` holds no `config.toml`", path.display()));
            return Err(Error::config(fault.hint("give a run directory or a config file")));
        }
        return read_resolved(&file).map_err(|faults| Error::Config { faults });
    }
    let (resolved, _) = ExperimentArguments::of_file(path).resolve()?;
    resolved
        .toml
        .parse::<toml::Table>()
        .ok()
        .and_then(|table| serde_json::to_value(table).ok())
        .ok_or_else(|| Error::Bug { what: "a resolved config is not TOML".to_owned() })
}
