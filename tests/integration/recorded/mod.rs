//! Numbers recorded from independent implementations and our own restatements in PyTorch (`tests/recorded`), reached
//! through the loaded libraries.

pub mod encoders;
pub mod fill;
pub mod losses;
pub(crate) mod step;
