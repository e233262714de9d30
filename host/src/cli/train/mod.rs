//! `infomax train`: alone, as the supervisor of several processes, or as one of them.

mod directory;
mod going_on;
mod ranks;
mod summary;

use super::{experiment::ExperimentArguments, logger, say};
use crate::{
    config::{Change, Precision, Resolved, difference},
    distributed::{Place, announce},
    error::{Error, Fault, Result},
    native::precision::device_memory,
    plugin::{Registry, Schemas, Watch},
    record::{Asked, History, Identity, LOG_FILE, Memory, RunDirectory, Started, now},
    report,
    train::{RunOptions, SLOWER, Signals, WITHOUT_BF16, open_cuda, prepare, resolve_device},
};
use clap::Args;
use going_on::{adopt, holds_results, refuse_changes};
use ranks::gpu_count;
use std::{
    cell::Cell,
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use summary::summary;

/// In the place of a run directory: the one that the config names, if it holds a run.
const AUTO: &str = "auto";

/// Arguments of `infomax train`.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax train configs/experiments/shapes-demo.toml --set train.seed=2")]
pub struct Train {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// Start this many processes, which share the batch; one per visible GPU where no number is given
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "0")]
    nproc: Option<u64>,
    /// Go on with the run in this directory, as its config says. What is set besides may change how long it trains, where, and
    /// what it records; anything else is refused. `auto`: begin the run that the config names, or go on with it where it has
    /// begun, so that one command line serves for both
    #[arg(long, value_name = "RUN|auto")]
    resume: Option<PathBuf>,
    /// Go on though this has changed: a key or table of the config, `plugin.NAME`, `dataset`, `libtorch`
    #[arg(long = "override", value_name = "NAME")]
    overrides: Vec<String>,
    /// Go on though the dataset has changed since the run began
    #[arg(long)]
    accept_dataset_change: bool,
    /// Try the experiment out: a few updates, with warm-up, tests and checkpoints to fit, in a run of its own
    #[arg(long, conflicts_with = "resume")]
    smoke: bool,
    /// Be one of the processes of the run in this directory; what a supervisor starts
    #[arg(long, value_name = "RUN", hide = true)]
    #[arg(conflicts_with_all = ["files", "set", "amp", "nproc", "resume", "PublishedArguments"])]
    rank_of: Option<PathBuf>,
    /// Of a run that is to go on
    #[arg(long, hide = true, requires = "rank_of")]
    continued: bool,
    /// What a run that goes on is to do otherwise than before
    #[arg(skip)]
    changes: Vec<Change>,
    /// Whether nothing spoke against the run, so that its directory may be written to.
    #[arg(skip)]
    accepted: Cell<bool>,
}

impl Train {
    /// Trains.
    ///
    /// # Errors
    /// Whatever fails, with its exit code.
    pub fn run(mut self) -> Result<()> {
        // Before anything that takes time: a signal that comes meanwhile is heard.
        let place = Place::from_environment()?;
        let tells = self.rank_of.is_none() && place.as_ref().is_none_or(|place| place.rank == 0);
        let signals = Signals::listen(tells)?;
        let result = self.run_in(place.clone(), &signals);
        if let (Some(place), Err(error)) = (&place, &result) {
            announce(place, error, &signals);
        }
        result
    }

