//! A study's cells as members of a comparison.

use super::{
    ledger::{Ledger, LedgerCell},
    store::{CellState, Store},
};
use crate::{
    comparison::{Baseline, Comparison, Figures, Member, Options, Outcome, RUNG, on_all_cores, read_figures},
    error::Result,
};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// Who reads what a run came to.
pub type Reader<'a> = dyn Fn(&Path) -> Result<Figures> + Sync + 'a;

/// Compares the cells of a study: those that failed or are missing are told, never left out. `metric`: the study's own where none is
/// named.
///
/// # Errors
/// A folder that can't be read, or a metric that no cell has.
pub fn compare(
    name: &str,
    ledger: &Ledger,
    store: &Store,
    metric: Option<&str>,
    further: Option<Vec<String>>,
) -> Result<Comparison> {
    compare_with(name, ledger, store, (metric, further), &read_figures)
}

/// The same, where somebody else reads what a run came to.
///
/// # Errors
/// As [`compare`].
pub fn compare_with(
    name: &str,
    ledger: &Ledger,
    store: &Store,
    (metric, further): (Option<&str>, Option<Vec<String>>),
    figures: &Reader<'_>,
) -> Result<Comparison> {
    let members: Result<Vec<Member>> =
        on_all_cores(&ledger.cells, |cell| member(ledger, store, cell, figures)).into_iter().collect();
    let is_baseline = |cell: &LedgerCell| !ledger.baseline.is_empty() && cell.values == ledger.baseline;
    let baseline = ledger.cells.iter().position(is_baseline).map(Baseline::Member);
    let mut notes = Vec::new();
    if !ledger.question.is_empty() {
        notes.push(format!("the study asks: {}", ledger.question));
    }
    let own = Some(&ledger.metric).filter(|metric| !metric.is_empty()).map(String::as_str);
    let options = Options { metric: metric.or(own).map(str::to_owned), further, baseline, notes };
    Comparison::of(name, members?, &options)
}

fn member(ledger: &Ledger, store: &Store, cell: &LedgerCell, figures: &Reader<'_>) -> Result<Member> {
    let mut settings: BTreeMap<String, Value> = ledger.axes.iter().cloned().zip(cell.values.iter().cloned()).collect();
    if let Some(rung) = cell.rung {
        settings.insert(RUNG.to_owned(), Value::from(rung));
    }
    if cell.values.is_empty() && !ledger.axes.is_empty() || cell.seed.is_none() {
        // Of a ledger that tells no more.
        settings.insert("cell".to_owned(), Value::from(cell.title.clone()));
    }
    Ok(Member {
        name: format!("cell {}", cell.number),
        settings,
        seed: cell.seed,
        rung: cell.rung,
        outcome: outcome(store, cell, figures)?,
    })
}

fn outcome(store: &Store, cell: &LedgerCell, read: &Reader<'_>) -> Result<Outcome> {
    let Some(id) = &cell.id else {
        let told = cell.told.clone().unwrap_or_default();
        return Ok(Outcome::Failed { told: format!("it can't be trained: {told}"), exit_code: None });
    };
    let run = store.run(id);
    let figures = || read(&run).map(Box::new);
    Ok(match store.state(id)? {
        CellState::Done => Outcome::Done(figures()?),
        CellState::Failed(failure) => {
            let exit_code = failure.exit_code.and_then(|code| u8::try_from(code).ok());
            let how =
                if exit_code.is_some() && failure.tries <= 1 { String::new() } else { format!(" ({})", failure.how()) };
            let told = format!("{}{how}", failure.message());
            Outcome::Failed { told, exit_code }
        }
        CellState::Running(_) => {
            figures().map_or(Outcome::Missing, |figures| Outcome::Unfinished { is_running: true, figures })
        }
        CellState::Missing { .. } => {
            figures().map_or(Outcome::Missing, |figures| Outcome::Unfinished { is_running: false, figures })
        }
    })
}
