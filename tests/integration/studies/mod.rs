//! Studies through the real binary: what is planned, trained once each, resumed, edited, searched.

mod edits;
mod failures;
mod interrupted;
mod plans;
mod reports;
mod searches;
mod several;
pub mod small;
