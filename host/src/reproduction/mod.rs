//! Repeating a run with what it kept: `original` says with which libraries, config and threads, and what speaks against it;
//! `comparison` sets what both recorded beside one another, bit by bit.

mod comparison;
mod original;

pub use comparison::{Compared, compare};
pub use original::Original;
