//! Studies whose cells take half a second.

use crate::support::{
    binary::{experiment, infomax},
    ended::{self, Ended},
};
use infomax::record::{Ending, History};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

/// What holds for every cell: two updates of four images, one test.
const CONFIG: &str = r#"
[config]
train = { batch_size = 4, threads = 1, workers = 0, log_every_steps = 1 }
encoder.config = { ndf = 4, n_rkhs = 16, depth = 1 }
dataset.config = { train_length = 40, test_length = 20 }
optimizer.warmup_steps = 0
evaluation = { mlp = false, untrained = false, every_steps = 1000 }
checkpoint.every_steps = 1
record = { contact_sheet = false, plot = false, report = false }
"#;

/// A folder with the study `small.toml`: the head of the file, and its axes.
pub fn study(head: &str, axes: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), head, axes);
    folder
}

/// Writes the study anew.
pub fn write(folder: &Path, head: &str, axes: &str) {
    let base = experiment("shapes-demo");
    let budget = if head.contains("budget") { "" } else { "budget = { steps = 2 }\n" };
    let text = format!("base = [\"{base}\"]\n{budget}{head}\n{CONFIG}\n{axes}\n");
    fs::write(folder.join("small.toml"), text).unwrap();
}

/// `infomax ablate COMMAND small.toml …`.
pub fn ablate(folder: &Path, command: &str, more: &[&str]) -> Ended {
    ended::infomax(folder, &[&["ablate", command, "small.toml"], more].concat())
}

/// The same, not waited for.
pub fn start(folder: &Path, command: &str, more: &[&str]) -> Child {
    let mut command = infomax(folder, &[&["ablate", command, "small.toml"], more].concat());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs a study, which must end well.
pub fn run(folder: &Path, more: &[&str]) -> String {
    let ended = ablate(folder, "run", more);
    assert_eq!(ended.code, 0, "{}", ended.seen());
    ended.out
}

/// The cells as `plan --format json` tells them.
pub fn planned(folder: &Path) -> Vec<Value> {
    let ended = ablate(folder, "plan", &["--format", "json"]);
    assert_eq!(ended.code, 0, "{}", ended.seen());
    serde_json::from_str(&ended.out).unwrap()
}

/// How many cells are in each state.
pub fn states(folder: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for cell in planned(folder) {
        *counts.entry(cell["state"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// The states as a test writes them.
pub fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect()
}

/// The folders of all cells.
pub fn cells(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("runs/cells")).map(Iterator::flatten);
    let mut cells: Vec<PathBuf> = entries.into_iter().flatten().map(|entry| entry.path()).collect();
    cells.sort();
    cells
}

/// How often a cell's run came to its end.
pub fn times_finished(cell: &Path) -> usize {
    let parts = History::read(&cell.join("run")).unwrap().parts;
    parts.iter().filter(|part| part.end.as_ref().is_some_and(|end| end.how == Ending::Finished)).count()
}

/// A cell's results, without what depends on the clock.
pub fn results(cell: &Path) -> Vec<Value> {
    let text = fs::read_to_string(cell.join("run/metrics.jsonl")).unwrap();
    let row = |line: &str| {
        let mut row: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        row.retain(|key, _| !key.contains("second") && !key.contains("waiting"));
        Value::Object(row)
    };
    text.lines().map(row).collect()
}
