//! The encoder: from views to the maps r1 (1×1), r5 (5×5) and r7 (7×7). `amdim.rs` is what the host calls,
//! `architecture.rs` the list of layers, `blocks.rs` the layers, `rows.rs` the arithmetic.

mod amdim;
mod architecture;
mod blocks;
mod rows;

pub use amdim::AmdimEncoder;
