//! Chosen runs laid over one another: what differs between them, and each number of all of them in one chart.

use super::{Page, badge, controls, element, in_a_row, of_run, part};
use crate::{
    board::{
        follow::{Following, Seen},
        query::Query,
    },
    comparison::{Figures, cell, is_measure, printable},
    error::Error,
    listing::{Summary, columns_of, steps},
    plain::whole,
    record::{duration, without_home},
    report::{Across, Chart, Drawing, Series, breakable, is_accuracy, look, result},
};
use maud::{Markup, html};
use std::{collections::BTreeSet, sync::Arc};

/// Runs that are laid over one another at most.
const MOST: usize = 40;
/// Runs that are named below each chart at most.
const NAMED: usize = 10;
/// Charts that are drawn at most.
const CHARTS: usize = 60;

/// The page.
///
/// # Errors
/// No run that is there.
pub fn page<'a>(query: &'a Query, seen: &'a Seen, following: &'a Following) -> Result<Page<'a>, String> {
    let named: Vec<&str> = query.all("run").collect();
    let there: Vec<_> = named.iter().filter_map(|name| seen.run(name)).collect();
    let followed = &there[..there.len().min(MOST)];
    if followed.is_empty() {
        return Err("none of these runs lies in the folders: choose some in the list".to_owned());
    }
    let versions = followed.iter().map(|followed| (&followed.run.place.name, followed.version));
    let stamp = seen.stamp(versions, "");
    let lacking = (named.len() - there.len(), there.len() - followed.len());
    let runs: Vec<&Summary> = followed.iter().map(|followed| followed.run.as_ref()).collect();
    let versions: Vec<u64> = followed.iter().map(|followed| followed.version).collect();
    let metrics = metrics(&runs);
    let drawing = query.drawing();
    let make = move || {
        let read = |(run, version): (&&Summary, &u64)| match whole(&run.place.path) {
            Some(reason) => Err(reason),
            None => following.figures(&run.place.path, *version).map_err(|error| first(&error)),
        };
        let figures: Vec<Result<Arc<Figures>, String>> = runs.iter().zip(&versions).map(read).collect();
        let reasons: Vec<Option<&str>> = figures.iter().map(|read| read.as_ref().err().map(String::as_str)).collect();
        let mut parts = vec![part("p-table", &table(&runs, &reasons, lacking))];
        let figures: Vec<Arc<Figures>> = figures.into_iter().map(Result::unwrap_or_default).collect();
        parts.extend(charts(&runs, &figures, &drawing, query.get("metric").filter(|metric| !metric.is_empty())));
        parts
    };
    let frame = move |parts: &[(String, Markup)]| {
        html! { (in_a_row(&parts[..1])) (controls(&metrics)) div.charts #rows { (in_a_row(&parts[1..])) } }
    };
    let title = format!("{} runs", followed.len());
    Ok(Page { title, stamp, order: None, frame: Box::new(frame), make: Box::new(make) })
}

fn first(error: &Error) -> String {
    error.faults().into_iter().next().map_or_else(|| error.to_string(), |fault| fault.message)
}

fn table(runs: &[&Summary], reasons: &[Option<&str>], (gone, further): (usize, usize)) -> Markup {
    let columns = columns_of(runs);
    let mut results: Vec<&str> = Vec::new();
    for outcome in runs.iter().flat_map(|run| run.outcomes()) {
        if !results.contains(&outcome.name.as_str()) {
            results.push(&outcome.name);
        }
    }
    let told = |name: &str, value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| result(name, value));
    html! {
        header { h1 { (runs.len()) " runs overlaid" } }
        @if gone > 0 { p.quiet { (gone) " of those that were asked for are not there any more." } }
        @if further > 0 { p.quiet { "The first " (runs.len()) "; " (further) " more were asked for." } }
        @if columns.is_empty() && runs.len() > 1 { p.quiet { "Their settings don't differ." } }
        div.wide {
            table.numbers {
                thead { tr {
                    th { "run" } th.word { "state" } th { "step" }
                    @for name in &results { th { (name) } }
                    th { "time" }
                    @for column in &columns { th.word title=(column.key) { (column.short) } }
                } }
                tbody {
                    @for (index, run) in runs.iter().enumerate() {
                        tr {
                            th scope="row" {
                                span class=(format!("swatch {}", look(index))) {}
                                a href=(of_run(&run.place.name)) { (breakable(&printable(&run.place.name))) }
                                @if let Some(reason) = reasons[index] { span.cause { (without_home(reason)) } }
                            }
                            td.word { (badge(run)) }
                            td { (steps(run)) }
                            @for name in &results { td { (told(name, run.last(name))) } }
                            td { (run.seconds().map_or_else(|| "–".to_owned(), duration)) }
                            @for column in &columns { td.word { (cell(run.setting(&column.key))) } }
                        }
                    }
                }
            }
        }
    }
}

