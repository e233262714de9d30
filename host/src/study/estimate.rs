//! What the missing cells will take: by the cells that are done or under way, those of the same point first.

use super::plan::Plan;
use infomax_desk::study::CellState;
use std::collections::BTreeMap;

/// What a cell is expected to take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    pub seconds: Option<f64>,
    pub bytes: Option<f64>,
    /// Whether a cell of the same point was measured, with another seed.
    pub is_of_same_point: bool,
}

/// What cells have taken: the point, its rung, seconds, bytes.
type Measured = (usize, Option<usize>, Option<f64>, Option<f64>);

/// The estimates of all cells, in the plan's order.
pub fn estimates(plan: &Plan, states: &[Option<CellState>]) -> Vec<Estimate> {
    let measured: Vec<Measured> = plan
        .cells
        .iter()
        .zip(states)
        .filter_map(|(cell, state)| {
            let ready = cell.ready.as_ref().ok()?;
            if matches!(state, None | Some(CellState::Missing { has_begun: false } | CellState::Failed(_))) {
                return None;
            }
            let cost = plan.store.cost(&ready.id);
            // What is under way goes on as it began; what a test at the end takes is not known then.
            let rest = if *state == Some(CellState::Done) { 1.0 } else { ready.steps? as f64 / cost.steps as f64 };
            let seconds = cost.seconds.map(|seconds| seconds * rest).filter(|seconds| seconds.is_finite());
            Some((cell.point, cell.rung, seconds, cost.bytes))
        })
        .collect();
    let mut by_point: BTreeMap<(usize, Option<usize>), Vec<&Measured>> = BTreeMap::new();
    measured.iter().for_each(|one| by_point.entry((one.0, one.1)).or_default().push(one));
    let mut by_rung: BTreeMap<Option<usize>, Vec<&Measured>> = BTreeMap::new();
    measured.iter().for_each(|one| by_rung.entry(one.1).or_default().push(one));
    // A budget in seconds says itself how long training takes.
    let budget = plan.study.text.budget.seconds.map(|seconds| seconds as f64);
    plan.cells
        .iter()
        .map(|cell| {
            let own = by_point.get(&(cell.point, cell.rung));
            let among = own.or_else(|| by_rung.get(&cell.rung)).map_or(&[][..], Vec::as_slice);
            let mean =
                |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
            Estimate {
                seconds: mean(among.iter().filter_map(|one| one.2).collect()).or(budget),
                bytes: mean(among.iter().filter_map(|one| one.3).collect()),
                is_of_same_point: own.is_some(),
            }
        })
        .collect()
}
