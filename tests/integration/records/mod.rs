//! What a run leaves for people and other tools: the page, TensorBoard's files.

mod damaged;
pub mod page;
mod report;
mod tensorboard;