/// What there is to choose from, in the order of the charts.
fn metrics(runs: &[&Summary]) -> Vec<String> {
    let tested = runs.iter().flat_map(|run| &run.digest.outcomes).map(|outcome| place(&outcome.name, true));
    let latest = runs.iter().flat_map(|run| run.digest.latest.iter().flat_map(|row| &row.values));
    let training = latest.filter(|(name, _)| is_measure(name)).map(|(name, _)| place(name, false));
    let mut names: Vec<String> = Vec::new();
    for (.., name) in tested.chain(training).collect::<BTreeSet<Place<'_>>>() {
        if !names.iter().any(|other| other == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// By which charts are in order: results first, accuracies before others, then the loss, then the rest.
type Place<'a> = (bool, bool, bool, &'a str);

fn place(name: &str, is_tested: bool) -> Place<'_> {
    (!is_tested, !is_accuracy(name), name != "loss", name)
}

fn charts(
    runs: &[&Summary],
    figures: &[Arc<Figures>],
    drawing: &Drawing,
    wanted: Option<&str>,
) -> Vec<(String, Markup)> {
    let own = |run: &&Summary| printable(run.place.name.rsplit('/').next().unwrap_or_default());
    let names: Vec<String> = runs.iter().map(own).collect();
    // The table above has the same colours.
    let drawing = &Drawing { has_legends: runs.len() <= NAMED, ..*drawing };
    let all = figures.iter().flat_map(|figures| &figures.metrics);
    let metrics: BTreeSet<Place<'_>> = all.map(|(name, metric)| place(name, metric.is_tested)).collect();
    let last = |figures: &Arc<Figures>| match drawing.across {
        Across::Steps => figures.steps,
        Across::Time => figures.wall_seconds.unwrap_or(0.0).ceil() as u64,
    };
    let last = figures.iter().map(last).max().unwrap_or(0);
    let at = |figures: &Figures, step: u64| match drawing.across {
        Across::Steps => step as f64,
        Across::Time => figures.seconds_at(step).unwrap_or(0.0),
    };
    let chart = |name: &str| Chart {
        title: name.to_owned(),
        unit: if is_accuracy(name) { "top-1 in %".to_owned() } else { String::new() },
        series: figures
            .iter()
            .zip(&names)
            .map(|(figures, label)| {
                let curve = figures.metrics.get(name).map_or(&[][..], |metric| &metric.curve);
                Series {
                    name: label.clone(),
                    points: curve.iter().map(|&(step, value)| (at(figures, step), value)).collect(),
                }
            })
            .collect(),
        levels: Vec::new(),
        last,
    };
    let names = metrics.iter().map(|(.., name)| *name).filter(|name| wanted.is_none_or(|wanted| wanted == *name));
    let names: Vec<&str> = names.take(CHARTS).collect();
    if let Some(wanted) = wanted.filter(|_| names.is_empty()) {
        return vec![part("c-none", &html! { p.quiet { "None of these runs has `" (wanted) "`." } })];
    }
    names.into_iter().map(|name| part(&element("c", name), &chart(name).drawn(drawing))).collect()
}
