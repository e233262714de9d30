//! What lies under folders of runs, in brief: runs, the cells of studies, and the studies. `find` walks the folders, `digest` reads
//! metrics without keeping them, `standing` says how a run stands, `summary` holds all of one run, `study` of one study; `select`
//! and `table` are for `infomax runs`, and the board follows the same summaries.
//!
//! Folders may belong to others: only plain files within them are opened, links are not followed, and nothing is written.

mod curve;
mod digest;
mod find;
mod moment;
mod select;
mod standing;
mod study;
mod summary;
mod table;

pub use curve::Curve;
pub use digest::Digest;
pub use find::{Found, Named, Place, StudyPlace, find, given};
pub use select::{Condition, Order, Selection, columns_of};
pub use standing::{Phase, Standing};
pub use study::StudySummary;
pub use summary::Summary;
pub use table::{steps, to_csv, to_json, to_text};
