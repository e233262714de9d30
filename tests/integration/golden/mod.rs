//! Numbers recorded from the published AMDIM code, reached through the loaded libraries.

mod amdim;
pub(crate) mod model;
mod objective;
