//! Loops over faults: all of their cases with `cargo faults`, or else a keyed tenth; and the figures that they give.

use serde_json::json;
use std::{env, fs::OpenOptions, io::Write};

/// Whether every case of every loop is run.
pub fn is_whole() -> bool {
    env::var_os("INFOMAX_ALL_FAULTS").is_some()
}

/// All cases, or a tenth of them, at least ten, spread by the row's name: the first and the last are always among them.
pub fn sampled<T>(row: &str, cases: Vec<T>) -> Vec<T> {
    let count = cases.len();
    let wanted = (count / 10).max(10).min(count);
    if is_whole() || wanted == count {
        return cases;
    }
    let key: usize = row.bytes().map(usize::from).sum();
    let picked = |i: &usize| {
        let inner = (1..wanted - 1).map(|n| 1 + (n * (count - 2) / (wanted - 1) + key) % (count - 2));
        *i == 0 || *i + 1 == count || inner.into_iter().any(|n| n == *i)
    };
    let keep: Vec<bool> = (0..count).map(|i| picked(&i)).collect();
    cases.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(case, _)| case).collect()
}

/// Says how many of a row's cases went as promised, and notes it for the table of `cargo faults`.
pub fn figure(row: &str, what: &str, good: usize, tried: usize) {
    println!("{row}: {what} {good}/{tried}{}", if is_whole() { "" } else { " (sampled)" });
    if let Some(path) = env::var_os("INFOMAX_FAULT_TABLE") {
        let line = json!({ "row": row, "what": what, "good": good, "tried": tried });
        let mut file = OpenOptions::new().append(true).create(true).open(path).expect("the table can be written");
        writeln!(file, "{line}").expect("the table can be written");
    }
}