    fn run_in(&mut self, place: Option<Place>, signals: &Signals) -> Result<()> {
        if self.accept_dataset_change {
            self.overrides.push("dataset".to_owned());
        }
        if let Some(run) = self.rank_of.clone() {
            let place =
                place.ok_or_else(|| Error::config(Fault::new("`--rank-of` is for processes of a supervisor")))?;
            return self.be_rank(&run, place, signals);
        }
        if self.resume.is_none() && !self.overrides.is_empty() {
            let fault = Fault::new("`--override` and `--accept-dataset-change` are for a run that goes on");
            return Err(Error::config(fault.hint("name it with `--resume RUN`")));
        }
        if self.experiment.are_bare() && (self.resume.is_none() || self.is_auto()) {
            let fault =
                Fault::new("no config given").hint("for example `infomax train configs/experiments/shapes-demo.toml`");
            return Err(Error::config(fault));
        }
        let flag = self.experiment.published.first().or(self.experiment.amp.then_some("--amp"));
        if let (Some(_), Some(flag)) = (self.resume.as_ref().filter(|_| !self.is_auto()), flag) {
            let fault = Fault::new(format!("`{flag}` describes a new run, `--resume` goes on with one"));
            return Err(Error::config(fault.hint("leave it out; what may change is set with `--set`")));
        }
        let place = place.filter(|place| place.world_size > 1);
        // A launcher's number counts, so that the config's rules are about what runs.
        let nproc = match (&place, self.nproc) {
            (Some(place), _) => Some(place.world_size as u64),
            (None, Some(0)) => Some(gpu_count()?),
            (None, given) => given,
        };
        let leads = place.as_ref().is_none_or(|place| place.rank == 0);
        let (resolved, registry) = self.resolve(nproc, leads)?;
        match place {
            Some(place) => self.train_with_others(&resolved, &registry, place, signals),
            None if resolved.experiment.distributed.nproc > 1 => self.supervise(&resolved, &registry, signals),
            None => {
                let directory = self.directory(&resolved)?;
                let accept = |run: &Path| self.accept(&resolved, run, Some(&directory));
                self.train(&resolved, &registry, Some(directory.path()), None, signals.clone(), &accept)
            }
        }
    }

    fn is_auto(&self) -> bool {
        self.resume.as_ref().is_some_and(|run| run.as_os_str() == AUTO)
    }

    fn resolve(&mut self, nproc: Option<u64>, leads: bool) -> Result<(Resolved, Registry)> {
        // A run may go on with other processes than it began with.
        self.experiment.set.extend(nproc.map(|nproc| format!("distributed.nproc={nproc}")));
        let named = self.resume.as_ref().filter(|_| !self.is_auto());
        if let Some(run) = named.filter(|run| !run.is_dir()) {
            RunDirectory::resume(run)?; // says so
        }
        // A component's file may have gone since: the run keeps a copy.
        let kept = named.map(|run| Identity::kept_where_gone(run)).unwrap_or_default();
        for setting in kept.iter().filter(|_| leads) {
            say(&format!("the file that the run's config names is gone, its own copy takes the place: {setting}"));
        }
        self.experiment.set.splice(0..0, kept.iter().cloned());
        let named = self.resume.as_ref().filter(|_| !self.is_auto());
        let (resolved, registry) = match named {
            Some(run) if self.experiment.are_bare() => self.resolve_frozen(&run.join("config.toml"))?,
            _ if self.smoke => self.experiment.resolve_smoke()?,
            _ => self.experiment.resolve()?,
        };
        if self.is_auto() {
            self.resume = self.run_that_has_begun(&resolved, leads)?;
        }
        let Some(run) = &self.resume else {
            let precision = resolved.experiment.train.precision;
            if leads && self.experiment.amp && precision == Precision::Bf16 {
                say(&format!("`--amp` on a CPU: training in {precision}, which needs no loss scaling"));
            }
            if leads && self.experiment.amp && precision == Precision::F32 {
                say(&format!(
                    "`--amp` on {WITHOUT_BF16}: training in {precision}, which is {SLOWER} times as fast there"
                ));
            }
            return Ok((resolved, registry));
        };
        let before = Resolved::from_file(&run.join("config.toml"), &kept, &Schemas(&registry));
        self.changes = difference(&before.map_err(|faults| registry.told(faults))?.value(), &resolved.value());
        // Files that components are read from are compared by their hashes.
        let hashed = Identity::read(run).map(|identity| identity.files.into_keys().collect()).unwrap_or_default();
        let free = [self.overrides.clone(), hashed].concat();
        refuse_changes(&self.changes, &resolved, &free, &run.display().to_string())?;
        Ok((resolved, registry))
    }

