//! Losses: the foreign side.

mod foreign;

pub use foreign::{ForeignLoss, describe};
