//! What needs no libtorch: configs, plugins as files, what runs leave behind, comparisons and reports.

pub mod authoring;
pub mod board;
pub mod checkpoint;
pub mod cli;
pub mod comparison;
pub mod config;
pub mod console;
mod digits;
pub mod error;
pub mod evaluation;
pub mod export;
pub mod fault_point;
pub mod hash;
pub mod listing;
pub mod plain;
pub mod plugin;
pub mod program;
pub mod record;
pub mod report;
pub mod rows;
pub mod shell;
pub mod study;
