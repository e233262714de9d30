//! Runs that stop and go on: to the same bytes from any step (`exact`), not at all where something else would be computed
//! (`changes`), which leaves the run as it was (`refused`); by the command that began them (`auto`); and after a signal at any time
//! (`signals`), also
//! one that every process of a job hears several times (`requests`).

mod auto;
mod changes;
pub mod exact;
mod refused;
mod requests;
mod signals;
