//! Looking at finished encoders: a run is opened as it was (`opened`), its representation of labelled images taken and kept
//! (`features`), measured (`measure`), told (`table`), or drawn (`projection`).

mod features;
mod measure;
mod opened;
mod projection;
mod table;

pub use features::{Features, stage};
pub use measure::{Measured, Settings, measure};
pub use opened::{Opened, Which};
pub use projection::{plane, to_png};
pub use table::{Row, to_csv, to_json, to_text};
