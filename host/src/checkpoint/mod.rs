//! Checkpoints: tensors as safetensors (`tensors`), directories that are written whole or not at all (`directory`),
//! what a run's state is made of (`state`).

mod directory;
mod state;
mod tensors;

pub use directory::{CheckpointSet, Manifest, Verified};
pub use state::{RunState, restore, snapshot};
pub use tensors::{TensorFile, read_tensors, write_tensors};
