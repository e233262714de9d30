//! The page of a comparison, which needs nothing else: the table, the effects, the curves, accuracy against time, every run. A few
//! lines of script sort the table and light up a row's curve; without them everything is there.

mod curves;
mod effects;
mod emphasis;
mod scatter;
mod sizes;

use super::{Cell, Comparison, Heading, Member, Table, columns::cell, table::NOTHING};
use crate::{
    hash::sha256_bytes,
    record::duration,
    report::{self, base64, breakable, document, prose, sentence, size},
};
use emphasis::Emphasis;
use maud::{Markup, PreEscaped, html};

/// What pages with tables to sort and broad curves look like, over the style of all pages.
pub const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("sort.js");

/// The whole page.
pub fn to_page(comparison: &Comparison) -> String {
    let emphasis = Emphasis::of(comparison);
    // Whatever a run is called, a browser fetches nothing and runs no other script than this one.
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'",
        base64(&sha256_bytes(SCRIPT.as_bytes()))
    );
    let body = html! {
        main {
            (head(comparison))
            (shortfalls(comparison))
            (table(comparison, &emphasis))
            (effects::section(comparison))
            (curves::section(comparison, &emphasis))
            (scatter::section(comparison, &emphasis))
            (runs(comparison))
            (shared(comparison))
            footer { "Written by infomax " (env!("CARGO_PKG_VERSION")) "." }
        }
        script { (PreEscaped(SCRIPT)) }
    };
    document(&comparison.title, &policy, &[report::STYLE, STYLE].concat(), &body).into_string()
}

/// The sections that a page can take over which says itself what the comparison is about, each with a name.
pub fn fragments(comparison: &Comparison) -> Vec<(&'static str, Markup)> {
    let emphasis = Emphasis::of(comparison);
    vec![
        ("table", table(comparison, &emphasis)),
        ("effects", effects::section(comparison)),
        ("curves", curves::section(comparison, &emphasis)),
        ("scatter", scatter::section(comparison, &emphasis)),
    ]
}

fn head(comparison: &Comparison) -> Markup {
    let count = |what: &str| comparison.members.iter().filter(|member| member.outcome.word() == what).count();
    let best = comparison.groups.iter().filter_map(|group| Some((group.last?.mean, group)));
    let best = best.filter(|_| report::is_accuracy(&comparison.metric)).max_by(|a, b| a.0.total_cmp(&b.0));
    let all = comparison.members.len();
    html! {
        header {
            h1 { (comparison.title) }
            dl.figures {
                @if let Some((mean, group)) = best {
                    (figure(&report::result(&comparison.metric, mean), &format!("highest {}: {}", comparison.metric, group.label)))
                }
                (figure(&comparison.groups.len().to_string(), if comparison.has_differences() { "groups of seeds" } else { "group of seeds" }))
                (figure(&format!("{} of {all}", count("done")), "runs came to their end"))
                @for what in ["failed", "diverged", "running", "not finished", "missing"] {
                    @if count(what) > 0 { (figure(&count(what).to_string(), what)) }
                }
            }
        }
    }
}

fn figure(value: &str, what: &str) -> Markup {
    html! { div { dt { (what) } dd { (value) } } }
}

fn shortfalls(comparison: &Comparison) -> Markup {
    let told: Vec<String> = comparison.shortfalls().collect();
    html! {
        @if !told.is_empty() {
            section.notices {
                h2 { "Not all runs count" }
                ul { @for told in &told { li { (prose(&sentence(told))) } } }
            }
        }
    }
}

fn table(comparison: &Comparison, emphasis: &Emphasis) -> Markup {
    let Table { headings, rows, baselines } = Table::of(comparison);
    html! {
        section {
            h2 { "Results" }
            div.wide tabindex="0" role="region" aria-label="Results" {
                table.numbers.sortable {
                    thead { tr { @for heading in &headings { (heading_cell(heading)) } } }
                    tbody {
                        @for (index, row) in rows.iter().enumerate() {
                            tr.baseline[baselines.contains(&index)] data-group=(index) {
                                @for (place, (cell, heading)) in row.iter().zip(&headings).enumerate() {
                                    @let mark = (place == 0).then(|| emphasis.class(index));
                                    (body_cell(cell, heading, place == 0, mark))
                                }
                            }
                        }
                    }
                }
            }
            ul.quiet.remarks { @for note in &comparison.notes { li { (prose(note)) } } }
        }
    }
}

