//! What a run leaves behind: its locked directory, metrics, curves, a sheet of views, and what it says as it goes.

mod canvas;
mod contact_sheet;
mod error;
mod metrics;
mod plot;
mod progress;
mod run_directory;
mod scatter;
mod whole_file;

pub use contact_sheet::{ContactSheet, Picture, SheetRow};
pub use error::RecordError;
pub use metrics::{MetricsFile, Row, read_metrics};
pub use plot::Curves;
pub use progress::{Progress, Status};
pub use run_directory::{Holder, LOCK_FILE, RunDirectory};
pub use scatter::Scatter;
pub use whole_file::write_whole;
