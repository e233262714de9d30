//! Faults of a config are the host's faults.

pub use crate::error::Fault;