fn heading_cell(heading: &Heading) -> Markup {
    html! { th.word[heading.is_word] scope="col" title=[heading.meaning.as_deref()] { (heading.text) } }
}

fn body_cell(cell: &Cell, heading: &Heading, is_first: bool, mark: Option<&str>) -> Markup {
    let number = cell.number.map(|number| number.to_string());
    let text = html! {
        @if let Some(mark) = mark { span class=(format!("key {mark}")) {} }
        (cell.text)
    };
    html! {
        @if is_first { th scope="row" data-number=[number] { (text) } }
        @else { td.word[heading.is_word] data-number=[number] { (text) } }
    }
}

fn runs(comparison: &Comparison) -> Markup {
    html! {
        section {
            h2 { "Runs" }
            details open[comparison.members.len() <= 12] {
                summary { (comparison.members.len()) " runs, each by itself" }
                div.wide {
                    table.numbers.sortable {
                        thead { tr {
                            th scope="col" { "run" }
                            th.word scope="col" { "group" }
                            @for name in ["seed", comparison.metric.as_str(), "best", "at step", "steps", "images/s", "peak memory", "wall time"] {
                                th scope="col" { (name) }
                            }
                            th.word scope="col" { "outcome" }
                        } }
                        tbody {
                            @for group in &comparison.groups {
                                @for member in comparison.members_of(group) { (run(comparison, &group.label, member)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn run(comparison: &Comparison, label: &str, member: &Member) -> Markup {
    let figures = member.outcome.figures();
    let metric = figures.and_then(|figures| figures.metrics.get(&comparison.metric));
    let value = |found: Option<(u64, f64)>| {
        let value = found.map(|(_, value)| value);
        (value.map(|value| report::result(&comparison.metric, value)), value)
    };
    let step = |found: Option<u64>| (found.map(report::grouped), found.map(|step| step as f64));
    let bytes = figures.and_then(|figures| super::table::memory_bytes(figures.memory?));
    let pace = figures.and_then(|figures| figures.images_per_second);
    let seconds = figures.and_then(|figures| figures.wall_seconds);
    let cells = [
        (member.seed.map(|seed| seed.to_string()), member.seed.map(|seed| seed as f64)),
        value(metric.and_then(|metric| metric.last)),
        value(metric.and_then(|metric| metric.best)),
        step(metric.and_then(|metric| metric.best).map(|(step, _)| step)),
        step(figures.map(|figures| figures.steps)),
        (pace.map(report::number), pace),
        (bytes.map(size), bytes.map(|bytes| bytes as f64)),
        (seconds.map(duration), seconds),
    ];
    html! {
        tr {
            th scope="row" { (breakable(&super::columns::printable(&member.name))) }
            td.word { (label) }
            @for (text, number) in cells {
                @let number = number.filter(|number| number.is_finite()).map(|number| number.to_string());
                td data-number=[number] { (text.as_deref().unwrap_or(NOTHING)) }
            }
            td.word { (member.outcome.word()) }
        }
    }
}

/// What all groups have in common.
fn shared(comparison: &Comparison) -> Markup {
    let first = &comparison.groups[0].settings;
    let is_shared = |key: &str| comparison.groups.iter().all(|group| group.settings.get(key) == first.get(key));
    let shared: Vec<_> = first.iter().filter(|(key, _)| is_shared(key)).collect();
    html! {
        @if !shared.is_empty() {
            section {
                h2 { "Settings" }
                details {
                    summary { (shared.len()) " settings that all runs share" }
                    table.settings { tbody {
                        @for (key, value) in shared { tr { th scope="row" { (breakable(key)) } td { (cell(Some(value))) } } }
                    } }
                }
            }
        }
    }
}
