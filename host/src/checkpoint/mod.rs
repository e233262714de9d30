//! Checkpoints: tensors as safetensors.

mod tensors;

pub use tensors::{TensorFile, read_tensors, write_tensors};
