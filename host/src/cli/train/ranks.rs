//! A run of several processes: one of those that a launcher or a supervisor started, and the supervisor.

use super::{
    Train,
    going_on::{Hearing, PROPOSED, holds_results},
};
use crate::{
    cli::{logger, say},
    config::{self, Resolved},
    distributed::{Job, Place, Supervised, report_to, supervise},
    error::{Error, Fault, Result},
    plugin::{Registry, lock},
    record::{LOG_FILE, RunDirectory, STARTED_BY, now},
    train::{Signals, open_cuda},
};
use std::{fs, path::Path, time::Duration};

impl Train {
    /// One of the processes that a launcher started, here and perhaps on other machines.
    pub(super) fn train_with_others(
        &self,
        resolved: &Resolved,
        registry: &Registry,
        place: Place,
        signals: &Signals,
    ) -> Result<()> {
        let directory = if place.rank == 0 { Some(self.directory(resolved)?) } else { None };
        let run = directory.as_ref().map(RunDirectory::path);
        self.train(resolved, registry, run, Some(place), signals.clone(), &|run| {
            self.accept(resolved, run, directory.as_ref())
        })
    }

    /// One of the processes that the supervisor below started.
    pub(super) fn be_rank(&mut self, run: &Path, place: Place, signals: &Signals) -> Result<()> {
        report_to(run.join("ranks").join(format!("rank-{}.json", place.rank)));
        if self.continued {
            self.resume = Some(run.to_owned());
        }
        let (resolved, registry) = self.resolve_frozen(&run.join(PROPOSED))?;
        let own = (place.rank == 0).then_some(run);
        self.train(&resolved, &registry, own, Some(place), signals.clone(), &|run| {
            logger::also_to(&run.join(LOG_FILE));
            Hearing::accept(run)
        })
    }

    /// Starts the processes and watches them; the config is settled here and handed to them as a file.
    pub(super) fn supervise(&self, resolved: &Resolved, registry: &Registry, signals: &Signals) -> Result<()> {
        let since = now();
        let directory = self.directory(resolved)?;
        let mut hearing = Hearing::begin(directory.path(), &resolved.kept)?;
        if let Some(lock) = registry.lock() {
            lock.copy_to(&directory.path().join(PROPOSED).with_file_name(lock::FILE))?;
        }
        let result = self.supervise_in(&directory, &hearing, resolved, registry, signals);
        hearing.end(matches!(result, Err(Error::Distributed { .. })))?;
        self.end(resolved, directory.path(), since, &result);
        result
    }

    pub(super) fn supervise_in(
        &self,
        directory: &RunDirectory,
        hearing: &Hearing<'_>,
        resolved: &Resolved,
        registry: &Registry,
        signals: &Signals,
    ) -> Result<()> {
        let run = fs::canonicalize(directory.path()).map_err(Error::io("find", directory.path()))?;
        let table = &resolved.experiment.distributed;
        let mut restarts = 0;
        let mut continued = self.resume.is_some();
        loop {
            let mut arguments = vec!["train".into(), "--rank-of".into(), run.clone().into()];
            arguments.extend(continued.then(|| "--continued".into()));
            arguments.extend(self.smoke.then(|| "--smoke".into()));
            arguments.extend(self.experiment.trust.locked.then(|| "--locked".into()));
            arguments.extend(self.overrides.iter().flat_map(|name| ["--override".into(), name.into()]));
            let job = Job {
                arguments,
                environment: vec![
                    ("INFOMAX_PLUGIN_PATH", registry.path_list()?),
                    (STARTED_BY, self.started(resolved).to_variable()),
                ],
                run: run.clone(),
                nproc: table.nproc as usize,
                timeout: Duration::from_secs(table.timeout_seconds),
                signals,
                watch: &|| match self.accepted.get() || !hearing.is_accepted() {
                    true => Ok(()),
                    false => self.accept(resolved, directory.path(), Some(directory)),
                },
            };
            match supervise(&job) {
                Ok(Supervised::Finished) => return Ok(()),
                Ok(Supervised::Interrupted { .. }) if !holds_results(directory.path()) => {
                    return Err(Error::InterruptedEarly);
                }
                Ok(Supervised::Interrupted { step }) => {
                    return Err(Error::Interrupted { step, run: Some(directory.path().to_owned()) });
                }
                Err(error @ Error::Distributed { .. }) if restarts < table.max_restarts => {
                    restarts += 1;
                    log::info!("{error}");
                    say(&format!("{error}\nrestart {restarts} of at most {}", table.max_restarts));
                    continued = run.join("run.json").exists();
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The GPUs that this process may use.
pub(super) fn gpu_count() -> Result<u64> {
    let opened = open_cuda(config::Device::Cuda(None));
    match (tch::Cuda::device_count(), opened) {
        (count, Ok(())) if count > 0 => Ok(count as u64),
        (_, opened) => {
            let reason = opened.err().map(|reason| format!(": {reason}")).unwrap_or_default();
            let fault =
                Fault::new(format!("`--nproc` without a number means one process per GPU, but there is none{reason}"));
            Err(Error::config(fault.hint("give a number, such as `--nproc 2`")))
        }
    }
}
