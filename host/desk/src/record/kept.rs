//! What a run directory keeps under which name.

/// The file with every number.
pub const METRICS: &str = "metrics.jsonl";
/// The folder of TensorBoard's event files.
pub const TENSORBOARD: &str = "tensorboard";
/// The file that a finished run leaves for others to read.
pub const ENCODER: &str = "encoder.safetensors";
