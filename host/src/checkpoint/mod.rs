//! Checkpoints: tensors as safetensors (`tensors`), directories that are written whole or not at all (`directory`, `disk`),
//! what a run's state is made of (`state`), writing it beside training (`writer`).

mod directory;
mod disk;
mod state;
mod tensors;
mod writer;

pub use directory::{CheckpointSet, FileEntry, Manifest, Retention, Verified};
#[cfg(feature = "faults")]
pub use disk::{Operation, record};
pub use state::{RunState, Snapshot, restore, snapshot};
pub use tensors::{TensorFile, read_tensors, write_tensors};
pub use writer::Writer;
