//! How a run stands: it goes on, ended in some way, or ended without a word.

use crate::record::{ENCODER, Ending, History, is_held, is_held_by_another};
use std::path::Path;

/// How a run stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// A process trains it now.
    Running,
    /// It ended in this way.
    Ended(Ending),
    /// Its process ended without a word: killed, or a machine that went down.
    Lost,
    /// Nothing tells.
    Unknown,
}

/// How a run with this history stands.
pub fn state(run: &Path, history: &History) -> State {
    match history.parts.last().map(|part| &part.end) {
        // It goes on, and has yet to load what it needs; a run that ends writes its own page.
        Some(Some(_)) if is_held_by_another(run) => State::Running,
        Some(Some(end)) => State::Ended(end.how),
        Some(None) if is_held(run) => State::Running,
        Some(None) => State::Lost,
        None if is_held(run) => State::Running,
        None if run.join(ENCODER).exists() => State::Ended(Ending::Finished),
        None => State::Unknown,
    }
}
