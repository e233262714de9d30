//! One run in brief, read again only where something of it has changed.

use super::{
    digest::Digest,
    find::Place,
    standing::{Phase, Standing},
};
use crate::{
    config::leaves,
    console::MEANWHILE,
    evaluation, plain,
    record::{History, LOG_FILE, METRICS},
    report::{Outcome, is_accuracy, is_held_out},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
};

const CONFIG: &str = "config.toml";
const HISTORY: &str = "history.json";
/// Within so many bytes of its end a log's last line begins, where it is a short one.
const LAST_LINE: u64 = 1024;
/// The result that is told where nobody asks for another.
const TOLD_RESULT: &str = "linear_top1";

/// By which a file is known to be as it was: its length, its time, its place on the disk.
pub type Stamp = Option<(u64, i64, i64, u64)>;

/// One run in brief.
#[derive(Clone, Debug)]
pub struct Summary {
    pub place: Place,
    pub standing: Standing,
    pub digest: Digest,
    /// What `infomax evaluate` measured last, by keys such as `evaluate/linear_top1`.
    pub evaluated: Vec<Outcome>,
    /// What is done beside updates, as far as it is: `untrained encoder: step 120/2000`.
    pub doing: Option<String>,
    /// By dotted key.
    pub settings: Arc<BTreeMap<String, Value>>,
    /// In seconds since 1970.
    pub began: Option<u64>,
    /// When it last gave a sign, in seconds since 1970.
    pub changed: Option<u64>,
    /// Updates done.
    pub step: u64,
    /// Updates planned; none where that is not known.
    pub planned: Option<u64>,
    /// What could not be read, for each of the files.
    unread: [Option<String>; 3],
    history: Result<History, String>,
    stamps: [Stamp; 4],
}

impl Summary {
    /// Reads a run.
    pub fn read(place: Place) -> Self {
        let mut summary = Self {
            place,
            standing: Standing::default(),
            digest: Digest::default(),
            evaluated: Vec::new(),
            doing: None,
            settings: Arc::default(),
            began: None,
            changed: None,
            step: 0,
            planned: None,
            unread: [None, None, None],
            history: Ok(History::default()),
            stamps: [None; 4],
        };
        summary.update();
        summary
    }

    /// Reads what has changed since; whether anything has.
    pub fn update(&mut self) -> bool {
        let run = self.place.path.clone();
        let stamps = [CONFIG, HISTORY, METRICS, evaluation::FILE].map(|file| stamp(&run.join(file)));
        let [config, history, metrics, evaluated] = [0, 1, 2, 3].map(|n| stamps[n] != self.stamps[n]);
        let before = (self.standing.clone(), self.changed, self.doing.clone());
        self.stamps = stamps;
        if config {
            self.read_config(&run);
        }
        if history {
            self.read_history(&run);
        }
        if metrics {
            self.read_metrics(&run);
        }
        if config || evaluated {
            self.read_evaluation(&run);
        }
        self.step = self.digest.step.max(self.history.as_ref().map_or(0, History::step));
        self.planned = self.planned_by_history().or_else(|| self.number("train.steps"));
        self.standing = match self.place.store() {
            Some((store, id)) => Standing::of_cell(&store, id, &self.history),
            None => Standing::of_run(&run, &self.history),
        };
        self.doing = if self.standing.phase == Phase::Training { last_told(&run) } else { None };
        // Whoever measures a run gives no sign of the run's life.
        let times = self.stamps[..3].iter().flatten().map(|(_, seconds, _, _)| *seconds);
        self.changed = times.max().and_then(|seconds| u64::try_from(seconds).ok());
        config || history || metrics || evaluated || before != (self.standing.clone(), self.changed, self.doing.clone())
    }

    /// What could not be read.
    pub fn notices(&self) -> Vec<String> {
        let damage = || format!("`{METRICS}` holds lines that are none of metrics");
        self.unread.iter().flatten().cloned().chain(self.digest.is_damaged.then(damage)).collect()
    }

    /// Reads metrics through of which only the ends were, so that best results are known.
    pub fn complete(&mut self) {
        if self.digest.is_partial && self.digest.complete(&self.place.path.join(METRICS)).is_err() {
            self.digest.is_partial = false;
        }
    }

