//! One run in brief, read again only where something of it has changed.

use super::{
    digest::Digest,
    find::Place,
    plain::{SMALL, is_plain},
    standing::{Phase, Standing},
};
use crate::{
    config::leaves,
    record::{History, METRICS, Memory},
    report::is_accuracy,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const CONFIG: &str = "config.toml";
const HISTORY: &str = "history.json";
/// The result that is told where nobody asks for another.
pub const TOLD_RESULT: &str = "linear_top1";

/// By which a file is known to be as it was: its length, its time, its place on the disk.
type Stamp = Option<(u64, i64, i64, u64)>;

/// One run in brief.
#[derive(Clone, Debug)]
pub struct Summary {
    pub place: Place,
    pub standing: Standing,
    pub digest: Digest,
    /// By dotted key.
    pub settings: Arc<BTreeMap<String, Value>>,
    /// In seconds since 1970.
    pub began: Option<u64>,
    /// When it last gave a sign, in seconds since 1970.
    pub changed: Option<u64>,
    /// Updates planned; none where that is not known.
    pub planned: Option<u64>,
    pub memory: Option<Memory>,
    /// What could not be read.
    pub notices: Vec<String>,
    history: Result<History, String>,
    stamps: [Stamp; 3],
}

impl Summary {
    /// Reads a run.
    pub fn read(place: Place) -> Self {
        let mut summary = Self {
            place,
            standing: Standing::default(),
            digest: Digest::default(),
            settings: Arc::default(),
            began: None,
            changed: None,
            planned: None,
            memory: None,
            notices: Vec::new(),
            history: Ok(History::default()),
            stamps: [None; 3],
        };
        summary.update();
        summary
    }

    /// Reads what has changed since; whether anything has.
    pub fn update(&mut self) -> bool {
        let run = self.place.path.clone();
        let stamps = [CONFIG, HISTORY, METRICS].map(|file| stamp(&run.join(file)));
        let [config, history, metrics] = [0, 1, 2].map(|n| stamps[n] != self.stamps[n]);
        let before = (self.standing.clone(), self.changed);
        self.stamps = stamps;
        if config || history || metrics {
            self.notices.clear();
        }
        if config {
            self.read_config(&run);
        }
        if history {
            self.read_history(&run);
        }
        if metrics {
            self.read_metrics(&run);
        }
        self.planned = self.planned_by_history().or_else(|| self.number("train.steps"));
        self.standing = match self.place.store() {
            Some((store, id)) => Standing::of_cell(&store, id, &self.history),
            None => Standing::of_run(&run, &self.history),
        };
        let times = self.stamps.iter().flatten().map(|(_, seconds, _, _)| *seconds);
        self.changed = times.max().and_then(|seconds| u64::try_from(seconds).ok());
        if self.digest.is_damaged {
            let notice = format!("`{METRICS}` holds lines that are none of metrics");
            self.notices.retain(|other| *other != notice);
            self.notices.push(notice);
        }
        config || history || metrics || before != (self.standing.clone(), self.changed)
    }

    /// Reads metrics through that were only sampled, so that best results are known.
    pub fn complete(&mut self) {
        if self.digest.is_sampled && self.digest.complete(&self.place.path.join(METRICS)).is_err() {
            self.digest.is_sampled = false;
        }
    }

    fn read_config(&mut self, run: &Path) {
        let path = run.join(CONFIG);
        if !is_plain(&path, SMALL) {
            self.notices.push(format!("`{CONFIG}` is no plain file"));
            return;
        }
        let text = fs::read_to_string(&path).map_err(|error| error.to_string());
        match text.and_then(|text| toml::from_str::<Value>(&text).map_err(|error| error.message().to_owned())) {
            Ok(config) => self.settings = Arc::new(leaves(&config)),
            Err(reason) => self.notices.push(format!("`{CONFIG}` can't be read: {reason}")),
        }
    }

    fn read_history(&mut self, run: &Path) {
        self.history = match is_plain(&run.join(HISTORY), SMALL) {
            true => History::read(run),
            false => Err(format!("`{HISTORY}` is no plain file")),
        };
        let Ok(history) = &self.history else { return };
        self.began = history.parts.first().map(|part| part.began);
        self.memory = history.memory();
    }

    fn read_metrics(&mut self, run: &Path) {
        let path = run.join(METRICS);
        if self.stamps[2].is_none() {
            self.digest = Digest::default();
        } else if let Err(error) = self.digest.update(&path) {
            self.notices.push(format!("`{METRICS}` can't be read: {error}"));
        }
    }

    fn planned_by_history(&self) -> Option<u64> {
        self.history.as_ref().ok()?.parts.last()?.until_step
    }

    /// The value of a setting.
    pub fn setting(&self, key: &str) -> Option<&Value> {
        self.settings.get(key)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.setting(key)?.as_u64()
    }

    /// Whether tests are on images held out from training, so that the best of them may be told.
    pub fn is_held_out(&self) -> bool {
        self.setting("evaluation.holdout_fraction").and_then(Value::as_f64).is_some_and(|share| share > 0.0)
    }

    /// How long it has been trained, or goes on being so.
    pub fn seconds(&self) -> Option<f64> {
        self.digest.seconds
    }

    /// How long the rest will take at the present pace.
    pub fn seconds_left(&self) -> Option<f64> {
        let (planned, done) = (self.planned?, self.digest.step);
        if self.standing.phase != Phase::Training || done == 0 || planned <= done {
            return None;
        }
        Some(self.digest.seconds? / done as f64 * (planned - done) as f64)
    }

    /// How long ago it gave a sign.
    pub fn silence(&self) -> Option<Duration> {
        let then = UNIX_EPOCH + Duration::from_secs(self.changed?);
        SystemTime::now().duration_since(then).ok()
    }

    /// The result that is told where nobody asks for another: the linear classifier's, or the first accuracy, or the first result.
    pub fn result(&self) -> Option<&str> {
        let names = || self.digest.outcomes.iter().map(|outcome| outcome.name.as_str());
        names()
            .find(|name| *name == TOLD_RESULT)
            .or_else(|| names().find(|name| is_accuracy(name)))
            .or_else(|| names().next())
    }

    /// The last value of a result, or of a number that training tells.
    pub fn last(&self, metric: &str) -> Option<f64> {
        let tested = self.digest.outcome(metric).and_then(|outcome| outcome.last).map(|(_, value)| value);
        tested.or_else(|| self.digest.latest(metric))
    }

    /// The best value of a result, where it was chosen on images held out from training.
    pub fn best(&self, metric: &str) -> Option<(u64, f64)> {
        if !self.is_held_out() { None } else { self.digest.outcome(metric)?.best }
    }
}

fn stamp(path: &Path) -> Stamp {
    let facts = fs::symlink_metadata(path).ok()?;
    Some((facts.len(), facts.mtime(), facts.mtime_nsec(), facts.ino()))
}
