//! Several processes that train together: equal to one process, and what becomes of them when one fails.

mod launch;
mod machines;
mod parity;
mod ranks;
mod saves;
