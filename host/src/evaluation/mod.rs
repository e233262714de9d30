//! Looking at finished encoders: a run is opened as it was (`opened`), its representation of labelled images taken and kept
//! (`features`, with the images' `names`), measured (`measure`), told (`table`), laid out in a plane (`map`: `plane`, `tsne`), or shown
//! beside what is nearest (`nearest`).

mod features;
mod map;
mod measure;
mod names;
mod nearest;
mod opened;
mod plane;
mod table;
mod tsne;

pub use features::{Features, PRETRAIN, stage};
pub use map::{Layout, Map};
pub use measure::{Measured, Said, Settings, measure};
pub use names::{ImageName, ImageNames};
pub use nearest::{Gallery, Neighbourhood, neighbours_to_csv, neighbours_to_png};
pub use opened::{Opened, Which};
pub use plane::plane;
pub use table::{
    IMAGES, Row, by_class, classes_to_csv, classes_to_text, confusion, confusions_to_csv, images_to_csv, to_csv,
    to_json, to_text,
};
pub use tsne::tsne;
