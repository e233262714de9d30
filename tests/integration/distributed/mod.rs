//! Several processes that train together: equal to one process, and what becomes of them when one fails.

mod launch;
pub mod launchers;
mod machines;
mod meeting;
mod parity;
mod ranks;
mod saves;
