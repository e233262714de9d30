//! What a run leaves behind: its locked directory, metrics, event files, curves, a sheet of views, its history and machine, and what
//! it says as it goes.

pub mod canvas;
mod contact_sheet;
mod error;
mod free_path;
mod hardware;
mod history;
mod home;
mod identity;
mod kept;
mod memory;
mod metrics;
mod neighbour_sheet;
mod plot;
mod progress;
mod provenance;
mod run_directory;
mod scatter;
mod tensorboard;
mod whole_file;

pub use contact_sheet::{ContactSheet, Picture, SheetRow, excerpt};
pub use error::RecordError;
pub use free_path::free_path;
pub use hardware::Hardware;
pub use history::{End, Ending, History, Part, now};
pub use home::without_home;
pub use identity::{IDENTITY, Identity, LabelIdentity, PluginIdentity};
pub use infomax_metrics::Row;
pub use kept::{ENCODER, METRICS, TENSORBOARD};
pub use memory::{Memory, held_bytes, peak_resident_bytes};
pub use metrics::{MetricsFile, MetricsReader, read_metrics, read_metrics_to_damage};
pub use neighbour_sheet::{Captioned, NeighbourRow, NeighbourSheet};
pub use plot::Curves;
pub use progress::{Progress, Status, duration, wrapped};
pub use provenance::{Asked, Git, Provenance, STARTED_BY, Started};
pub use run_directory::{
    Holder, LOCK_FILE, LOG_FILE, RunDirectory, host_name, is_held, is_held_by_another, minute, utc,
};
pub use scatter::Scatter;
pub use tensorboard::EventFile;
pub use whole_file::{fill_whole, write_whole};
