//! `report.html`: a run on one page that needs nothing else, not even a script. `facts` reads what the run left behind (`state`,
//! `results`, `settings`), `page` lays it out with `classes`, `curves` chooses what is drawn, `chart` draws it, with `frame`, `axis` and `thin`;
//! `text` and `markup` word it. `comparison` draws several runs with the same parts.

mod across;
mod again;
mod axis;
mod chart;
mod classes;
mod curves;
mod facts;
mod frame;
mod markup;
mod page;
mod results;
mod settings;
mod started;
mod state;
mod text;
mod thin;

pub use across::Across;
pub use axis::Axis;
pub use chart::{Chart, Drawing, Level, Scale, Series, look};
pub use frame::Frame;
pub use markup::{base64, breakable, document, prose, sentence};
pub use page::STYLE;
pub use results::{Outcome, UNTRAINED, add_results, is_held_out, is_training, outcomes, pace, seconds};
pub use state::{State, state};
pub use text::{grouped, is_accuracy, number, result, size};
pub use thin::{Point, picked, thinned};

use crate::{error::Result, record::write_whole};
use maud::Markup;
use std::path::Path;

/// The page's name in a run directory.
pub const FILE: &str = "report.html";

/// Whether a folder holds a run, however little of it.
pub fn is_run(folder: &Path) -> bool {
    ["config.toml", "run.json", "metrics.jsonl"].iter().any(|file| folder.join(file).is_file())
}

/// The sections of the page on a run as far as it has come, each with a name, for a page that is shown and not kept: its views are left
/// out, and what can't be read is told there alone.
pub fn sections(run: &Path, drawing: &Drawing) -> Vec<(&'static str, Markup)> {
    page::sections(&facts::Facts::without_sheet(run), drawing)
}

/// Writes the page on a run, as far as the run has come. What can't be read is told on the page and as a warning.
///
/// # Errors
/// The system's, with the path of the page.
pub fn write(run: &Path, to: &Path) -> Result<()> {
    let facts = facts::Facts::read(run);
    facts.notices.iter().for_each(|notice| log::warn!("{notice}"));
    write_whole(to, page::page(&facts).into_string().as_bytes())
}
