//! A study as its cells come in: which stand how, and the comparison of those that are done.

use super::{Page, in_a_row, of_run, part};
use crate::{
    board::{
        follow::{Following, Seen},
        query::Query,
    },
    comparison::{Figures, cell, fragments, printable},
    error::{Error, Fault, Result},
    listing::{Phase, StudySummary, Summary, steps},
    plain::whole,
    record::{duration, without_home},
    report::{breakable, prose, result, sentence},
    study::{Ledger, LedgerCell, Reader, Store, compare_with},
};
use maud::{Markup, html};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    time::Duration,
};

/// Cells that are shown one by one at most.
const CELLS: usize = 5000;
/// Cells that are named with what went wrong.
const NAMED: usize = 8;

/// The page.
///
/// # Errors
/// A study that is not there, or whose ledger can't be read.
pub fn page<'a>(query: &'a Query, seen: &'a Seen, following: &'a Following) -> Result<Page<'a>, String> {
    let name = query.get("name").unwrap_or_default();
    let found = seen.studies.iter().find(|study| study.id() == name);
    let study = found.ok_or_else(|| format!("no study `{name}` lies in the folders"))?;
    let ledger = study.ledger.as_deref().map_err(|reason| without_home(reason))?;
    let own: BTreeSet<&str> = ledger.cells.iter().filter_map(|cell| cell.id.as_deref()).collect();
    let followed = seen.runs.values().filter_map(|followed| {
        let (id, folder) = followed.run.place.cell.as_ref()?;
        (*folder == study.folder && own.contains(id.as_str())).then_some((id.as_str(), followed))
    });
    let followed: Vec<_> = followed.collect();
    let stamp = seen.stamp(followed.iter().map(|(id, followed)| (id, followed.version)), &study.version());
    let cells: BTreeMap<&str, &Summary> = followed.iter().map(|(id, followed)| (*id, followed.run.as_ref())).collect();
    let versions: HashMap<&Path, u64> =
        followed.iter().map(|(_, followed)| (followed.run.place.path.as_path(), followed.version)).collect();
    let make = move || {
        let mut parts = vec![
            part("p-head", &head(study, ledger, &cells)),
            part("p-cells", &grid(ledger, &cells)),
            part("p-failures", &failures(ledger, &cells)),
        ];
        parts.extend(comparison(study, ledger, &cells, &|run| figures(following, &versions, run)));
        parts
    };
    let frame = |parts: &[(String, Markup)]| in_a_row(parts);
    Ok(Page { title: study.name().to_owned(), stamp, order: None, frame: Box::new(frame), make: Box::new(make) })
}

fn head(study: &StudySummary, ledger: &Ledger, cells: &BTreeMap<&str, &Summary>) -> Markup {
    let counts = &study.counts;
    let (word, class) = counts.word();
    html! {
        header {
            div.title { h1 { (printable(study.name())) } span class=(format!("badge {class}")) { (word) } }
            @if !ledger.question.is_empty() { p.flow { (ledger.question) } }
            p { (counts.told()) @if let Some(left) = seconds_left(study, cells) { ", about " (duration(left)) " left" } }
            @if word == "not running" { p.quiet { code { "infomax ablate run" } " with its file goes on from here." } }
            progress.broad max=(counts.cells.max(1)) value=(counts.done) aria-label="Cells done" {}
        }
    }
}

/// By the cells that are done, and how many are trained at once.
fn seconds_left(study: &StudySummary, cells: &BTreeMap<&str, &Summary>) -> Option<f64> {
    let counts = &study.counts;
    let done = cells.values().filter(|run| run.standing.phase == Phase::Done).filter_map(|run| run.seconds());
    let done: Vec<f64> = done.collect();
    let left = counts.cells - counts.done - counts.failed - counts.impossible;
    if done.is_empty() || counts.training == 0 || left == 0 {
        return None;
    }
    Some(done.iter().sum::<f64>() / done.len() as f64 * left as f64 / counts.training as f64)
}

/// The values, the rung, the title of its first cell, and the cells by seed.
type Row<'a> = (&'a [Value], Option<usize>, &'a str, BTreeMap<Option<u64>, &'a LedgerCell>);

