//! `origins.json`: who said what about every value of a run's config, as it was when the run began and where it was resumed.

use super::{
    difference::Change,
    merge::{Origin, Origins},
};
use crate::{
    error::Result,
    record::{without_home, write_whole},
};
use std::{fs, io, path::Path};

const FILE: &str = "origins.json";
/// Behind the place of what was set when a run went on.
const RESUMING: &str = ", on resuming";

/// Writes the origins of a new run, with `~` for the home folder.
///
/// # Errors
/// The system's, with the path.
pub fn write_origins(origins: &Origins, run: &Path) -> Result<()> {
    let shown = |origin: &Origin| Origin { at: without_home(&origin.at), value: origin.value.clone() };
    let origins: Origins = origins.iter().map(|(key, said)| (key.clone(), said.iter().map(shown).collect())).collect();
    write_whole(&run.join(FILE), &serde_json::to_vec_pretty(&origins).expect("origins are plain data"))
}

/// The origins that a run has kept; none where it has none.
///
/// # Errors
/// What is wrong with the file.
pub fn read_origins(run: &Path) -> Result<Option<Origins>, String> {
    match fs::read(run.join(FILE)) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| format!("`{FILE}` can't be read: {error}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("`{FILE}` can't be read: {error}")),
    }
}

/// Adds to a run's origins who set the values with which it goes on; a run without origins is left without.
///
/// # Errors
/// The system's, with the path.
pub fn adopt_origins(changes: &[Change], now: &Origins, run: &Path) -> Result<()> {
    let mut origins = match read_origins(run) {
        Ok(Some(origins)) => origins,
        Ok(None) => return Ok(()),
        Err(reason) => {
            log::warn!("{reason}");
            return Ok(());
        }
    };
    for change in changes {
        match now.get(&change.key).and_then(|said| said.last()) {
            Some(last) => {
                let at = without_home(&last.at) + RESUMING;
                origins.entry(change.key.clone()).or_default().push(Origin { at, value: last.value.clone() });
            }
            None => drop(origins.remove(&change.key)),
        }
    }
    write_origins(&origins, run)
}
