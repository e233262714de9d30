//! All runs and studies.

use super::{Page, badge, element, in_a_row, of_run, spark::spark};
use crate::{
    board::{
        follow::{Followed, Seen},
        query::{Query, link},
    },
    comparison::{Column, label, printable},
    listing::{Phase, StudySummary, Summary, steps},
    record::{duration, minute, utc, without_home},
    report::{breakable, grouped, number, prose, result, sentence},
};
use maud::{Markup, html};

/// The states in the order in which they are told.
const PHASES: [Phase; 7] =
    [Phase::Training, Phase::Done, Phase::Interrupted, Phase::Diverged, Phase::Failed, Phase::Lost, Phase::Waiting];

/// The page.
///
/// # Errors
/// None; as the other pages.
pub fn page<'a>(query: &'a Query, seen: &'a Seen) -> Result<Page<'a>, String> {
    let with_cells = query.has("cells");
    // What a page has of a board that was there before is as good as nothing.
    let stamp = query.get("live").and_then(|stamp| stamp.split_once('-'));
    let known =
        stamp.filter(|(word, _)| *word == seen.word.to_string()).and_then(|(_, version)| version.parse::<u64>().ok());
    let is_live = query.get("live").is_some();
    let known = known.unwrap_or(0);
    let mut runs: Vec<&Followed> = seen.listed(with_cells).collect();
    runs.sort_by(|a, b| b.run.began.cmp(&a.run.began).then_with(|| a.run.place.cmp(&b.run.place)));
    let order = (is_live && (known == 0 || seen.gone_version > known))
        .then(|| runs.iter().map(|followed| id(&followed.run)).collect());
    let make = move || {
        let columns = if with_cells { &seen.columns_with_cells } else { &seen.columns };
        let all = known == 0 || seen.columns_version > known;
        let rows = runs.iter().filter(|followed| all || followed.version > known);
        let rows = rows.map(|followed| (id(&followed.run), row(&followed.run, columns)));
        [("head".to_owned(), head(seen, with_cells)), ("studies".to_owned(), studies(seen))]
            .into_iter()
            .chain(rows)
            .collect()
    };
    let frame = move |parts: &[(String, Markup)]| {
        html! {
            (in_a_row(&parts[..2]))
            form.controls #filter role="search" {
                label { "Filter " input type="search" name="text" placeholder="name, what differs, state" autocomplete="off"; }
                label { input type="checkbox" name="cells" checked[with_cells]; " cells of studies" }
                label { input #all type="checkbox"; " choose all" }
                button #overlay type="button" disabled { "Overlay" }
                span #chosen.quiet {}
            }
            div.wide {
                table.runs #runs {
                    thead { tr {
                        th { span.hidden { "chosen" } }
                        (heading("name", "run", "text"))
                        (heading("state", "state", "text"))
                        (heading("step", "step", "number"))
                        th { "loss" }
                        th { "accuracy" }
                        (heading("result", "last result", "number"))
                        (heading("best", "best", "number"))
                        (heading("seconds", "time", "number"))
                        (heading("changed", "last update", "number"))
                        (heading("began", "began (UTC)", "number"))
                    } }
                    tbody #rows { (in_a_row(&parts[2..])) }
                }
            }
            div.controls #pages hidden {
                button #before type="button" { "Previous" }
                span.quiet role="status" {}
                button #after type="button" { "Next" }
            }
            p.quiet #none hidden { "No run fits the filter." }
        }
    };
    Ok(Page {
        title: "Runs".to_owned(),
        stamp: format!("{}-{}", seen.word, seen.version),
        order,
        frame: Box::new(frame),
        make: Box::new(make),
    })
}

fn heading(key: &str, text: &str, kind: &str) -> Markup {
    html! { th scope="col" data-key=(key) data-kind=(kind) { button type="button" { (text) } } }
}

fn id(run: &Summary) -> String {
    element("r", &run.place.name)
}

