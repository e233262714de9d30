//! The one integration-test binary: everything goes through the loaded libraries or the real binary.

mod checkpoint_faults;
mod comparison;
mod config_commands;
mod config_faults;
mod conformance;
mod dataset_faults;
mod distributed;
mod environment;
mod evaluation;
mod golden;
mod labels;
mod plugin_faults;
mod precision;
mod published_lines;
mod recorded;
mod records;
mod reference;
mod resume;
mod stages;
mod studies;
mod support;
mod tools;
mod training;
mod training_faults;
mod weights;
