//! Runs that stop and go on: to the same bytes from any step (`exact`), not at all where something else would be computed
//! (`changes`), and after a signal at any time (`signals`).

mod changes;
pub mod exact;
mod signals;
