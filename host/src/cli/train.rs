//! `infomax train`: alone, as the supervisor of several processes, or as one of them.

use super::{experiment::ExperimentArguments, logger, say};
use crate::{
    config::{self, Change, Precision, Resolved, ScheduleName, adopt_origins, difference, refused, write_origins},
    distributed::{Job, Place, Supervised, report_to, supervise},
    error::{Error, Fault, Result},
    plugin::{Registry, Schemas},
    record::{History, Memory, RunDirectory, now, write_whole},
    report,
    train::{Outcome, RunOptions, Signals, open_cuda, resolve_device, train},
};
use clap::Args;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

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
    /// what it records; anything else is refused
    #[arg(long, value_name = "RUN", conflicts_with = "amp")]
    resume: Option<PathBuf>,
    /// Go on though this has changed: a key or table of the config, `plugin.NAME`, `dataset`, `libtorch`
    #[arg(long = "override", value_name = "NAME")]
    overrides: Vec<String>,
    /// Go on though the dataset has changed since the run began
    #[arg(long)]
    accept_dataset_change: bool,
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
}

impl Train {
    /// Trains.
    ///
    /// # Errors
    /// Whatever fails, with its exit code.
    pub fn run(mut self) -> Result<()> {
        let place = Place::from_environment()?;
        if self.accept_dataset_change {
            self.overrides.push("dataset".to_owned());
        }
        if let Some(run) = self.rank_of.clone() {
            let place =
                place.ok_or_else(|| Error::config(Fault::new("`--rank-of` is for processes of a supervisor")))?;
            return self.be_rank(&run, place);
        }
        if self.resume.is_none() && !self.overrides.is_empty() {
            let fault = Fault::new("`--override` and `--accept-dataset-change` are for a run that goes on");
            return Err(Error::config(fault.hint("name it with `--resume RUN`")));
        }
        if self.experiment.are_bare() && self.resume.is_none() {
            let fault =
                Fault::new("no config given").hint("for example `infomax train configs/experiments/shapes-demo.toml`");
            return Err(Error::config(fault));
        }
        if let (Some(_), Some(flag)) = (&self.resume, self.experiment.published.first()) {
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
        let (resolved, registry) = self.resolve(nproc)?;
        match place {
            Some(place) => self.train_with_others(&resolved, &registry, place),
            None if resolved.experiment.distributed.nproc > 1 => self.supervise(&resolved, &registry),
            None => {
                let signals = Signals::listen()?;
                let directory = self.directory(&resolved)?;
                self.train(&resolved, &registry, Some(directory.path()), None, signals)
            }
        }
    }

    fn resolve(&mut self, nproc: Option<u64>) -> Result<(Resolved, Registry)> {
        // A run may go on with other processes than it began with.
        self.experiment.set.extend(nproc.map(|nproc| format!("distributed.nproc={nproc}")));
        let Some(run) = &self.resume else {
            let (resolved, registry) = self.experiment.resolve()?;
            let precision = resolved.experiment.train.precision;
            if self.experiment.amp && precision == Precision::Bf16 {
                say(&format!("`--amp` on a CPU: training in {precision}, which needs no loss scaling"));
            }
            return Ok((resolved, registry));
        };
        if !run.is_dir() {
            RunDirectory::resume(run)?;
        }
        let file = run.join("config.toml");
        let name = run.display().to_string();
        let (resolved, registry) = if self.experiment.files.is_empty() {
            let registry = self.experiment.registry_of(&file)?;
            let resolved = Resolved::from_file(&file, &self.experiment.set, &Schemas(&registry));
            (resolved.map_err(|faults| Error::Config { faults })?, registry)
        } else {
            self.experiment.resolve()?
        };
        let before = Resolved::from_file(&file, &[], &Schemas(&registry));
        self.changes = difference(&before.map_err(|faults| Error::Config { faults })?.value(), &resolved.value());
        self.refuse_changes(&resolved, &name)?;
        Ok((resolved, registry))
    }

    /// A run that goes on computes what it computed before.
    fn refuse_changes(&self, resolved: &Resolved, run: &str) -> Result<()> {
        let schedule_needs_length = resolved.experiment.optimizer.schedule == ScheduleName::Cosine;
        let refused = refused(&self.changes, schedule_needs_length, &self.overrides);
        if refused.is_empty() {
            return Ok(());
        }
        let lines =
            refused.iter().map(|c| format!("\n  `{}`: {} then, {} now", c.key, told(&c.before), told(&c.after)));
        let message = format!("{} of the run's settings are others now:{}", refused.len(), lines.collect::<String>());
        let names = refused.iter().map(|c| format!("--override {}", c.key)).collect::<Vec<_>>().join(" ");
        let hint = format!("begin another run with them, or go on all the same with `{names}`");
        Err(Error::Checkpoint { fault: Fault::new(message).at(run).hint(hint) })
    }

    /// Writes the config that the run goes on with, and keeps the one it had.
    fn adopt(&self, resolved: &Resolved, run: &Path) -> Result<()> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let path = run.join("config.toml");
        let is_free = |number: &u64| !run.join(format!("config-{number}.toml")).exists();
        let kept = run.join(format!("config-{}.toml", (1..).find(is_free).expect("the numbers don't end")));
        fs::copy(&path, &kept).map_err(Error::io("write", &kept))?;
        write_whole(&path, resolved.kept.as_bytes())?;
        adopt_origins(&self.changes, &resolved.origins, run)?;
        for change in &self.changes {
            log::info!("`{}` was {}, is {} from here on", change.key, told(&change.before), told(&change.after));
        }
        Ok(())
    }

