//! `infomax train`.

use super::{
    experiment::{ExperimentArguments, Schemas},
    logger, say,
};
use crate::{
    config::Resolved,
    error::{Error, Fault, Result},
    plugin::Registry,
    record::RunDirectory,
    train::{Arithmetic, Outcome, RunOptions, open_cuda, resolve_device, train},
};
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `infomax train`.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax train configs/experiments/shapes-demo.toml --set train.seed=2")]
pub struct Train {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// Go on with the run in this directory, as its config says
    #[arg(long, value_name = "RUN", conflicts_with_all = ["files", "set"])]
    resume: Option<PathBuf>,
    /// Mixed precision, as published: f16 with loss scaling on a GPU, bf16 on a CPU
    #[arg(long, conflicts_with = "resume")]
    amp: bool,
    /// Go on though the dataset has changed since the run began
    #[arg(long, requires = "resume")]
    accept_dataset_change: bool,
}

impl Train {
    /// Trains.
    ///
    /// # Errors
    /// Whatever fails, with its exit code.
    pub fn run(mut self) -> Result<()> {
        if let Some(run) = &self.resume {
            self.experiment.files = vec![run.join("config.toml")];
        } else if self.experiment.files.is_empty() {
            let fault =
                Fault::new("no config given").hint("for example `infomax train configs/experiments/shapes-demo.toml`");
            return Err(Error::config(fault));
        }
        let (resolved, registry) = match &self.resume {
            Some(run) => {
                if !run.is_dir() {
                    RunDirectory::resume(run)?;
                }
                let registry = self.experiment.registry()?;
                let resolved = Resolved::from_file(&self.experiment.files[0], &Schemas(&registry));
                (resolved.map_err(|faults| Error::Config { faults })?, registry)
            }
            None if self.amp => self.resolve_amp()?,
            None => self.experiment.resolve()?,
        };
        // Before anything else of libtorch; a failure is told when the device is asked for.
        let _ = open_cuda(resolved.experiment.train.device);
        let record = &resolved.experiment.record;
        let name = self.experiment.name();
        let directory = match (&self.resume, &record.name) {
            (Some(run), _) => RunDirectory::resume(run)?,
            (None, Some(name)) => RunDirectory::create(&record.run_directory, name)?,
            (None, None) => RunDirectory::create_numbered(&record.run_directory, &name)?,
        };
        logger::also_to(&directory.path().join("infomax.log"));
        say(&format!("run directory: {}", directory.path().display()));
        let name = directory.path().file_name().map_or(name, |n| n.to_string_lossy().into_owned());
        let options =
            RunOptions { name, resume: self.resume.is_some(), accept_dataset_change: self.accept_dataset_change };
        let outcome = train(&resolved, &registry, &directory, &options).inspect_err(|error| {
            log::info!("{error}");
            if !options.resume && !holds_results(directory.path()) {
                // Nothing was trained: leave the name free.
                let _ = std::fs::remove_dir_all(directory.path());
            }
        })?;
        if record.contact_sheet && !options.resume {
            super::preview::write_sheet(&resolved, &registry, &directory.path().join("views.png"))?;
        }
        summary(&outcome, directory.path());
        Ok(())
    }

    /// The experiment in the precision that `--amp` means on its device.
    fn resolve_amp(&mut self) -> Result<(Resolved, Registry)> {
        if self.experiment.set.iter().any(|value| value.trim_start().starts_with("train.precision")) {
            let fault = Fault::new("`--amp` and `--set train.precision=…` both choose the precision");
            return Err(Error::config(fault.hint("give one of them")));
        }
        let (resolved, _) = self.experiment.resolve()?;
        let device = resolve_device(resolved.experiment.train.device)?;
        let precision = Arithmetic::of_amp(device);
        if !device.is_cuda() {
            say(&format!("`--amp` on a CPU: training in {precision}, which needs no loss scaling"));
        }
        self.experiment.set.push(format!("train.precision={precision}"));
        self.experiment.resolve()
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
