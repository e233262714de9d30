//! Datasets: the foreign side, opening and reading with a policy for bad images, the order of samples, and the threads
//! that make batches.

mod batch;
mod foreign;
mod order;
mod quarantine;
mod source;
mod workers;

pub use batch::{BatchMaker, EvalBatch, TrainBatch};
pub use foreign::ForeignDataset;
pub use order::Order;
pub use quarantine::Quarantine;
pub use source::{Pixels, Source, Stage};
pub use workers::OrderedWorkers;