    /// Reads a run's own config; the environment has no say.
    fn resolve_frozen(&mut self, file: &Path) -> Result<(Resolved, Registry)> {
        let registry = self.experiment.registry_of(file)?;
        let resolved = Resolved::from_file(file, &self.experiment.set, &Schemas(&registry));
        Ok((resolved.map_err(|faults| Error::Config { faults })?, registry))
    }

    fn directory(&self, resolved: &Resolved) -> Result<RunDirectory> {
        let record = &resolved.experiment.record;
        let directory = match (&self.resume, &record.name) {
            (Some(run), _) => RunDirectory::resume(run)?,
            (None, Some(name)) => RunDirectory::create(&record.run_directory, name)?,
            (None, None) => RunDirectory::create_numbered(&record.run_directory, &self.experiment.name())?,
        };
        if self.resume.is_none() {
            // Before anything starts: it is what runs, in every process, and what `--resume` reads.
            let path = directory.path().join("config.toml");
            write_whole(&path, resolved.kept.as_bytes())?;
        }
        logger::also_to(&directory.path().join("infomax.log"));
        self.adopt(resolved, directory.path())?;
        if self.resume.is_none() {
            write_origins(&resolved.origins, directory.path())?;
        }
        say(&format!("run directory: {}", directory.path().display()));
        Ok(directory)
    }

    /// One of the processes that a launcher started, here and perhaps on other machines.
    fn train_with_others(&self, resolved: &Resolved, registry: &Registry, place: Place) -> Result<()> {
        let signals = Signals::listen()?;
        let directory = if place.rank == 0 { Some(self.directory(resolved)?) } else { None };
        self.train(resolved, registry, directory.as_ref().map(RunDirectory::path), Some(place), signals)
    }

    /// One of the processes that the supervisor below started.
    fn be_rank(&mut self, run: &Path, place: Place) -> Result<()> {
        report_to(run.join("ranks").join(format!("rank-{}.json", place.rank)));
        if self.continued {
            self.resume = Some(run.to_owned());
        }
        let (resolved, registry) = self.resolve_frozen(&run.join("config.toml"))?;
        let own = (place.rank == 0).then_some(run);
        if own.is_some() {
            logger::also_to(&run.join("infomax.log"));
        }
        self.train(&resolved, &registry, own, Some(place), Signals::listen()?)
    }

    /// Starts the processes and watches them; the config is settled here and handed to them as a file.
    fn supervise(&self, resolved: &Resolved, registry: &Registry) -> Result<()> {
        let since = now();
        let directory = self.directory(resolved)?;
        let result = self.supervise_in(&directory, resolved, registry);
        self.end(resolved, directory.path(), since, &result);
        result
    }

