//! Studies: many experiments from one file. A study file (`file`) spans points over axes (`axes`, `points`, `rungs`); with each
//! seed a point is a cell, which is checked and named by what its result depends on (`plan`, `identity`); cells lie in folders
//! that all studies share (`store`), one process works on each at a time (`lease`), and a driver trains what is missing
//! (`driver`, over `slots` and `process`), here or as a SLURM array (`slurm`). `members` hands the cells to the comparison.

mod axes;
mod driver;
mod estimate;
mod file;
mod identity;
mod lease;
mod ledger;
mod live;
mod measure;
mod members;
mod plan;
mod points;
mod process;
mod rungs;
mod slots;
mod slurm;
mod store;
mod table;

pub use driver::{Summary, Work, drive, verdict};
pub use file::Study;
pub use identity::CellIdentity;
pub use ledger::Ledger;
pub use live::{Live, counted, indented};
pub use measure::measure;
pub use members::compare;
pub use plan::{Cell, Plan, Ready};
pub use rungs::Rung;
pub use slots::{Slot, slots};
pub use slurm::{Array, write as write_slurm};
pub use store::{CellState, Failure, Store};
pub use table::{PlannedCell, lacking, planned, reasons, to_text};
