//! Components out of PyTorch files: numbers recorded by `tests/recorded/record_exported.py`, then what the files' bearers do with them.

mod archives;
mod commands;
mod losses;
mod networks;
mod recorded;
pub(crate) mod runs;
