//! Optimizers and their schedule.

mod adam;
mod schedule;

pub use adam::{Adam, Trained};
pub use schedule::Schedule;
