//! The host's own tables of an experiment, one file each.

mod checkpoint;
mod distributed;
mod evaluation;
mod loss_scale;
mod optimizer;
mod plugins;
mod record;
mod train;

pub use checkpoint::{BestMetric, Checkpoint};
pub use distributed::{BatchNorm, BatchNormMode, Distributed, LossSharing};
pub use evaluation::{Evaluation, Protocol};
pub use loss_scale::LossScale;
pub use optimizer::{Optimizer, OptimizerName, ScheduleName};
pub use plugins::Plugins;
pub use record::Record;
pub use train::{Budget, Device, Precision, Products, Stage, Train};

pub use dataset::{Gray16, OnBad, OnDevice};
mod dataset;
