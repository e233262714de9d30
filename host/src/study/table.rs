//! A plan as a table: every cell, what is done of it, and what the rest will take.

use super::{estimate::estimates, plan::Plan, store::CellState};
use crate::{error::Result, record::duration, report::size, rows::aligned};
use serde::Serialize;
use serde_json::{Map, Value};

/// A cell as `ablate plan` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedCell {
    pub number: usize,
    /// By axis.
    pub settings: Map<String, Value>,
    pub seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rung: Option<usize>,
    /// The cell's name; none where it can't be trained.
    pub id: Option<String>,
    /// `done`, `missing`, `interrupted`, `running`, `failed`, `impossible`.
    pub state: &'static str,
    /// Why it failed, or can't be trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
    /// What it took, or is expected to take.
    pub seconds: Option<f64>,
    /// Of memory, what it took at most, or is expected to take.
    pub bytes: Option<f64>,
    /// The number of an earlier cell that is the same experiment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<usize>,
}

/// Looks at every cell of a plan.
///
/// # Errors
/// A folder that can't be read.
pub fn planned(plan: &Plan) -> Result<Vec<PlannedCell>> {
    let states = plan.states()?;
    let estimates = estimates(plan, &states);
    let mut first: std::collections::BTreeMap<&str, usize> = Default::default();
    let cells = plan.cells.iter().zip(&states).zip(estimates).map(|((cell, state), estimate)| {
        let id = cell.ready.as_ref().ok().map(|ready| ready.id.clone());
        let earlier = cell.ready.as_ref().ok().map(|ready| *first.entry(&ready.id).or_insert(cell.number));
        let (word, told) = match (&cell.ready, state) {
            (Err(faults), _) => (
                "impossible",
                Some(faults.iter().map(|fault| format!("error: {fault}")).collect::<Vec<_>>().join("\n")),
            ),
            (_, Some(CellState::Done)) => ("done", None),
            (_, Some(CellState::Failed(failure))) => ("failed", Some(format!("{}\n{}", failure.how(), failure.told))),
            (_, Some(CellState::Running(holder))) => ("running", Some(holder.to_string())),
            (_, Some(CellState::Missing { has_begun: true })) => ("interrupted", None),
            _ => ("missing", None),
        };
        let is_possible = cell.ready.is_ok();
        PlannedCell {
            number: cell.number,
            settings: plan
                .axes
                .iter()
                .map(|axis| axis.name.clone())
                .zip(plan.points[cell.point].values().cloned())
                .collect(),
            seed: cell.seed,
            rung: cell.rung.map(|rung| rung + 1),
            id,
            state: word,
            told,
            seconds: estimate.seconds.filter(|_| is_possible),
            bytes: estimate.bytes.filter(|_| is_possible),
            same_as: earlier.filter(|&number| number != cell.number),
        }
    });
    Ok(cells.collect())
}

/// The table, the cells that can't be trained with their reasons, and the sums.
pub fn to_text(plan: &Plan, cells: &[PlannedCell]) -> String {
    let mut header = vec!["cell".to_owned()];
    header.extend(plan.axes.iter().map(|axis| axis.name.clone()));
    header.extend((!plan.rungs.is_empty()).then(|| "rung".to_owned()));
    header.extend(["seed", "state", "time", "memory", "id"].map(str::to_owned));
    let mut lines = vec![header];
    for (cell, of_plan) in cells.iter().zip(&plan.cells) {
        let mut line = vec![cell.number.to_string()];
        line.extend(plan.points[of_plan.point].labels().map(str::to_owned));
        line.extend(cell.rung.map(|rung| rung.to_string()));
        let same = cell.same_as.map(|number| format!(" = cell {number}")).unwrap_or_default();
        let about = if cell.state == "done" { "" } else { "~" };
        line.extend([
            cell.seed.to_string(),
            format!("{}{same}", cell.state),
            cell.seconds.map_or_else(|| "?".to_owned(), |seconds| format!("{about}{}", duration(seconds))),
            cell.bytes.map_or_else(|| "?".to_owned(), |bytes| format!("{about}{}", size(bytes as u64))),
            cell.id.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
        lines.push(line);
    }
    let mut text = aligned(&lines, |_| true);
    text.extend(reasons(plan, &cells.iter().collect::<Vec<_>>()));
    text.push(String::new());
    text.push(sums(plan, cells));
    text.join("\n")
}

/// Why cells can't be trained, or failed: each reason once, with its cells.
pub fn reasons(plan: &Plan, cells: &[&PlannedCell]) -> Vec<String> {
    let mut reasons: Vec<(&'static str, String, Vec<String>)> = Vec::new();
    for cell in cells.iter().filter(|cell| matches!(cell.state, "impossible" | "failed")) {
        let told = cell.told.clone().unwrap_or_default();
        match reasons.iter_mut().find(|(state, known, _)| *state == cell.state && *known == told) {
            Some((_, _, numbers)) => numbers.push(cell.number.to_string()),
            None => reasons.push((cell.state, told, vec![cell.number.to_string()])),
        }
    }
    let line = |(state, told, numbers): &(&str, String, Vec<String>)| {
        let first: usize = numbers[0].parse().expect("a number");
        let title = plan.title(&plan.cells[first - 1]);
        let others = if numbers.len() > 1 {
            format!(" and {} more: {}", numbers.len() - 1, numbers[1..].join(", "))
        } else {
            String::new()
        };
        format!("\ncell {first} {state} ({title}){others}\n{}", super::live::indented(told))
    };
    reasons.iter().map(line).collect()
}

fn sums(plan: &Plan, cells: &[PlannedCell]) -> String {
    let count = |state: &str| cells.iter().filter(|cell| cell.state == state && cell.same_as.is_none()).count();
    let states = ["done", "running", "interrupted", "missing", "failed", "impossible"];
    let counted: Vec<String> = states
        .iter()
        .map(|state| (count(state), state))
        .filter(|(n, _)| *n > 0)
        .map(|(n, state)| format!("{n} {state}"))
        .collect();
    let to_do =
        || cells.iter().filter(|cell| matches!(cell.state, "missing" | "interrupted") && cell.same_as.is_none());
    let left: Option<f64> = to_do().map(|cell| cell.seconds).sum();
    let most = to_do().filter_map(|cell| cell.bytes).fold(0.0, f64::max);
    let mut text = format!("{}: {}", super::live::counted(cells.len()), counted.join(", "));
    if to_do().next().is_some() {
        text += &left.map_or_else(
            || "; how long they take is known when the first is done".to_owned(),
            |left| format!("; about {} of work left, one after the other", duration(left)),
        );
        if most > 0.0 {
            text += &format!(", {} of memory each", size(most as u64));
        }
    }
    for (index, rung) in plan.rungs.iter().enumerate() {
        let known = if rung.is_known { "" } else { ", to be chosen when the rung before is done" };
        text += &format!("\nrung {}: {} points with a budget of {}{known}", index + 1, rung.points, rung.budget);
    }
    text
}
