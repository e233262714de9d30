//! Which numbers of a run are drawn beside one another.

use super::{
    across::Across,
    chart::{Chart, Level, Series},
    facts::Facts,
    results::{UNTRAINED, is_training},
    text::is_accuracy,
};
use std::collections::BTreeMap;

/// Before the name of a term of the loss.
const TERM: &str = "loss/";

/// The terms of the loss, each on a scale of its own.
pub fn terms(facts: &Facts, across: Across) -> Vec<Chart> {
    let chart = |series: Series| Chart {
        title: series.name[TERM.len()..].to_owned(),
        unit: String::new(),
        series: vec![series],
        levels: Vec::new(),
        last: last(facts, across),
    };
    series(facts, across).into_iter().filter(|series| series.name.starts_with(TERM)).map(chart).collect()
}

/// The charts of a run, in the order of the page, but for those of [`terms`].
pub fn charts(facts: &Facts, across: Across) -> Vec<Chart> {
    let last = last(facts, across);
    let mut all = series(facts, across);
    let mut take = |wanted: &dyn Fn(&str) -> bool| -> Vec<Series> {
        let (taken, rest) = std::mem::take(&mut all).into_iter().partition(|series: &Series| wanted(&series.name));
        all = rest;
        taken
    };
    let chart = |title: &str, unit: &str, series: Vec<Series>| Chart {
        title: title.to_owned(),
        unit: unit.to_owned(),
        series,
        levels: Vec::new(),
        last,
    };
    let mut charts = vec![chart("Loss", "", take(&|name| name == "loss"))];
    drop(take(&|name| name.starts_with(TERM)));
    let tested_on = if facts.is_held_out() { "Accuracy on held-out images" } else { "Accuracy on the test images" };
    let mut accuracies = chart(tested_on, "top-1 in %", take(&is_accuracy));
    accuracies.levels = facts
        .outcomes
        .iter()
        .filter(|outcome| is_accuracy(&outcome.name))
        .filter_map(|outcome| Some(Level { name: outcome.name.clone(), value: outcome.untrained? }))
        .collect();
    charts.push(accuracies);
    charts.push(chart("Learning rate", "", take(&|name| name == "lr")));
    charts.push(chart("Pace", "images/s", take(&|name| name == "images_per_second")));
    let waiting = take(&|name| name == "waiting_for_data").into_iter().map(in_percent).collect();
    charts.push(chart("Waiting for data", "% of the time", waiting));
    let stalls = take(&|name| name == "checkpoint_stall_seconds");
    charts.push(chart("Waiting for checkpoints", "s between two rows", stalls.into_iter().filter(is_felt).collect()));
    for series in std::mem::take(&mut all) {
        if series.name == "skipped_steps" && !varies(&series) {
            continue;
        }
        let name = series.name.clone();
        let (title, unit) = match name.as_str() {
            "feature_std" => ("Spread of the representation", "feature_std: 1 spread, 0 collapsed"),
            "rankme" => ("Effective dimensions", "rankme"),
            "alignment" => ("Alignment", "squared distance of two views"),
            "uniformity" => ("Uniformity", "lower: spread more evenly"),
            "gradient_norm" => ("Gradient", "norm"),
            "skipped_steps" => ("Steps without an update", "count"),
            "loss_scale" => ("Loss scale", "factor"),
            "momentum" => ("Momentum encoder", "share of itself that it keeps"),
            other => (other, ""),
        };
        let mut own = chart(title, unit, vec![series]);
        let untrained = facts.outcomes.iter().find(|outcome| outcome.name == name).and_then(|o| o.untrained);
        own.levels = untrained.map(|value| Level { name, value }).into_iter().collect();
        charts.push(own);
    }
    charts.retain(|chart| !chart.series.is_empty());
    charts
}

fn last(facts: &Facts, across: Across) -> u64 {
    match across {
        Across::Steps => facts.step(),
        Across::Time => facts.seconds().unwrap_or(0.0).ceil() as u64,
    }
}

fn in_percent(share: Series) -> Series {
    let points = share.points.iter().map(|&(step, y)| (step, 100.0 * y)).collect();
    Series { points, ..share }
}

/// Shorter waits are those of asking whether there is one.
fn is_felt(stalls: &Series) -> bool {
    const LEAST_SECONDS: f64 = 0.01;
    stalls.points.iter().any(|&(_, y)| y > LEAST_SECONDS)
}

fn varies(series: &Series) -> bool {
    series.points.iter().any(|&(_, y)| y != 0.0)
}

/// Every number by name, in the order of its first appearance; the untrained encoder's are none.
fn series(facts: &Facts, across: Across) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    // What tests gave comes first among the charts that nobody named.
    let (training, tests): (Vec<_>, Vec<_>) = facts.rows.iter().partition(|row| is_training(row));
    for row in tests.into_iter().chain(training) {
        for (name, value) in row.values.iter().filter(|(name, _)| !name.starts_with(UNTRAINED)) {
            let place = *places.entry(name).or_insert_with(|| {
                all.push(Series { name: name.clone(), points: Vec::new() });
                all.len() - 1
            });
            all[place].points.push((across.place(row), *value));
        }
    }
    all
}
