//! The loss: `amdim.rs` is what the host calls, `scores.rs` one product of sources and targets with its gradient.

mod amdim;
mod scores;

pub use amdim::AmdimLoss;
