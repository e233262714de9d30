//! A study's cells as members of a comparison.

use super::{
    plan::{Cell, Plan},
    store::CellState,
};
use crate::{
    comparison::{Baseline, Comparison, Member, Options, Outcome, on_all_cores, read_figures},
    error::Result,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Compares the cells of a study: those that failed or are missing are told, never left out.
///
/// # Errors
/// A folder that can't be read, or a metric that no cell has.
pub fn compare(plan: &Plan, metric: Option<&str>, further: Option<Vec<String>>) -> Result<Comparison> {
    let members: Result<Vec<Member>> = on_all_cores(&plan.cells, |cell| member(plan, cell)).into_iter().collect();
    let baseline = plan.cells.iter().position(|cell| cell.point == plan.baseline).map(Baseline::Member);
    let mut notes = Vec::new();
    if !plan.study.text.question.is_empty() {
        notes.push(format!("the study asks: {}", plan.study.text.question));
    }
    let options =
        Options { metric: Some(metric.unwrap_or(&plan.study.text.metric).to_owned()), further, baseline, notes };
    Comparison::of(&plan.study.name, members?, &options)
}

fn member(plan: &Plan, cell: &Cell) -> Result<Member> {
    let point = &plan.points[cell.point];
    let mut settings: BTreeMap<String, Value> =
        plan.axes.iter().map(|axis| axis.name.clone()).zip(point.values().cloned()).collect();
    if let Some(rung) = cell.rung {
        settings.insert("rung".to_owned(), Value::from(rung + 1));
    }
    let name = format!("cell {}", cell.number);
    Ok(Member { name, settings, seed: Some(cell.seed), outcome: outcome(plan, cell)? })
}

fn outcome(plan: &Plan, cell: &Cell) -> Result<Outcome> {
    let ready = match &cell.ready {
        Ok(ready) => ready,
        Err(faults) => {
            let told = faults.first().map_or_else(String::new, |fault| fault.message.clone());
            return Ok(Outcome::Failed { told: format!("it can't be trained: {told}"), exit_code: None });
        }
    };
    let run = plan.store.run(&ready.id);
    let figures = || read_figures(&run).map(Box::new);
    Ok(match plan.store.state(&ready.id)? {
        CellState::Done => Outcome::Done(figures()?),
        CellState::Failed(failure) => {
            let exit_code = failure.exit_code.and_then(|code| u8::try_from(code).ok());
            let first = failure.told.lines().next().unwrap_or_default();
            let told = format!("{} ({})", first.trim_start_matches("error: "), failure.how());
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
