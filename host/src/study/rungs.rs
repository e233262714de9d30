//! Successive halving (Jamieson and Talwalkar 2016): every point on a short budget, the best on the next longer one, and so on;
//! which those are is known when a rung is done.

use super::file::Study;
use crate::{config::Fault, error::Result};
use infomax_desk::study::{CellState, Store};

/// What is known of a rung.
#[derive(Clone, Debug, PartialEq)]
pub struct Rung {
    /// Points that are trained in it.
    pub points: usize,
    /// Whether they are chosen already.
    pub is_known: bool,
    /// How long a cell trains, in the study's unit.
    pub budget: u64,
}

/// How long a cell of a rung trains; the last rung has the whole budget.
pub fn budget(study: &Study, whole: u64, rung: usize) -> u64 {
    let search = &study.text.search;
    let above = u32::try_from(search.rungs - 1).unwrap_or(0).saturating_sub(rung as u32);
    (whole / search.factor.saturating_pow(above)).max(1)
}

/// A point, a seed, and the rung.
type Chosen = (usize, u64, Option<usize>);

/// The cells of all rungs whose points are known. `id` names a cell, or says why there is none.
///
/// # Errors
/// A folder that can't be read.
pub fn chosen(
    study: &Study,
    points: usize,
    store: &Store,
    mut id: impl FnMut(usize, u64, usize) -> Result<String, Vec<Fault>>,
) -> Result<(Vec<Chosen>, Vec<Rung>)> {
    let search = &study.text.search;
    let whole = study.text.budget.given().first().map_or(1, |&(_, amount)| amount);
    let mut candidates: Vec<usize> = (0..points).collect();
    let (mut cells, mut rungs) = (Vec::new(), Vec::new());
    let mut is_known = true;
    let mut count = points;
    for rung in 0..search.rungs as usize {
        rungs.push(Rung { points: count, is_known, budget: budget(study, whole, rung) });
        count = (count / search.factor as usize).max(1);
        if !is_known {
            continue;
        }
        let mut ranked = Vec::new();
        for &point in &candidates {
            let mut results = Vec::new();
            for &seed in &study.text.seeds {
                cells.push((point, seed, Some(rung)));
                let Ok(id) = id(point, seed, rung) else { continue };
                match store.state(&id)? {
                    CellState::Done => results.extend(store.last_value(&id, &study.text.metric)),
                    CellState::Failed(_) => {}
                    CellState::Missing { .. } | CellState::Running(_) => is_known = false,
                }
            }
            // One seed that failed is no reason to take a point for better or worse than its others.
            let mean = results.iter().sum::<f64>() / results.len() as f64;
            ranked.push((if results.is_empty() { f64::NEG_INFINITY } else { mean }, point));
        }
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        ranked.truncate(count);
        ranked.retain(|(mean, _)| mean.is_finite());
        candidates = ranked.into_iter().map(|(_, point)| point).collect();
    }
    Ok((cells, rungs))
}
