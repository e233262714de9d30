//! What a run leaves for people and other tools: the page, TensorBoard's files, its log, how it was started.

mod damaged;
pub mod page;
mod provenance;
mod report;
mod tensorboard;
