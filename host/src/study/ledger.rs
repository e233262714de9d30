//! Which cells a study had when it last ran, so that an edited study, a rebuilt plugin or other data are noticed and told.

use super::plan::Plan;
use crate::{
    error::{Error, Result},
    record::write_whole,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

/// The cells of a study by title.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    cells: BTreeMap<String, String>,
}

impl Ledger {
    /// The ledger of a study's last run; none where it never ran.
    pub fn read(plan: &Plan) -> Option<Self> {
        serde_json::from_slice(&fs::read(path(plan)).ok()?).ok()
    }

    /// The cells of a plan.
    pub fn of(plan: &Plan) -> Self {
        let cells = plan.cells.iter().filter_map(|cell| Some((plan.title(cell), cell.ready.as_ref().ok()?.id.clone())));
        Self { cells: cells.collect() }
    }

    /// Writes the ledger.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn write(&self, plan: &Plan) -> Result<()> {
        let path = path(plan);
        let folder = path.parent().expect("it lies in a folder");
        fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
        write_whole(&path, &serde_json::to_vec_pretty(self).expect("a ledger is plain data"))
    }

    /// What is otherwise than when the study last ran, in sentences.
    pub fn changes(&self, plan: &Plan) -> Vec<String> {
        let now = Self::of(plan);
        let mut notes = Vec::new();
        let added = now.cells.keys().filter(|title| !self.cells.contains_key(*title)).count();
        let removed = self.cells.keys().filter(|title| !now.cells.contains_key(*title)).count();
        // A search adds cells as its rungs become known.
        if added > 0 && plan.rungs.is_empty() {
            notes.push(format!("{added} cells are new since the study last ran"));
        }
        if removed > 0 {
            notes.push(format!("{removed} cells are no longer in the study; their results are kept"));
        }
        let changed: Vec<(&String, &String)> = now
            .cells
            .iter()
            .filter_map(|(title, id)| self.cells.get(title).filter(|before| *before != id).map(|before| (before, id)))
            .collect();
        if !changed.is_empty() {
            let identities =
                plan.cells.iter().filter_map(|cell| cell.ready.as_ref().ok()).map(|ready| (&ready.id, &ready.identity));
            let identities: BTreeMap<_, _> = identities.collect();
            let reasons: BTreeSet<String> = changed
                .iter()
                .flat_map(|(before, id)| {
                    let before = plan.store.identity(before);
                    before.map_or_else(Vec::new, |before| identities[*id].changes(&before))
                })
                .collect();
            let reasons: Vec<String> = reasons.into_iter().collect();
            let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
            notes.push(format!("{} cells are others than when the study last ran{why}: they are trained anew, the earlier results are kept", changed.len()));
        }
        notes
    }
}

fn path(plan: &Plan) -> PathBuf {
    plan.store.beside("studies").join(format!("{}.json", plan.study.name))
}