    fn read_config(&mut self, run: &Path) {
        self.unread[0] = None;
        let text = plain::read(&run.join(CONFIG), plain::SMALL).map_err(|error| error.to_string());
        let text = text.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is no UTF-8".to_owned()));
        match text.and_then(|text| toml::from_str::<Value>(&text).map_err(|error| error.message().to_owned())) {
            Ok(config) => self.settings = Arc::new(leaves(&config)),
            Err(reason) => self.unread[0] = Some(format!("`{CONFIG}` can't be read: {reason}")),
        }
    }

    fn read_history(&mut self, run: &Path) {
        self.history = History::read(run);
        let Ok(history) = &self.history else { return };
        self.began = history.parts.first().map(|part| part.began);
    }

    fn read_metrics(&mut self, run: &Path) {
        let path = run.join(METRICS);
        self.unread[1] = None;
        if self.stamps[2].is_none() {
            self.digest = Digest::default();
        } else if let Err(error) = self.digest.update(&path) {
            self.unread[1] = Some(format!("`{METRICS}` can't be read: {error}"));
        }
    }

    fn read_evaluation(&mut self, run: &Path) {
        let own = self.setting("dataset.name").and_then(Value::as_str);
        let found = evaluation::results(run, own);
        self.unread[2] = found.as_ref().err().cloned();
        let outcome =
            |evaluation::Keyed { key, step, value }| Outcome { last: Some((step, value)), ..Outcome::named(key) };
        self.evaluated = found.unwrap_or_default().into_iter().map(outcome).collect();
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
        is_held_out(self.setting("evaluation.holdout_fraction"))
    }

    /// How long it has been trained, or goes on being so.
    pub fn seconds(&self) -> Option<f64> {
        self.digest.seconds
    }

    /// How long the rest will take at the present pace.
    pub fn seconds_left(&self) -> Option<f64> {
        let (planned, done) = (self.planned?, self.step);
        if self.standing.phase != Phase::Training || done == 0 || planned <= done {
            return None;
        }
        Some(self.digest.seconds? / done as f64 * (planned - done) as f64)
    }

    /// The result that is told where nobody asks for another: the one that checkpoints are kept by, the linear classifier's, or the first accuracy, or the first result.
    pub fn result(&self) -> Option<&str> {
        let names = || self.digest.outcomes.iter().map(|outcome| outcome.name.as_str());
        let chosen = self.setting("checkpoint.best_metric").and_then(Value::as_str).filter(|_| self.is_held_out());
        if let Some(name) = names().find(|name| Some(*name) == chosen) {
            return Some(name);
        }
        names()
            .find(|name| *name == TOLD_RESULT)
            .or_else(|| names().find(|name| is_accuracy(name)))
            .or_else(|| names().next())
    }

    /// The results of its own tests, and those of `infomax evaluate`.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.digest.outcomes.iter().chain(&self.evaluated)
    }

    /// The last value of a result, or of a number that training tells.
    pub fn last(&self, metric: &str) -> Option<f64> {
        let found = self.outcomes().find(|outcome| outcome.name == metric);
        let tested = found.and_then(|outcome| outcome.last).map(|(_, value)| value);
        tested.or_else(|| self.digest.latest(metric))
    }

    /// The best value of a result, where it was chosen on images held out from training.
    pub fn best(&self, metric: &str) -> Option<(u64, f64)> {
        if !self.is_held_out() { None } else { self.digest.outcome(metric)?.best }
    }
}

/// What a run told last in its log, where that was how far it is with something beside updates.
fn last_told(run: &Path) -> Option<String> {
    let mut file = plain::open(&run.join(LOG_FILE)).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LAST_LINE))).ok()?;
    let mut end = Vec::new();
    file.take(LAST_LINE).read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end);
    let line = end.strip_suffix('\n')?.rsplit('\n').next()?;
    let (head, told) = line.split_once(": ")?;
    head.ends_with(&format!(" {MEANWHILE}")).then(|| told.to_owned())
}

/// As it is now.
pub fn stamp(path: &Path) -> Stamp {
    let facts = fs::symlink_metadata(path).ok()?;
    Some((facts.len(), facts.mtime(), facts.mtime_nsec(), facts.ino()))
}
