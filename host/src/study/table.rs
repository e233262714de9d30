//! A plan as a table: every cell, what is done of it, and what the rest will take.

use super::{
    estimate::estimates,
    plan::{Plan, Ready},
};
use crate::{
    config::Device,
    error::Result,
    native::precision::device_memory,
    record::duration,
    report::size,
    rows::aligned,
    train::{device_name, resolve_device},
};
use infomax_desk::study::CellState;
use serde::Serialize;
use serde_json::{Map, Value};
use tch::{Kind, Tensor};

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
    /// Of a GPU's memory, what a step is expected to need; none where it is to be trained without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_bytes: Option<u64>,
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
            step_bytes: cell.ready.as_ref().ok().filter(|ready| wants_gpu(ready)).map(|ready| ready.memory.peak()),
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
            match (cell.bytes, cell.step_bytes) {
                (Some(bytes), _) => format!("{about}{}", size(bytes as u64)),
                (None, Some(bytes)) => format!("~{} of a GPU", size(bytes)),
                (None, None) => "?".to_owned(),
            },
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

/// Whether a cell is to be trained on a GPU; `auto` counts where there is one.
fn wants_gpu(ready: &Ready) -> bool {
    match ready.experiment.train.device {
        Device::Cpu => false,
        Device::Auto => resolve_device(Device::Auto, 0).is_ok_and(|device| device.is_cuda()),
        Device::Cuda(_) => true,
    }
}

/// Which cells that are to be trained won't fit into this machine's GPU: each reason once, with its cells; nothing where there is
/// no GPU.
pub fn lacking(plan: &Plan, cells: &[PlannedCell]) -> Vec<String> {
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    let to_do = cells.iter().filter(|cell| matches!(cell.state, "missing" | "interrupted") && cell.same_as.is_none());
    for cell in to_do.filter(|cell| cell.step_bytes.is_some()) {
        let Ok(ready) = &plan.cells[cell.number - 1].ready else { continue };
        let device = resolve_device(ready.experiment.train.device, 0);
        let Some(device) = device.ok().filter(|device| device.is_cuda()) else { continue };
        // A device that was never used says nothing of its memory.
        let used = Tensor::f_zeros([1], (Kind::Float, device));
        let Some(there) = used.ok().and_then(|_| device_memory(device).ok()?) else { continue };
        let Some(lack) = ready.memory.lacks(&device_name(device), there, &ready.experiment) else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == lack) {
            Some((_, numbers)) => numbers.push(cell.number.to_string()),
            None => reasons.push((lack, vec![cell.number.to_string()])),
        }
    }
    let line = |(lack, numbers): &(String, Vec<String>)| {
        format!("warning: cell{} {}: {lack}", if numbers.len() == 1 { "" } else { "s" }, numbers.join(", "))
    };
    reasons.iter().map(line).collect()
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
