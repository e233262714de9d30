//! What a run directory tells, however little of it is there; whatever can't be read becomes a notice.

use super::settings::{Settings, read_settings};
use crate::{
    checkpoint::CheckpointSet,
    record::{Ending, Hardware, History, Part, Row, excerpt, is_held, read_metrics_to_damage, without_home},
    train::{ENCODER, Identity, METRICS},
};
use std::{env, fs, path::Path};

/// Rows of the contact sheet that are shown.
const SHEET_ROWS: u32 = 5;
/// Of the contact sheet as PNG; in the page it takes a third more.
const SHEET_BYTES: usize = 600_000;

/// How a run stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// A process trains it now.
    Running,
    /// It ended in this way.
    Ended(Ending),
    /// Its process ended without a word: killed, or a machine that went down.
    Lost,
    /// Nothing tells.
    Unknown,
}

/// A result: the untrained encoder's, the last, the best.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub name: String,
    pub untrained: Option<f64>,
    /// With its step.
    pub last: Option<(u64, f64)>,
    /// With its step; of accuracies only, since nobody can say what is best of the others.
    pub best: Option<(u64, f64)>,
}

/// A checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    pub step: u64,
    /// Its files, and the results of the test at its step, or why it can't be read.
    pub found: Result<(u64, Vec<(String, f64)>), String>,
}

/// Everything that the page shows.
#[derive(Debug)]
pub struct Facts {
    pub name: String,
    /// The run directory as a command would name it.
    pub path: String,
    pub state: State,
    pub parts: Vec<Part>,
    pub rows: Vec<Row>,
    pub outcomes: Vec<Outcome>,
    pub settings: Settings,
    pub identity: Option<Identity>,
    pub hardware: Vec<Hardware>,
    pub checkpoints: Vec<Saved>,
    /// The first rows of the contact sheet, as PNG.
    pub sheet: Option<Vec<u8>>,
    /// What could not be read.
    pub notices: Vec<String>,
}

impl Facts {
    /// Reads a run directory.
    pub fn read(run: &Path) -> Self {
        let mut notices = Vec::new();
        let rows = rows(run, &mut notices);
        let history = History::read(run).unwrap_or_else(|reason| {
            notices.push(reason);
            History::default()
        });
        let hardware = Hardware::read(run).unwrap_or_else(|reason| {
            notices.push(reason);
            Vec::new()
        });
        let identity = Identity::read(run).map_err(|error| notices.push(first_message(&error))).ok();
        let sheet = fs::read(run.join("views.png")).ok();
        let sheet = sheet.and_then(|png| {
            let shown = excerpt(&png, SHEET_ROWS, SHEET_BYTES);
            shown.map_err(|error| notices.push(format!("`views.png` can't be shown: {error}"))).ok()
        });
        let saved = |(step, manifest): (u64, Result<crate::checkpoint::Manifest, String>)| Saved {
            step,
            found: manifest.map(|manifest| {
                (manifest.files.values().map(|file| file.bytes).sum(), manifest.metrics.into_iter().collect())
            }),
        };
        let mut facts = Self {
            name: name(run),
            path: shown_path(run),
            state: state(run, &history),
            parts: history.parts,
            outcomes: outcomes(&rows),
            rows,
            settings: read_settings(run, &mut notices),
            identity,
            hardware,
            checkpoints: CheckpointSet::new(run.join("checkpoints")).list().into_iter().map(saved).collect(),
            sheet,
            notices,
        };
        facts.notices.iter_mut().for_each(|notice| *notice = without_home(notice));
        facts
    }

    /// Updates done.
    pub fn step(&self) -> u64 {
        self.rows.iter().map(|row| row.step).max().unwrap_or(0)
    }

    /// Time spent on training, tests included; none before the first row.
    pub fn seconds(&self) -> Option<f64> {
        self.rows.last().map(|row| row.seconds).filter(|seconds| seconds.is_finite())
    }

    /// The median pace of the rows.
    pub fn images_per_second(&self) -> Option<f64> {
        let paces = self.rows.iter().filter_map(|row| row.get("images_per_second"));
        let mut paces: Vec<f64> = paces.filter(|pace| pace.is_finite()).collect();
        paces.sort_by(f64::total_cmp);
        paces.get(paces.len() / 2).copied()
    }
}

