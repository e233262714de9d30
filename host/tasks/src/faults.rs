//! `cargo faults`: the tests of what the product promises under faults, each loop over all of its cases, and a table of how many
//! went as promised.

use crate::{
    install::root,
    stop::Stop,
    work::{cargo, ended, run},
};
use serde_json::Value;
use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

/// Rows of the matrix by their first letter, and what they are about.
const AREAS: [(char, &str); 7] = [
    ('C', "configs"),
    ('P', "plugins"),
    ('D', "data"),
    ('K', "checkpoints"),
    ('T', "training"),
    ('R', "several processes"),
    ('O', "tools"),
];

/// Runs the tests with these words in their names, or those of all rows, and prints the table.
pub fn run_whole(filters: &[String]) -> Result<(), Stop> {
    let path = root().join("target/faults.jsonl");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(Stop::new(format!("can't remove `{}`: {error}", path.display())));
        }
        _ => {}
    }
    // A test that belongs to a row begins with it: `k01_`.
    let rows = (0..10).flat_map(|ten| AREAS.map(|(letter, _)| format!("::{}{ten}", letter.to_ascii_lowercase())));
    let filters: Vec<String> = if filters.is_empty() { rows.collect() } else { filters.to_vec() };
    let mut command = cargo();
    command.args(["test", "--workspace", "--release", "--test", "integration", "--", "--test-threads=1"]).args(filters);
    command.env("INFOMAX_ALL_FAULTS", "1").env("INFOMAX_FAULT_TABLE", &path);
    let status = run(&mut command)?;
    println!("{}", table(&path)?);
    ended(status, "a promise was not kept")
}

/// Figures as a Markdown table, those of a row together.
fn table(path: &Path) -> Result<String, Stop> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        other => other.map_err(|error| Stop::new(format!("can't read `{}`: {error}", path.display())))?,
    };
    let mut figures: BTreeMap<(usize, String, String), (u64, u64)> = BTreeMap::new();
    for line in text.lines() {
        let unreadable = |_| Stop::new(format!("`{}` has a line that is no figure: {line}", path.display()));
        let figure: Value = serde_json::from_str(line).map_err(unreadable)?;
        let word = |key: &str| figure[key].as_str().unwrap_or_default().to_owned();
        let area = AREAS.iter().position(|(letter, _)| word("row").starts_with(*letter)).unwrap_or(AREAS.len());
        let sum = figures.entry((area, word("row"), word("what"))).or_default();
        sum.0 += figure["good"].as_u64().unwrap_or(0);
        sum.1 += figure["tried"].as_u64().unwrap_or(0);
    }
    let mut table = "| row | what | kept / tried |\n|---|---|---|".to_owned();
    for ((_, row, what), (good, tried)) in figures {
        table.push_str(&format!("\n| {row} | {what} | {good} / {tried} |"));
    }
    Ok(table)
}
