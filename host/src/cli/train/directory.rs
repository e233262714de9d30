//! The directory of a run: made, found again, left free where nothing was trained.

use super::{Train, going_on::holds_results};
use crate::{
    cli::{logger, say},
    config::{self, Resolved, write_origins},
    error::{Error, Fault, Result},
    record::{ENCODER, LOG_FILE, RunDirectory, write_whole},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

impl Train {
    /// The run directory that the config names, where it holds a run; `leads`: this process talks to the user.
    pub(super) fn run_that_has_begun(&self, resolved: &Resolved, leads: bool) -> Result<Option<PathBuf>> {
        let record = &resolved.experiment.record;
        let Some(name) = &record.name else {
            let fault = Fault::new("`--resume auto` goes by the run's name, but the config gives none");
            return Err(Error::config(fault.hint("give one: `--set record.name=NAME` (or `--run_name NAME`)")));
        };
        let run = record.run_directory.join(name);
        let has_begun = holds_results(&run);
        if leads {
            let what = if has_begun { "going on with the run in" } else { "beginning a run in" };
            say(&format!("--resume auto: {what} {}", run.display()));
        }
        Ok(has_begun.then_some(run))
    }

    /// Finds the run that is to go on, or makes a place for a new one, with the config that it is trained by.
    pub(super) fn directory(&self, resolved: &Resolved) -> Result<RunDirectory> {
        let record = &resolved.experiment.record;
        let directory = match (&self.resume, &record.name) {
            (Some(run), _) => RunDirectory::resume(run)?,
            (None, Some(name)) => RunDirectory::create(&record.run_directory, name)?,
            (None, None) => {
                let name = self.experiment.name() + if self.smoke { "-smoke" } else { "" };
                RunDirectory::create_numbered(&record.run_directory, &name)?
            }
        };
        if self.resume.is_none() {
            // Before anything starts: it is what runs, in every process, and what `--resume` reads.
            let path = directory.path().join("config.toml");
            write_whole(&path, resolved.kept.as_bytes())?;
            logger::also_to(&directory.path().join(LOG_FILE));
            write_origins(&resolved.origins, directory.path())?;
            directory.accept();
            self.accepted.set(true);
            tell_unfinished(record, &self.experiment.name(), directory.path());
        }
        say(&format!("run directory: {}", directory.path().display()));
        Ok(directory)
    }

    /// After a failure: logs it, and where nothing was trained leaves the name free.
    pub(super) fn clean_up(&self, error: &Error, run: &Path) {
        log::info!("{error}");
        if self.resume.is_none() && !holds_results(run) {
            let _ = fs::remove_dir_all(run);
        }
    }
}

/// Where a launcher starts a job again, which would begin anew: the run that is left behind.
fn tell_unfinished(record: &config::Record, experiment: &str, new: &Path) {
    let restarts = ["TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"]
        .into_iter()
        .find(|name| std::env::var(name).is_ok_and(|count| count.trim().parse::<u64>().is_ok_and(|count| count > 0)));
    let Some(variable) = restarts else { return };
    let prefix = format!("{experiment}-");
    let runs = fs::read_dir(&record.run_directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_unfinished = |run: &PathBuf| {
        let is_of_it = run.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
        is_of_it && run != new && holds_results(run) && !run.join(ENCODER).exists()
    };
    let Some(left) = runs.filter(is_unfinished).max_by_key(|run| run.metadata().and_then(|run| run.modified()).ok())
    else {
        return;
    };
    say(&format!(
        "this is a restart (`{variable}`), and `{}` is unfinished, but this start begins anew: one command line for both is \
         `--resume auto --set record.name=NAME`",
        left.display()
    ));
}
