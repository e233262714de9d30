//! Numbers recorded from our own PyTorch restatements (`tests/recorded`), reached through the loaded libraries.

mod losses;
mod step;