/// Each point a row, each seed a column; of a search each rung a row of its own.
fn grid(ledger: &Ledger, cells: &BTreeMap<&str, &Summary>) -> Markup {
    let shown = &ledger.cells[..ledger.cells.len().min(CELLS)];
    let mut seeds: Vec<Option<u64>> = shown.iter().map(|cell| cell.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let mut rows: Vec<Row> = Vec::new();
    for cell in shown {
        let is_known = !cell.values.is_empty() || ledger.axes.is_empty() && cell.seed.is_some();
        let found = rows.iter_mut().find(|(values, rung, ..)| is_known && *values == cell.values && *rung == cell.rung);
        match found {
            Some((.., own)) => drop(own.insert(cell.seed, cell)),
            None => rows.push((cell.values.as_slice(), cell.rung, &cell.title, BTreeMap::from([(cell.seed, cell)]))),
        }
    }
    let has_values = rows.iter().any(|(values, ..)| !values.is_empty());
    html! {
        section {
            h2 { "Cells" }
            div.wide tabindex="0" role="region" aria-label="Cells" {
                table.cells {
                    thead { tr {
                        @if has_values { @for axis in &ledger.axes { th { (axis) } } } @else { th { "cell" } }
                        @if ledger.rungs > 0 { th { "rung" } }
                        @for seed in &seeds { th { @if let Some(seed) = seed { "seed " (seed) } } }
                    } }
                    tbody {
                        @for (values, rung, title, own) in &rows {
                            tr {
                                @if has_values { @for value in *values { th scope="row" { (cell(Some(value))) } } }
                                @else { th scope="row" { (breakable(title)) } }
                                @if ledger.rungs > 0 { td { @if let Some(rung) = rung { (rung) } } }
                                @for seed in &seeds { (square(ledger, own.get(seed).copied(), cells)) }
                            }
                        }
                    }
                }
            }
            @if shown.len() < ledger.cells.len() { p.quiet { "The first " (shown.len()) " of " (ledger.cells.len()) " cells." } }
        }
    }
}

fn square(ledger: &Ledger, own: Option<&LedgerCell>, cells: &BTreeMap<&str, &Summary>) -> Markup {
    let Some(own) = own else { return html! { td {} } };
    if let Some(told) = &own.told {
        return html! { td.square.poor title=(told) { "impossible" } };
    }
    let Some(run) = own.id.as_deref().and_then(|id| cells.get(id)) else {
        return html! { td.square.quiet title=(own.title) { "to do" } };
    };
    let phase = run.standing.phase;
    let metric = if ledger.metric.is_empty() { run.result().unwrap_or_default() } else { &ledger.metric };
    let last = run.digest.outcome(metric).and_then(|outcome| outcome.last).map(|(_, value)| result(metric, value));
    let text = match phase {
        Phase::Done => last.unwrap_or_else(|| "done".to_owned()),
        Phase::Training => format!("step {}", steps(run)),
        _ => phase.word().to_owned(),
    };
    let told = run.standing.told.as_deref().unwrap_or(&own.title);
    html! { td class=(format!("square {}", phase.class())) title=(told) { a href=(of_run(&run.place.name)) { (text) } } }
}

/// Why cells failed or can't be trained: each reason once, with its cells.
fn failures(ledger: &Ledger, cells: &BTreeMap<&str, &Summary>) -> Markup {
    let mut reasons: Vec<(&str, Vec<&LedgerCell>)> = Vec::new();
    for own in &ledger.cells {
        let run = own.id.as_deref().and_then(|id| cells.get(id));
        let told = run.and_then(|run| run.standing.told.as_deref()).or(own.told.as_deref());
        let Some(told) = told else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == told) {
            Some((_, own_cells)) => own_cells.push(own),
            None => reasons.push((told, vec![own])),
        }
    }
    html! {
        @if !reasons.is_empty() {
            section.notices {
                h2 { "What went wrong" }
                ul {
                    @for (told, own_cells) in &reasons {
                        li {
                            @for (index, own) in own_cells.iter().take(NAMED).enumerate() { @if index > 0 { "; " } (own.title) }
                            @if own_cells.len() > NAMED { " and " (own_cells.len() - NAMED) " more" }
                            ": " (prose(told))
                        }
                    }
                }
            }
        }
    }
}

/// What a cell's run came to, where it lies in the folders and can be shown.
fn figures(following: &Following, versions: &HashMap<&Path, u64>, run: &Path) -> Result<Figures> {
    let refused = |reason: String| Error::config(Fault::new(reason));
    let version = versions.get(run).ok_or_else(|| refused("it is not there".to_owned()))?;
    match whole(run) {
        Some(reason) => Err(refused(reason)),
        None => following.figures(run, *version).map(|figures| Figures::clone(&figures)),
    }
}

fn comparison(
    study: &StudySummary,
    ledger: &Ledger,
    cells: &BTreeMap<&str, &Summary>,
    figures: &Reader<'_>,
) -> Vec<(String, Markup)> {
    if cells.values().all(|run| run.step == 0) {
        return Vec::new();
    }
    let store = Store::new(&study.folder, Duration::from_secs(ledger.lease_seconds));
    match compare_with(study.name(), ledger, &store, (None, None), figures) {
        Ok(comparison) => {
            fragments(&comparison).into_iter().map(|(name, body)| part(&format!("p-{name}"), &body)).collect()
        }
        Err(error) => {
            let told = error.faults().into_iter().next().map_or_else(|| error.to_string(), |fault| fault.message);
            vec![part("p-refused", &html! { p.quiet { (prose(&sentence(&told))) } })]
        }
    }
}
