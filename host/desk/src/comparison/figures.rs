//! What a run came to, from the few small files of its directory that tell it: a report reads a thousand of them.

use crate::{
    config::read_resolved,
    error::{Error, Fault, Result},
    record::{Hardware, History, METRICS, Memory, read_metrics_to_damage, without_home},
    report::{self, UNTRAINED, is_training, outcomes, pace, seconds},
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Numbers that rows have beside what is measured: clocks, counters, settings.
const NO_MEASURE: [&str; 6] =
    ["lr", "skipped_steps", "images_per_second", "waiting_for_data", "checkpoint_stall_seconds", "loss_scale"];

/// Whether a number of a row is one that was measured.
pub fn is_measure(name: &str) -> bool {
    !NO_MEASURE.contains(&name)
}

/// A step and a value, which need not be finite.
pub type At = (u64, f64);

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// The run directory.
    pub run: PathBuf,
    /// Optimizer updates done.
    pub steps: u64,
    /// Time spent on training, tests included.
    pub wall_seconds: Option<f64>,
    /// The median pace.
    pub images_per_second: Option<f64>,
    /// The most that any part of the run has held.
    pub memory: Option<Memory>,
    /// For each row its step, and the time spent on training until then, in seconds.
    pub clock: Vec<(u64, f64)>,
    /// By name, as in `linear_top1`, `loss`.
    pub metrics: BTreeMap<String, Metric>,
    /// Whether tests are on images held out from training instead of the test split.
    pub is_held_out: bool,
    /// The machines it was trained on.
    pub machines: Vec<String>,
    /// SHA-256 of each plugin, by name.
    pub plugins: BTreeMap<String, String>,
    /// The data's.
    pub fingerprint: Option<String>,
    /// What could not be read.
    pub notices: Vec<String>,
}

/// A number of a run over its steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metric {
    /// The untrained encoder's.
    pub untrained: Option<f64>,
    pub last: Option<At>,
    /// The best over the steps; of accuracies only.
    pub best: Option<At>,
    /// By step.
    pub curve: Vec<At>,
    /// Whether tests gave it; the rest belongs to single batches of training.
    pub is_tested: bool,
}

/// Of `run.json`, what is compared.
#[derive(Deserialize)]
struct Identity {
    plugins: BTreeMap<String, Plugin>,
    dataset: Data,
}

#[derive(Deserialize)]
struct Plugin {
    sha256: String,
}

#[derive(Deserialize)]
struct Data {
    fingerprint: String,
}

/// Reads what a run came to. What is damaged becomes a notice, and what stands before it counts.
///
/// # Errors
/// A folder that holds no run.
pub fn read_figures(run: &Path) -> Result<Figures> {
    check(run)?;
    Ok(Figures::read(run, read_resolved(&run.join("config.toml")).ok().as_ref(), &History::read(run)))
}

/// Whether a folder holds a run.
///
/// # Errors
/// It does not.
pub(super) fn check(run: &Path) -> Result<()> {
    if report::is_run(run) {
        return Ok(());
    }
    let message = format!("`{}` holds no run", run.display());
    Err(Error::config(Fault::new(message).hint("name a run directory, such as `runs/shapes-demo-1`")))
}

impl Figures {
    pub(super) fn read(run: &Path, config: Option<&Value>, history: &Result<History, String>) -> Self {
        let mut notices = Vec::new();
        let mut notice = |what: String| notices.push(format!("`{}`: {}", run.display(), without_home(&what)));
        let rows = match read_metrics_to_damage(&run.join(METRICS)) {
            Ok((rows, damage)) => {
                damage.into_iter().for_each(|damage| notice(format!("{damage}; what follows it is left out")));
                rows
            }
            Err(_) if !run.join(METRICS).exists() => Vec::new(),
            Err(error) => {
                notice(error.to_string());
                Vec::new()
            }
        };
        if let Err(reason) = history {
            notice(reason.clone());
        }
        let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
        for outcome in outcomes(&rows) {
            let metric = Metric {
                untrained: outcome.untrained,
                last: outcome.last,
                best: outcome.best,
                curve: Vec::new(),
                is_tested: true,
            };
            metrics.insert(outcome.name, metric);
        }
        for row in &rows {
            let is_training = is_training(row);
            for (name, value) in &row.values {
                if name.starts_with(UNTRAINED) || (is_training && !is_measure(name)) {
                    continue;
                }
                let metric = match metrics.get_mut(name) {
                    Some(metric) => metric,
                    None => metrics.entry(name.clone()).or_default(),
                };
                metric.curve.push((row.step, *value));
                if !metric.is_tested {
                    metric.last = Some((row.step, *value));
                }
            }
        }
        let identity = fs::read(run.join("run.json")).ok();
        let identity = identity.and_then(|text| serde_json::from_slice::<Identity>(&text).ok());
        let (plugins, fingerprint) = identity.map_or_else(Default::default, |identity| {
            let plugins = identity.plugins.into_iter().map(|(name, plugin)| (name, plugin.sha256)).collect();
            (plugins, Some(identity.dataset.fingerprint))
        });
        Self {
            run: run.to_owned(),
            steps: rows.iter().map(|row| row.step).max().unwrap_or(0),
            clock: rows.iter().map(|row| (row.step, row.seconds)).collect(),
            wall_seconds: seconds(&rows),
            images_per_second: pace(&rows),
            memory: history.as_ref().ok().and_then(History::memory),
            metrics,
            is_held_out: report::is_held_out(config.map(|config| &config["evaluation"]["holdout_fraction"])),
            machines: Hardware::read(run).unwrap_or_default().iter().map(machine).collect(),
            plugins,
            fingerprint,
            notices,
        }
    }

    /// The time spent on training until a step, in seconds; none before the first row.
    pub fn seconds_at(&self, step: u64) -> Option<f64> {
        let after = self.clock.partition_point(|(own, _)| *own <= step);
        self.clock[..after].last().map(|(_, seconds)| *seconds).filter(|seconds| seconds.is_finite())
    }

    /// The last value of a metric, where it is a number.
    pub fn last(&self, metric: &str) -> Option<f64> {
        self.metrics.get(metric)?.last.map(|(_, value)| value).filter(|value| value.is_finite())
    }

    /// The best value of a metric over the steps, where it is known which is better.
    pub fn best(&self, metric: &str) -> Option<f64> {
        self.metrics.get(metric)?.best.map(|(_, value)| value).filter(|value| value.is_finite())
    }
}

fn machine(hardware: &Hardware) -> String {
    let gpus = if hardware.gpus.is_empty() { String::new() } else { format!(", {}", hardware.gpus.join(", ")) };
    let cores = if hardware.cores == 1 { "core" } else { "cores" };
    format!("{}, {} {cores}{gpus}", hardware.processor, hardware.cores)
}
