//! The host's engine: loads plugins, trains, evaluates. What needs no libtorch is the desk's, and named here as if it were the engine's.
//!
//! An experiment is a flow: dataset → augmentation → encoder → loss → optimizer → evaluator. Modules carry these names.

pub mod augmentation;
pub mod bench;
pub mod checkpoint;
mod child;
pub mod cli;
pub mod conformance;
mod cores;
pub mod dataset;
pub mod distributed;
pub mod encoder;
pub mod evaluation;
pub mod evaluator;
pub mod loss;
pub mod native;
pub mod optimizer;
pub mod patience;
pub mod plugin;
pub mod reproduction;
pub mod selfcheck;
pub mod study;
pub mod tensor;
pub mod train;

pub use infomax_desk::{comparison, config, console, error, fault_point, hash, record, report, rows, shell};
