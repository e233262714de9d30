//! Studies: many experiments from one file. A study file (`file`) spans points over axes (`axes`, `points`, `rungs`); with each
//! seed a point is a cell, which is checked and named by what its result depends on (`plan`); cells lie in folders that all studies
//! share, which is the desk's part, and a driver trains what is missing (`driver`, over `slots` and `process`), here or as a SLURM
//! array (`slurm`).

mod axes;
mod driver;
mod estimate;
mod file;
mod ledger;
mod live;
mod measure;
mod plan;
mod points;
mod process;
mod rungs;
mod slots;
mod slurm;
mod table;

pub use driver::{Summary, Work, drive, verdict};
pub use file::Study;
pub use infomax_desk::study::{CellIdentity, CellState, Failure, Store, compare};
pub use ledger::{changes, former, ledger_of, note};
pub use live::{Live, counted, indented};
pub use measure::measure;
pub use plan::{Cell, Plan, Ready};
pub use rungs::Rung;
pub use slots::{Slot, slots};
pub use slurm::{Array, write as write_slurm};
pub use table::{PlannedCell, lacking, planned, reasons, to_text};
