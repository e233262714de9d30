//! Looking at finished encoders: a run is opened as it was (`opened`), its representation of labelled images taken and kept
//! (`features`, with the images' `names`), measured (`measure`), told (`table`), or drawn (`projection`).

mod features;
mod measure;
mod names;
mod opened;
mod projection;
mod table;

pub use features::{Features, PRETRAIN, stage};
pub use measure::{Measured, Said, Settings, measure};
pub use names::{ImageName, ImageNames};
pub use opened::{Opened, Which};
pub use projection::{plane, to_png};
pub use table::{ClassRow, IMAGES, Row, by_class, images_to_csv, to_csv, to_json, to_text};
