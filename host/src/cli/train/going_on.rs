//! Going on with a run: what may have changed since, and how a run takes that over once every check has passed.

use super::say;
use crate::{
    config::{Change, Resolved, ScheduleName, adopt_origins, refused},
    error::{Error, Fault, Result},
    record::{free_path, write_whole},
};
use serde_json::Value;
use std::{fs, io::ErrorKind, path::Path};

/// A run that goes on computes what it computed before.
///
/// # Errors
/// Every change that may not be made and is not overridden, with both values (exit code 5).
pub fn refuse_changes(changes: &[Change], resolved: &Resolved, overrides: &[String], run: &str) -> Result<()> {
    let schedule_needs_length = resolved.experiment.optimizer.schedule == ScheduleName::Cosine;
    let refused = refused(changes, schedule_needs_length, overrides);
    if refused.is_empty() {
        return Ok(());
    }
    let lines = refused.iter().map(|c| format!("\n  `{}`: {} then, {} now", c.key, told(&c.before), told(&c.after)));
    let message = format!("{} of the run's settings are others now:{}", refused.len(), lines.collect::<String>());
    let names = refused.iter().map(|c| format!("--override {}", c.key)).collect::<Vec<_>>().join(" ");
    let hint = format!("begin another run with them, or go on all the same with `{names}`");
    Err(Error::Checkpoint { fault: Fault::new(message).at(run).hint(hint) })
}

/// Writes the config that the run goes on with, and keeps the one it had.
///
/// # Errors
/// The system's, with the path.
pub fn adopt(changes: &[Change], resolved: &Resolved, run: &Path) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let path = run.join("config.toml");
    let kept = free_path(run, "config", ".toml");
    fs::copy(&path, &kept).map_err(Error::io("write", &kept))?;
    write_whole(&path, resolved.kept.as_bytes())?;
    adopt_origins(changes, &resolved.origins, run)?;
    for change in changes {
        let text = format!("`{}` was {}, is {} from here on", change.key, told(&change.before), told(&change.after));
        log::info!("{text}");
        say(&text);
    }
    Ok(())
}

/// A setting's value, for messages.
fn told(value: &Option<Value>) -> String {
    value.as_ref().map_or_else(|| "not set".to_owned(), Value::to_string)
}

/// The folder in which the processes of a supervised run say what becomes of them. What earlier processes left there comes back
/// where the run is refused.
pub struct Hearing<'a> {
    run: &'a Path,
    is_over: bool,
}

/// Beside reports and logs: the config that the processes are to run.
pub const PROPOSED: &str = "ranks/config.toml";
const ACCEPTED: &str = "ranks/accepted";
const FOLDER: &str = "ranks";
const BEFORE: &str = "ranks.before";

impl<'a> Hearing<'a> {
    /// Begins, with the config that the processes are to run.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn begin(run: &'a Path, toml: &str) -> Result<Self> {
        let (folder, before) = (run.join(FOLDER), run.join(BEFORE));
        // One that was killed before it was accepted has changed nothing but this.
        if !before.exists() && folder.exists() {
            fs::rename(&folder, &before).map_err(Error::io("move away", &folder))?;
        }
        remove(&folder)?;
        fs::create_dir_all(&folder).map_err(Error::io("make the folder", &folder))?;
        let hearing = Self { run, is_over: false };
        write_whole(&run.join(PROPOSED), toml.as_bytes())?;
        Ok(hearing)
    }

    /// Whether rank 0 has found nothing that speaks against the run.
    pub fn is_accepted(&self) -> bool {
        self.run.join(ACCEPTED).exists()
    }

    /// Rank 0's word that nothing speaks against the run.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn accept(run: &Path) -> Result<()> {
        write_whole(&run.join(ACCEPTED), b"")
    }

    /// Ends; `keeps`: what the processes said stays though the run was not accepted, since one of them came to harm.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn end(&mut self, keeps: bool) -> Result<()> {
        self.is_over = true;
        let (folder, before) = (self.run.join(FOLDER), self.run.join(BEFORE));
        if keeps || self.is_accepted() {
            return remove(&before);
        }
        remove(&folder)?;
        if before.exists() { fs::rename(&before, &folder).map_err(Error::io("move back", &before)) } else { Ok(()) }
    }
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        if !self.is_over
            && let Err(error) = self.end(false)
        {
            log::warn!("{error}");
        }
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// Whether a run directory holds anything that took time to make.
pub fn holds_results(run: &Path) -> bool {
    let has_metrics = run.join("metrics.jsonl").metadata().is_ok_and(|file| file.len() > 0);
    has_metrics || run.join("checkpoints").exists()
}