    fn supervise_in(&self, directory: &RunDirectory, resolved: &Resolved, registry: &Registry) -> Result<()> {
        let run = fs::canonicalize(directory.path()).map_err(Error::io("find", directory.path()))?;
        let table = &resolved.experiment.distributed;
        let mut restarts = 0;
        let mut continued = self.resume.is_some();
        loop {
            let mut arguments = vec!["train".into(), "--rank-of".into(), run.clone().into()];
            arguments.extend(continued.then(|| "--continued".into()));
            arguments.extend(self.experiment.locked.then(|| "--locked".into()));
            arguments.extend(self.overrides.iter().flat_map(|name| ["--override".into(), name.into()]));
            let job = Job {
                arguments,
                environment: vec![("INFOMAX_PLUGIN_PATH", registry.path_list()?)],
                run: run.clone(),
                nproc: table.nproc as usize,
                timeout: Duration::from_secs(table.timeout_seconds),
            };
            match supervise(&job) {
                Ok(Supervised::Finished) => return Ok(()),
                Ok(Supervised::Interrupted { step }) => {
                    return Err(Error::Interrupted { step, run: directory.path().to_owned() });
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

    fn train(
        &self,
        resolved: &Resolved,
        registry: &Registry,
        run: Option<&Path>,
        place: Option<Place>,
        signals: Signals,
    ) -> Result<()> {
        let since = now();
        // Before anything else of libtorch; a failure is told when the device is asked for.
        let _ = open_cuda(resolved.experiment.train.device);
        let name = run.and_then(Path::file_name).map_or_else(|| self.experiment.name(), |n| n.to_string_lossy().into());
        let supervised = self.rank_of.is_some();
        let local_rank = place.as_ref().map_or(0, |place| place.local_rank);
        let options =
            RunOptions { name, resume: self.resume.is_some(), overrides: self.overrides.clone(), place, signals };
        let outcome = train(resolved, registry, run, &options);
        let Some(run) = run else { return outcome.map(drop) };
        let device = resolve_device(resolved.experiment.train.device, local_rank).unwrap_or(tch::Device::Cpu);
        if let Err(error) = History::note_memory(run, since, Memory::of_this_process(device)) {
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

    /// Notes how a run ended and writes its report. Neither is a reason for a run to fail.
    fn end<T>(&self, resolved: &Resolved, run: &Path, since: u64, result: &Result<T>) {
        if let Err(error) = result {
            self.clean_up(error, run);
        }
        if !holds_results(run) {
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

    /// After a failure: logs it, and where nothing was trained leaves the name free.
    fn clean_up(&self, error: &Error, run: &Path) {
        log::info!("{error}");
        if self.resume.is_none() && !holds_results(run) {
            let _ = fs::remove_dir_all(run);
        }
    }
}

/// A setting's value, for messages.
fn told(value: &Option<Value>) -> String {
    value.as_ref().map_or_else(|| "not set".to_owned(), Value::to_string)
}

/// The GPUs that this process may use.
fn gpu_count() -> Result<u64> {
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

/// Whether a run directory holds anything that took time to make.
fn holds_results(run: &Path) -> bool {
    let has_metrics = run.join("metrics.jsonl").metadata().is_ok_and(|file| file.len() > 0);
    has_metrics || run.join("checkpoints").exists()
}

fn summary(outcome: &Outcome, run: &Path) {
    if outcome.was_finished {
        return say(&format!("this run is finished after {} steps", outcome.step));
    }
    let names = [
        ("linear_top1", " %", "linear classifier"),
        ("mlp_top1", " %", "classifier with a hidden layer"),
        ("knn_top1", " %", "nearest neighbours"),
        ("feature_std", "", "1: spread over all directions, 0: collapsed"),
        ("rankme", "", "effective dimensions of the representation"),
        ("uniformity", "", "lower: spread more evenly"),
        ("alignment", "", "squared distance between two views of an image"),
    ];
    let find = |list: &[(String, f64)], name: &str| list.iter().find(|(n, _)| n == name).map(|&(_, value)| value);
    for (key, unit, label) in names {
        match (find(&outcome.results, key), find(&outcome.untrained, key)) {
            (Some(trained), Some(untrained)) => {
                say(&format!("{key}: {trained:.2}{unit} ({label}; {untrained:.2}{unit} on the untrained encoder)"));
            }
            (Some(trained), None) => say(&format!("{key}: {trained:.2}{unit} ({label})")),
            _ => {}
        }
    }
    if outcome.bad_images > 0 {
        say(&format!("bad images skipped: {}; see {}", outcome.bad_images, run.join("infomax.log").display()));
    }
    if outcome.skipped_steps > 0 {
        say(&format!("steps without an update, for a value that was not finite: {}", outcome.skipped_steps));
    }
    for (file, what) in [
        (report::FILE, "everything on one page"),
        ("curves.png", "loss and accuracy"),
        ("views.png", "images and their views"),
        ("metrics.jsonl", "every number"),
        ("encoder.safetensors", "the encoder"),
    ] {
        let path = run.join(file);
        if path.exists() {
            say(&format!("{}: {what}", path.display()));
        }
    }
}
