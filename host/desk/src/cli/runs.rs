//! `infomax runs`.

use super::say;
use crate::{
    comparison::{on_all_cores, printable},
    error::Result,
    listing::{Condition, Order, Place, Selection, StudySummary, Summary, find, given, to_csv, to_json, to_text},
};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Arguments of `infomax runs`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  infomax runs\n  infomax runs --state failed,interrupted\n  \
    infomax runs --where loss=amdim --where 'lr<0.001' --sort linear_top1 --reverse\n  \
    infomax runs --where 'began>=2026-11-01' --metric evaluate/linear_top1\n\n\
    A key is that of a setting (`loss.config.temperature`, or its end where that is unique), a result (`linear_top1`; of `infomax \
    evaluate`: `evaluate/linear_top1`, `evaluate/0.1/linear_top1`), or one of: name, state, step, began and changed (dates, such as \
    `2026-11-01` or `2026-11-01T12:00` in UTC, or seconds since 1970), seconds, images_per_second.")]
pub struct Runs {
    /// Folders that runs lie in; `runs` where none is named
    folders: Vec<PathBuf>,
    /// Only runs in these states; `failed` means all that ended badly
    #[arg(long, value_name = "STATE", value_delimiter = ',',
        value_parser = ["training", "done", "interrupted", "failed", "diverged", "lost", "waiting"])]
    state: Vec<String>,
    /// Only runs of which this holds; more than one may be given: `loss=amdim`, `lr<0.01`, `name=*cifar*`, `began>2026-11-01`
    #[arg(long = "where", value_name = "KEY=VALUE")]
    conditions: Vec<Condition>,
    /// The result that the table shows; the linear classifier's where there is one
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
    /// What they are sorted by, smallest first; by name where not given
    #[arg(long, value_name = "KEY")]
    sort: Option<String>,
    /// The other way round
    #[arg(long)]
    reverse: bool,
    /// Show the cells of studies too
    #[arg(long)]
    cells: bool,
    /// How to show them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
    Csv,
}

impl Runs {
    /// Lists what lies in the folders.
    ///
    /// # Errors
    /// A folder that is not there, a key that no run has.
    pub fn run(self) -> Result<()> {
        let found = find(&given(&self.folders)?);
        let mut all = on_all_cores(&found.runs, |place: &Place| {
            let mut run = Summary::read(place.clone());
            run.complete();
            run
        });
        let mut studies: Vec<StudySummary> = found.studies.iter().map(|place| StudySummary::read(place, &[])).collect();
        studies.iter_mut().for_each(|study| study.count(all.iter()));
        let cells = all.iter().filter(|run| run.place.cell.is_some()).count();
        if !self.cells {
            all.retain(|run| run.place.cell.is_none());
        }
        let order = self.sort.map(|key| Order { key, is_reversed: self.reverse });
        let order = order.or_else(|| self.reverse.then(|| Order { key: "name".to_owned(), is_reversed: true }));
        let selection = Selection { states: self.state, conditions: self.conditions, order };
        let chosen = selection.of(&all)?;
        if !selection.states.is_empty() || !selection.conditions.is_empty() {
            studies.clear();
        }
        match self.format {
            Format::Json => say(&to_json(&chosen, &studies)),
            Format::Csv => say(to_csv(&chosen).trim_end()),
            Format::Table => {
                let metric = self.metric.as_deref().map(|metric| selection.key(metric, &all)).transpose()?;
                let text = to_text(&chosen, &studies, metric.as_deref());
                if !text.is_empty() {
                    say(&text);
                }
            }
        }
        found.notes.iter().for_each(|note| eprintln!("passed over: {}", printable(note)));
        let hidden = if self.cells { 0 } else { cells };
        if chosen.is_empty() && all.is_empty() && hidden == 0 {
            eprintln!("no run lies here yet");
        } else if chosen.len() < all.len() {
            eprintln!("{} of {} runs", chosen.len(), all.len());
        }
        if hidden > 0 {
            eprintln!("{hidden} cells of studies are left out: `--cells` shows them");
        }
        Ok(())
    }
}
