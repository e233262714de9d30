//! `report.html`: a run on one page that needs nothing else, not even a script. `facts` reads what the run left behind, `page` lays
//! it out, `curves` chooses what is drawn, `chart` draws it, with `axis` and `thin`; `text` words numbers.

mod again;
mod axis;
mod chart;
mod curves;
mod facts;
mod page;
mod settings;
mod text;
mod thin;

use crate::{error::Result, record::write_whole};
use std::path::Path;

/// The page's name in a run directory.
pub const FILE: &str = "report.html";

/// Whether a folder holds a run, however little of it.
pub fn is_run(folder: &Path) -> bool {
    ["config.toml", "run.json", "metrics.jsonl"].iter().any(|file| folder.join(file).is_file())
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
