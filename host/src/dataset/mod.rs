//! Datasets: the foreign side.

mod foreign;

pub use foreign::ForeignDataset;
