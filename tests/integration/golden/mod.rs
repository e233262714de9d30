//! Numbers recorded from the published AMDIM code, reached through the loaded libraries.

mod amdim;
mod model;
mod objective;
