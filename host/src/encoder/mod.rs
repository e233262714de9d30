//! Encoders: the foreign side.

mod foreign;

pub(crate) use foreign::report;
pub use foreign::{ForeignEncoder, describe};
