//! Runs beside one another: statistics as scipy has them, `infomax compare` on real runs.

mod commands;
mod statistics;
