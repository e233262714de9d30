//! Measures what cells will take before a study is run: one cell of each point is begun and interrupted after a while. Nothing of it
//! is lost, since the cell goes on from there.

use super::{
    driver::{Ended, look_at},
    estimate::estimates,
    plan::Plan,
    process::Process,
    slots::Slot,
};
use crate::{
    error::{Error, Result},
    record::METRICS,
    train::Signals,
};
use infomax_desk::study::{Asked, CellState, RUN};
use std::{collections::BTreeSet, ffi::OsString, thread, time::Duration};

const POLL: Duration = Duration::from_millis(50);
/// How many times as long as asked for a cell may take to its first row of metrics.
const PATIENCE: u32 = 6;

/// Begins a cell of each point that nothing is known of.
///
/// # Errors
/// What keeps cells from being started, or a signal.
pub fn measure(
    plan: &Plan,
    slot: &Slot,
    folders: &OsString,
    each: Duration,
    signals: &Signals,
    say: impl Fn(&str),
) -> Result<()> {
    let states = plan.states()?;
    let known = estimates(plan, &states);
    let mut seen = BTreeSet::new();
    for ((cell, state), estimate) in plan.cells.iter().zip(&states).zip(known) {
        let (Ok(ready), Some(CellState::Missing { .. })) = (&cell.ready, state) else { continue };
        if estimate.is_of_same_point || !seen.insert((cell.point, cell.rung)) {
            continue;
        }
        let Asked::Taken(lease) = plan.store.lease(&ready.id)? else { continue };
        say(&format!("measuring cell {}: {}", cell.number, plan.title(cell)));
        let mut process = Process::start(&plan.study, &plan.store, ready, slot, lease, folders)?;
        let metrics = plan.store.folder(&ready.id).join(RUN).join(METRICS);
        let has_row = || metrics.metadata().is_ok_and(|file| file.len() > 0);
        let mut was_asked = false;
        let status = loop {
            if let Some(status) = process.ended()? {
                break status;
            }
            let elapsed = process.began.elapsed();
            let is_enough = elapsed >= each && has_row() || elapsed >= each * PATIENCE;
            if !was_asked && (is_enough || signals.asked()) {
                was_asked = true;
                process.ask_to_end();
            }
            thread::sleep(POLL);
        };
        if let Ended::Failed(failure) = look_at(plan, ready, status, None, 1)? {
            plan.store.write_failure(&ready.id, &failure)?;
        }
        if signals.asked() {
            return Err(Error::StudyInterrupted {
                left: plan.cells.len(),
                study: plan.study.file().display().to_string(),
            });
        }
    }
    Ok(())
}