    /// Reads a run's own config; the environment has no say.
    fn resolve_frozen(&self, file: &Path) -> Result<(Resolved, Registry)> {
        let registry = self.experiment.registry_of(file)?;
        let resolved = Resolved::from_file(file, &self.experiment.set, &Schemas(&registry));
        match resolved {
            Ok(resolved) => Ok((resolved, registry)),
            Err(faults) => Err(registry.told(faults)),
        }
    }

    fn train(
        &self,
        resolved: &Resolved,
        registry: &Registry,
        run: Option<&Path>,
        place: Option<Place>,
        signals: Signals,
        accept: &dyn Fn(&Path) -> Result<()>,
    ) -> Result<()> {
        let since = now();
        // Before anything else of libtorch; a failure is told when the device is asked for.
        let _ = open_cuda(resolved.experiment.train.device);
        let name = run.and_then(Path::file_name).map_or_else(|| self.experiment.name(), |n| n.to_string_lossy().into());
        let supervised = self.rank_of.is_some();
        let limit = Some(resolved.experiment.plugins.call_timeout_seconds).filter(|seconds| *seconds > 0);
        let _watch = Watch::begin(limit.map(Duration::from_secs), place.as_ref().map_or(0, |place| place.rank));
        let local_rank = place.as_ref().map_or(0, |place| place.local_rank);
        let options = RunOptions {
            name,
            resume: self.resume.is_some(),
            overrides: self.overrides.clone(),
            place,
            provenance: run.map(|_| Arc::new(Asked::about(&self.started(resolved)))),
            signals,
            smoke: self.smoke,
        };
        let outcome = prepare(resolved, registry, run, &options).and_then(|prepared| {
            run.map_or(Ok(()), accept)?;
            prepared.train()
        });
        let Some(run) = run else { return outcome.map(drop) };
        let device = resolve_device(resolved.experiment.train.device, local_rank).unwrap_or(tch::Device::Cpu);
        let on_gpu = device_memory(device).ok().flatten().map(|memory| memory.peak);
        if let Err(error) = History::note_memory(run, since, Memory::of_this_process(on_gpu)) {
            log::warn!("{error}");
        }
        let sheet = run.join("views.png");
        let result = outcome.and_then(|outcome| {
            if resolved.experiment.record.contact_sheet && !sheet.exists() {
                super::preview::write_sheet(resolved, registry, &sheet, false)?;
            }
            Ok(outcome)
        });
        if !supervised {
            self.end(resolved, run, since, &result);
        }
        summary(&result?, run);
        Ok(())
    }

    /// The command, with the experiment's file and those that it is made of.
    fn started(&self, resolved: &Resolved) -> Started {
        let own = self.experiment.files.last().cloned();
        let said = resolved.origins.values().flatten().filter_map(|origin| origin.at.rsplit_once(':'));
        let extended: BTreeSet<PathBuf> =
            said.map(|(file, _)| PathBuf::from(file)).filter(|file| file.is_file()).collect();
        Started::this(&own.into_iter().chain(extended).collect::<Vec<_>>())
    }

    /// Once nothing speaks against the run: a run that goes on takes over what has changed, and logs again.
    fn accept(&self, resolved: &Resolved, run: &Path, directory: Option<&RunDirectory>) -> Result<()> {
        if self.accepted.replace(true) {
            return Ok(());
        }
        if let Some(directory) = directory {
            directory.accept();
        }
        logger::also_to(&run.join(LOG_FILE));
        adopt(&self.changes, resolved, run)
    }

    /// Notes how a run ended and writes its report. Neither is a reason for a run to fail.
    fn end<T>(&self, resolved: &Resolved, run: &Path, since: u64, result: &Result<T>) {
        if let Err(error) = result {
            self.clean_up(error, run);
        }
        if !holds_results(run) || !self.accepted.get() {
            return;
        }
        if let Err(error) = History::end(run, since, result) {
            log::warn!("{error}");
        }
        if resolved.experiment.record.report
            && let Err(error) = report::write(run, &run.join(report::FILE))
        {
            log::warn!("no report of the run: {error}");
        }
    }
}
