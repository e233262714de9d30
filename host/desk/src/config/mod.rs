//! The layered experiment config: which files, variables and `--set`s say what, checked against the host's schema and
//! each chosen component's, every fault in one run with its place.
//!
//! In: [`Sources`] and a [`ComponentSchemas`]. Out: a [`Resolved`] experiment, complete, with the origin of every value, or
//! a [`Survey`] that explains one.

mod canonical;
mod defaults;
mod difference;
mod document;
mod effect;
mod experiment;
mod explain;
mod extends;
mod fault;
mod json_schema;
mod layer;
mod merge;
mod missing;
mod nearest;
mod origins_file;
mod overrides;
mod paths;
mod piece;
mod published;
mod resolve;
mod resume;
mod rules;
mod schema;
mod tables;
mod validate;

pub use canonical::inline as shown;
pub use difference::{Change, difference, leaves};
pub use effect::{Choice, dependences};
pub use experiment::{Component, DatasetTable, EncoderTable, Experiment};
pub use explain::{Explained, Fate, Field, Said, Survey};
pub use extends::locate;
pub use fault::Fault;
pub use merge::{Origin, Origins};
pub use nearest::{nearest, proposal};
pub use origins_file::{adopt_origins, read_origins, write_origins};
pub use overrides::value_of;
pub use piece::Piece;
pub use published::{Flag, FlagValue, PublishedDataset, PublishedDefaults};
pub use resolve::{Resolved, Sources, read_resolved, resolve, survey};
pub use resume::{LENGTHS, fixed_on_resume, free_on_resume, is_within, refused};
pub use rules::contradictions;
pub use schema::{ComponentSchemas, KINDS, host_schema};
pub use tables::{
    BatchNorm, BatchNormMode, BestMetric, Budget, Checkpoint, Device, Distributed, Evaluation, Gray16, LossScale,
    LossSharing, OnBad, OnDevice, Optimizer, OptimizerName, Plugins, Precision, Products, Protocol, Record,
    ScheduleName, Stage, Train,
};