fn head(seen: &Seen, with_cells: bool) -> Markup {
    let runs: Vec<&Summary> = seen.listed(with_cells).map(|followed| followed.run.as_ref()).collect();
    let count = |phase: Phase| runs.iter().filter(|run| run.standing.phase == phase).count();
    html! {
        header #head data-now=(crate::record::now()) {
            h1 { (grouped(runs.len() as u64)) @if runs.len() == 1 { " run" } @else { " runs" } }
            div.chips role="group" aria-label="States" {
                @for phase in PHASES {
                    @if count(phase) > 0 {
                        button type="button" class=(format!("badge {}", phase.class())) data-state=(phase.word()) aria-pressed="false" {
                            (count(phase)) " " (phase.word())
                        }
                    }
                }
            }
            @if runs.is_empty() { p.quiet { "No run lies here yet. This page shows one as soon as it begins." } }
            @for note in &seen.notes { p.quiet { "Passed over: " (prose(&sentence(note))) } }
            @if seen.partial > 0 { p.quiet { "Of " (seen.partial) " long runs the best results are still being read." } }
        }
    }
}

fn studies(seen: &Seen) -> Markup {
    html! {
        section #studies hidden[seen.studies.is_empty()] {
            h2 { "Studies" }
            div.cards { @for study in &seen.studies { (card(study)) } }
        }
    }
}

fn card(study: &StudySummary) -> Markup {
    let counts = &study.counts;
    let (word, class) = counts.word();
    html! {
        div.card {
            h3 { a href=(link("/study", &[("name", study.id())])) { (breakable(&printable(study.name()))) } }
            @match &study.ledger {
                Ok(ledger) => {
                    p { span class=(format!("badge {class}")) { (word) } " " span.quiet { (counts.told()) } }
                    progress max=(counts.cells.max(1)) value=(counts.done) aria-label="Cells done" {}
                    @if !ledger.question.is_empty() { p.quiet { (ledger.question) } }
                }
                Err(reason) => p.quiet { (without_home(reason)) },
            }
        }
    }
}

fn row(run: &Summary, columns: &[Column]) -> Markup {
    let name = &run.place.name;
    let metric = run.result().unwrap_or_default().to_owned();
    let last = run.last(&metric).filter(|_| !metric.is_empty());
    let best = run.best(&metric).map(|(_, value)| value);
    let differs = label(columns, &run.settings);
    let told = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| result(&metric, value));
    let sortable = |value: Option<f64>| value.filter(|value| value.is_finite()).map(|value| value.to_string());
    let accuracy = run.digest.accuracy.as_ref().map(|(name, curve)| (name, curve.points()));
    html! {
        tr id=(id(run)) data-name=(name) data-state=(run.standing.phase.word()) data-step=(run.step)
            data-result=[sortable(last)] data-best=[sortable(best)] data-seconds=[sortable(run.seconds())]
            data-changed=[run.changed] data-began=[run.began] data-text=(format!("{name} {differs}").to_lowercase()) {
            td.pick { input type="checkbox" value=(name) aria-label=(format!("choose {name}")); }
            th scope="row" {
                a href=(of_run(name)) { (breakable(&printable(name))) }
                @if !differs.is_empty() { span.differs { (differs) } }
                @for told in run.standing.told.clone().into_iter().chain(run.notices()) { span.cause { (told) } }
            }
            td { (badge(run)) }
            td.number data-what="step" {
                (steps(run))
                @if let Some(planned) = run.planned { progress max=(planned.max(1)) value=(run.step) aria-label="Updates done" {} }
                @if let Some(doing) = &run.doing { span.quiet { (breakable(doing)) } }
                @if let Some(left) = run.seconds_left() { span.quiet { (duration(left)) " left" } }
            }
            td data-what="loss" {
                (spark(&run.digest.loss.points(), "loss by step", "c0"))
                @if let Some(loss) = run.digest.latest("loss") { span.quiet { (number(loss)) } }
            }
            td.empty[accuracy.is_none()] data-what="accuracy" {
                @if let Some((name, points)) = &accuracy { (spark(points, &format!("{name} by step"), "c2")) }
            }
            td.number.strong.empty[last.is_none()] data-what="last result" title=(metric) { (told(last)) }
            td.number.empty[best.is_none()] data-what="best" { (told(best)) }
            td.number data-what="time" { (run.seconds().map_or_else(|| "–".to_owned(), duration)) }
            td.number data-what="last update" { time data-at=[run.changed] { (run.changed.map_or_else(|| "–".to_owned(), utc)) } }
            td.number data-what="began" { (run.began.map_or_else(|| "–".to_owned(), minute)) }
        }
    }
}
