//! Checkpoint directories, written whole or not at all (`directory`, over `disk`).

mod directory;
mod disk;

pub use directory::{CheckpointSet, FileEntry, Found, Manifest, Retention, Verified};
#[cfg(feature = "faults")]
pub use disk::{Operation, record};
