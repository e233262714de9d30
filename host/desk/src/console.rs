//! What a user is told at the console in any case, whatever the level of the log: what was found in the data, what was
//! passed over, what was taken in place of something else. It goes to standard error as `note: …`, and to the run's log.

use std::fmt::Display;

/// The log target whose lines are always shown.
pub const TARGET: &str = "note";

/// Tells something.
pub fn note(text: impl Display) {
    log::info!(target: TARGET, "{text}");
}
