//! What a user is told at the console in any case, whatever the level of the log: what was found in the data, what was
//! passed over, what was taken in place of something else. It goes to standard error as `note: …`, and to the run's log. And what
//! goes to the run's log alone: the course of a run, which the console shows in its own way.

use std::fmt::Display;

/// The log target whose lines are always shown.
pub const TARGET: &str = "note";

/// The log target whose lines are never shown.
pub const COURSE: &str = "run";

/// The log target of lines that say how far something is which takes long beside updates; never shown.
pub const MEANWHILE: &str = "meanwhile";

/// Tells something.
pub fn note(text: impl Display) {
    log::info!(target: TARGET, "{text}");
}

/// Notes a step in the course of a run, for its log alone.
pub fn log_course(text: impl Display) {
    log::info!(target: COURSE, "{text}");
}

/// Notes how far something is that takes long beside updates, for a run's log alone: whoever looks at the run sees it there.
pub fn log_meanwhile(text: impl Display) {
    log::info!(target: MEANWHILE, "{text}");
}