fn first_message(error: &crate::error::Error) -> String {
    error.faults().into_iter().next().map_or_else(|| error.to_string(), |fault| fault.message)
}

fn rows(run: &Path, notices: &mut Vec<String>) -> Vec<Row> {
    match read_metrics_to_damage(&run.join(METRICS)) {
        Ok((rows, damage)) => {
            notices.extend(damage.map(|damage| format!("{damage}; what follows it is left out")));
            rows
        }
        Err(_) if !run.join(METRICS).exists() => {
            notices.push(format!("`{METRICS}` is not there: nothing was measured yet"));
            Vec::new()
        }
        Err(error) => {
            notices.push(error.to_string());
            Vec::new()
        }
    }
}

fn name(run: &Path) -> String {
    let whole = fs::canonicalize(run).unwrap_or_else(|_| run.to_owned());
    whole.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Seen from the working directory where it lies below it, or else only its name: the rest would say whose machine this is.
fn shown_path(run: &Path) -> String {
    let whole = fs::canonicalize(run).unwrap_or_else(|_| run.to_owned());
    let here = env::current_dir().and_then(fs::canonicalize).unwrap_or_default();
    let below = whole.strip_prefix(&here).ok().filter(|path| !path.as_os_str().is_empty());
    below.map_or_else(|| name(run), |path| path.to_string_lossy().into_owned())
}

fn state(run: &Path, history: &History) -> State {
    match history.parts.last().map(|part| &part.end) {
        Some(Some(end)) => State::Ended(end.how),
        Some(None) if is_held(run) => State::Running,
        Some(None) => State::Lost,
        None if is_held(run) => State::Running,
        None if run.join(ENCODER).exists() => State::Ended(Ending::Finished),
        None => State::Unknown,
    }
}

/// Training rows have a learning rate; all others hold results.
pub fn is_training(row: &Row) -> bool {
    row.get("lr").is_some()
}

/// Before the name of a result of the untrained encoder.
pub const UNTRAINED: &str = "untrained_";

fn outcomes(rows: &[Row]) -> Vec<Outcome> {
    let mut found: Vec<Outcome> = Vec::new();
    for row in rows.iter().filter(|row| !is_training(row)) {
        for (key, value) in &row.values {
            let (name, is_untrained) = key.strip_prefix(UNTRAINED).map_or((key.as_str(), false), |name| (name, true));
            let index = found.iter().position(|outcome| outcome.name == name).unwrap_or_else(|| {
                found.push(Outcome { name: name.to_owned(), untrained: None, last: None, best: None });
                found.len() - 1
            });
            let outcome = &mut found[index];
            if is_untrained {
                outcome.untrained = Some(*value);
                continue;
            }
            outcome.last = Some((row.step, *value));
            let is_better = outcome.best.is_none_or(|(_, best)| *value > best);
            if super::text::is_accuracy(name) && value.is_finite() && is_better {
                outcome.best = Some((row.step, *value));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64, values: &[(&str, f64)]) -> Row {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Row { step, epoch: 0, seconds: 1.0, values }
    }

    #[test]
    fn outcomes_are_the_untrained_the_last_and_the_best() {
        let rows = [
            row(0, &[("untrained_linear_top1", 10.0)]),
            row(1, &[("loss", 3.0), ("lr", 0.1)]),
            row(1, &[("linear_top1", 30.0), ("rankme", 4.0)]),
            row(2, &[("linear_top1", 40.0), ("rankme", 5.0)]),
            row(3, &[("linear_top1", 35.0), ("rankme", 3.0)]),
            row(4, &[("linear_top1", f64::NAN)]),
        ];
        let outcomes = outcomes(&rows);
        assert_eq!(outcomes.len(), 2);
        assert_eq!((outcomes[0].untrained, outcomes[0].best), (Some(10.0), Some((2, 40.0))));
        assert_eq!(outcomes[0].last.unwrap().0, 4);
        assert_eq!((outcomes[1].last, outcomes[1].best), (Some((3, 3.0)), None));
    }
}
