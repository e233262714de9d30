//! Optimizers (`state`: what is trained and what is kept of it; `adam`, `descent`: the rules) and their schedule.

mod adam;
mod descent;
mod schedule;
mod state;
#[cfg(test)]
mod tests;

pub use schedule::Schedule;
pub use state::{Optimizer, Trained};
