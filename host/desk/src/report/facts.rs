//! What a run directory tells, however little of it is there; whatever can't be read becomes a notice.

use super::{
    results::{Outcome, is_held_out, outcomes, pace, seconds},
    settings::{Settings, read_settings},
    state::{State, state},
};
use crate::{
    checkpoint::CheckpointSet,
    evaluation::{self, Evaluated},
    record::{Hardware, History, Identity, METRICS, Part, Row, excerpt, read_metrics_to_damage, without_home},
    study::{CELLS, RUN},
};
use std::{env, fs, path::Path};

/// Rows of the contact sheet that are shown.
const SHEET_ROWS: u32 = 5;
/// Of the contact sheet as PNG; in the page it takes a third more.
const SHEET_BYTES: usize = 600_000;

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
    /// What `infomax evaluate` measured last.
    pub evaluated: Vec<Evaluated>,
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
        let mut facts = Self::without_sheet(run);
        let sheet = fs::read(run.join("views.png")).ok();
        facts.sheet = sheet.and_then(|png| {
            let shown = excerpt(&png, SHEET_ROWS, SHEET_BYTES);
            shown.map_err(|error| facts.notices.push(format!("`views.png` can't be shown: {error}"))).ok()
        });
        facts
    }

    /// The same, but for the contact sheet.
    pub fn without_sheet(run: &Path) -> Self {
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
        let evaluated = evaluation::read(run).unwrap_or_else(|reason| {
            notices.push(reason);
            Vec::new()
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
            evaluated,
            rows,
            settings: read_settings(run, &mut notices),
            identity,
            hardware,
            checkpoints: CheckpointSet::new(run.join("checkpoints")).list().into_iter().map(saved).collect(),
            sheet: None,
            notices,
        };
        facts.notices.iter_mut().for_each(|notice| *notice = without_home(notice));
        facts
    }

    /// Updates done.
    pub fn step(&self) -> u64 {
        let told = self.parts.last().and_then(|part| part.end.as_ref()?.step);
        self.rows.iter().map(|row| row.step).chain(told).max().unwrap_or(0)
    }

    /// Time spent on training, tests included; none before the first row.
    pub fn seconds(&self) -> Option<f64> {
        seconds(&self.rows)
    }

    /// Whether tests are made on images that are kept from training, so that the best of them may be chosen.
    pub fn is_held_out(&self) -> bool {
        is_held_out(self.settings.get("evaluation.holdout_fraction"))
    }

    /// The median pace of the rows.
    pub fn images_per_second(&self) -> Option<f64> {
        pace(&self.rows)
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
    if let Some(id) = cell_of(&whole) {
        return format!("cell {id}");
    }
    whole.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Of a run that is a cell of a study: the cell's name.
fn cell_of(run: &Path) -> Option<String> {
    let cell = run.parent().filter(|_| run.file_name().is_some_and(|name| name == RUN))?;
    let is_among_cells = cell.parent()?.file_name().is_some_and(|name| name == CELLS);
    is_among_cells.then(|| cell.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

/// Seen from the working directory where it lies below it, or else only its name: the rest would say whose machine this is.
fn shown_path(run: &Path) -> String {
    let whole = fs::canonicalize(run).unwrap_or_else(|_| run.to_owned());
    let here = env::current_dir().and_then(fs::canonicalize).unwrap_or_default();
    let below = whole.strip_prefix(&here).ok().filter(|path| !path.as_os_str().is_empty());
    below.map_or_else(|| name(run), |path| path.to_string_lossy().into_owned())
}
