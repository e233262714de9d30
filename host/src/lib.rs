//! The host: loads plugins, trains, evaluates and compares.
//!
//! An experiment is a flow: dataset → augmentation → encoder → loss → optimizer → evaluator. Modules carry these names.

pub mod augmentation;
pub mod authoring;
pub mod bench;
pub mod checkpoint;
mod child;
pub mod cli;
pub mod comparison;
pub mod config;
pub mod conformance;
mod console;
mod cores;
pub mod dataset;
pub mod distributed;
pub mod encoder;
pub mod error;
pub mod evaluation;
pub mod evaluator;
pub mod fault_point;
mod hash;
pub mod loss;
pub mod native;
pub mod optimizer;
pub mod patience;
pub mod plugin;
pub mod record;
pub mod report;
pub mod reproduction;
mod rows;
pub mod selfcheck;
mod shell;
pub mod study;
pub mod tensor;
pub mod train;
