//! Runs and studies as a table for a terminal, as JSON, and as CSV.

use super::{select::columns_of, study::StudySummary, summary::Summary};
use crate::{
    comparison::{cell, label, printable},
    record::{duration, minute, utc, without_home},
    report::{grouped, result},
    rows::{aligned, csv_line},
};
use serde_json::{Map, Value, json};

/// What a table says of differing settings at most, in characters; `--format json` says all.
const LABEL: usize = 72;

/// The table for a terminal, the causes of what went wrong, and the studies.
pub fn to_text(runs: &[&Summary], studies: &[StudySummary], metric: Option<&str>) -> String {
    let mut parts = Vec::new();
    if !runs.is_empty() {
        parts.push(table(runs, metric));
    }
    let causes: Vec<String> = runs.iter().filter_map(|run| cause(run)).collect();
    if !causes.is_empty() {
        parts.push(causes.join("\n"));
    }
    let lines = studies.iter().map(|study| match &study.ledger {
        Ok(_) => format!("study {}: {}", printable(study.name()), study.counts.told()),
        Err(reason) => format!("study {}: {}", printable(study.name()), printable(&without_home(reason))),
    });
    let lines: Vec<String> = lines.collect();
    if !lines.is_empty() {
        parts.push(lines.join("\n"));
    }
    parts.join("\n\n")
}

fn table(runs: &[&Summary], metric: Option<&str>) -> String {
    let columns = columns_of(runs);
    let metric = |run: &Summary| metric.map(str::to_owned).or_else(|| run.result().map(str::to_owned));
    let has_best = runs.iter().any(|run| metric(run).is_some_and(|metric| run.best(&metric).is_some()));
    let names: Vec<String> = runs.iter().filter_map(|run| metric(run)).collect();
    let same = names.first().filter(|first| names.iter().all(|name| name == *first));
    let mut header = vec!["run", "state", "step", same.map_or("result", String::as_str)];
    header.extend(has_best.then_some("best"));
    header.extend(["time", "began", "what differs"]);
    let mut lines: Vec<Vec<String>> = vec![header.into_iter().map(str::to_owned).collect()];
    for run in runs {
        let metric = metric(run);
        let named = |value: f64| {
            let name = metric.as_deref().unwrap_or_default();
            let value = result(name, value);
            if same.is_some() { value } else { format!("{name} {value}") }
        };
        let nothing = || "–".to_owned();
        let last = metric.as_deref().and_then(|metric| run.last(metric)).map_or_else(nothing, named);
        let best = metric.as_deref().and_then(|metric| run.best(metric));
        let mut line = vec![printable(&run.place.name), run.standing.phase.word().to_owned(), steps(run), last];
        if has_best {
            line.push(best.map_or_else(nothing, |(_, value)| named(value)));
        }
        line.push(run.seconds().map_or_else(nothing, duration));
        line.push(run.began.map_or_else(nothing, minute));
        line.push(shortened(&label(&columns, &run.settings)));
        lines.push(line);
    }
    let words = if has_best { [0, 1, 6, 7] } else { [0, 1, 5, 6] };
    aligned(&lines, |column| words.contains(&column)).join("\n")
}

/// `1,200/50,000`.
pub fn steps(run: &Summary) -> String {
    let done = grouped(run.step);
    run.planned.map_or_else(|| done.clone(), |planned| format!("{done}/{}", grouped(planned)))
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= LABEL {
        return text.to_owned();
    }
    text.chars().take(LABEL - 1).collect::<String>() + "…"
}

fn cause(run: &Summary) -> Option<String> {
    let told = run.standing.told.clone().into_iter().chain(run.doing.clone()).chain(run.notices());
    let told: Vec<String> = told.map(|told| printable(&told)).collect();
    (!told.is_empty()).then(|| format!("{}: {}", printable(&run.place.name), told.join("; ")))
}

/// Everything that is known of the runs and studies.
pub fn to_json(runs: &[&Summary], studies: &[StudySummary]) -> String {
    let columns = columns_of(runs);
    let runs = runs.iter().map(|run| {
        let differs = columns.iter().filter_map(|column| Some((column.key.clone(), run.setting(&column.key)?.clone())));
        let results = run.outcomes().map(|outcome| {
            let at = |found: Option<(u64, f64)>| found.map(|(step, value)| json!({ "step": step, "value": value }));
            let best = run.is_held_out().then_some(outcome.best).flatten();
            let told = json!({ "untrained": outcome.untrained, "last": at(outcome.last), "best": at(best) });
            (outcome.name.clone(), told)
        });
        json!({
            "name": run.place.name,
            "path": run.place.path.to_string_lossy(),
            "cell": run.place.cell.as_ref().map(|(id, _)| id),
            "state": run.standing.phase.word(),
            "told": run.standing.told,
            "doing": run.doing,
            "step": run.step,
            "planned_steps": run.planned,
            "seconds": run.seconds(),
            "seconds_left": run.seconds_left(),
            "began": run.began.map(utc),
            "changed": run.changed.map(utc),
            "loss": run.digest.latest("loss"),
            "images_per_second": run.digest.latest("images_per_second"),
            "held_out": run.is_held_out(),
            "results": results.collect::<Map<String, Value>>(),
            "differs": differs.collect::<Map<String, Value>>(),
            "notices": run.notices(),
        })
    });
    let studies = studies.iter().map(|study| {
        let told = study.ledger.as_ref().err();
        let question = study.ledger.as_ref().ok().map(|ledger| &ledger.question);
        json!({ "name": study.name(), "folder": study.folder.to_string_lossy(), "question": question, "counts": study.counts, "told": told })
    });
    let all = json!({ "runs": runs.collect::<Vec<_>>(), "studies": studies.collect::<Vec<_>>() });
    serde_json::to_string_pretty(&all).expect("plain data")
}

/// The runs for a spreadsheet: a column for each result and each setting that differs.
pub fn to_csv(runs: &[&Summary]) -> String {
    let columns = columns_of(runs);
    let mut results: Vec<&str> = Vec::new();
    for name in runs.iter().flat_map(|run| run.outcomes().map(|outcome| outcome.name.as_str())) {
        if !results.contains(&name) {
            results.push(name);
        }
    }
    let mut header: Vec<String> =
        ["run", "state", "step", "planned_steps", "seconds", "began"].map(str::to_owned).to_vec();
    header.extend(results.iter().map(|name| (*name).to_owned()));
    header.extend(columns.iter().map(|column| column.key.clone()));
    let mut text = csv_line(&header);
    for run in runs {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let mut line = vec![
            run.place.name.clone(),
            run.standing.phase.word().to_owned(),
            run.step.to_string(),
            number(run.planned.map(|planned| planned as f64)),
            number(run.seconds()),
            run.began.map(utc).unwrap_or_default(),
        ];
        line.extend(results.iter().map(|name| number(run.last(name))));
        line.extend(
            columns.iter().map(|column| run.setting(&column.key).map_or_else(String::new, |value| cell(Some(value)))),
        );
        text += &csv_line(&line);
    }
    text
}
