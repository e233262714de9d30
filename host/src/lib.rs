//! The host: loads plugins, trains, evaluates and compares.
//!
//! An experiment is a flow: dataset → augmentation → encoder → loss → optimizer → evaluator. Modules carry these names.

pub mod config;
pub mod error;
pub mod plugin;
