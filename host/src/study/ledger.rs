//! The ledger of a plan, and what is otherwise than in the one before: an edited study, a rebuilt plugin, other data.

use super::plan::{Cell, Plan};
use crate::error::Result;
use infomax_desk::study::{LEDGERS, Ledger, LedgerCell};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// The ledger of a study's last run; none where it never ran.
pub fn former(plan: &Plan) -> Option<Ledger> {
    Ledger::read(&path(plan)).ok()
}

/// Notes the cells of a plan in the folder of runs.
///
/// # Errors
/// The system's, with the path.
pub fn note(plan: &Plan) -> Result<()> {
    ledger_of(plan).write(&path(plan))
}

/// The cells of a plan.
pub fn ledger_of(plan: &Plan) -> Ledger {
    Ledger {
        question: plan.study.text.question.clone(),
        metric: plan.study.text.metric.clone(),
        axes: plan.axes.iter().map(|axis| axis.name.clone()).collect(),
        baseline: plan.points[plan.baseline].values().cloned().collect(),
        rungs: plan.rungs.len(),
        lease_seconds: plan.store.lifetime.as_secs(),
        cells: plan.cells.iter().map(|cell| ledger_cell(plan, cell)).collect(),
    }
}

fn ledger_cell(plan: &Plan, cell: &Cell) -> LedgerCell {
    let (id, told) = match &cell.ready {
        Ok(ready) => (Some(ready.id.clone()), None),
        Err(faults) => (None, Some(faults.first().map_or_else(String::new, |fault| fault.message.clone()))),
    };
    LedgerCell {
        number: cell.number,
        title: plan.title(cell),
        id,
        values: plan.points[cell.point].values().cloned().collect(),
        seed: Some(cell.seed),
        rung: cell.rung.map(|rung| rung + 1),
        told,
    }
}

/// The names of the cells that can be trained, by title.
fn names(ledger: &Ledger) -> BTreeMap<&String, &String> {
    ledger.cells.iter().filter_map(|cell| Some((&cell.title, cell.id.as_ref()?))).collect()
}

/// What is otherwise than when the study last ran, in sentences.
pub fn changes(plan: &Plan) -> Vec<String> {
    let Some(ledger) = former(plan) else { return Vec::new() };
    let now = ledger_of(plan);
    let (before, now) = (names(&ledger), names(&now));
    let mut notes = Vec::new();
    let added = now.keys().filter(|title| !before.contains_key(*title)).count();
    let removed = before.keys().filter(|title| !now.contains_key(*title)).count();
    // A search adds cells as its rungs become known.
    if added > 0 && plan.rungs.is_empty() {
        notes.push(format!("{added} cells are new since the study last ran"));
    }
    if removed > 0 {
        notes.push(format!("{removed} cells are no longer in the study; their results are kept"));
    }
    let both = now.iter().filter_map(|(title, id)| Some((*before.get(title)?, *id)));
    let changed: Vec<(&String, &String)> = both.filter(|(then, now)| then != now).collect();
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

fn path(plan: &Plan) -> PathBuf {
    plan.store.beside(LEDGERS).join(format!("{}.json", plan.study.name))
}
