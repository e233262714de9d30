//! A comparison for spreadsheets and data frames: RFC 4180, one row a group, numbers in full precision.

use super::{Comparison, Group, columns::cell, group::Counts, statistics::Summary};
use crate::rows::csv_line;
use std::collections::BTreeSet;

/// All groups with every metric.
pub fn to_csv(comparison: &Comparison) -> String {
    let names: BTreeSet<&String> = comparison.groups.iter().flat_map(|group| group.metrics.keys()).collect();
    let mut header: Vec<String> = comparison.columns.iter().map(|column| column.key.clone()).collect();
    header
        .extend(["label", "is_baseline", "done", "not_measured", "failed", "unfinished", "missing"].map(str::to_owned));
    header.extend(
        ["n", "mean", "sd", "best_mean", "best_sd", "untrained_mean"]
            .map(|what| format!("{}_{what}", comparison.metric)),
    );
    let test = ["difference", "pairs", "test", "t", "df", "interval_low", "interval_high", "p", "p_holm"];
    header.extend(test.map(str::to_owned));
    for name in names.iter().filter(|name| **name != &comparison.metric) {
        header.extend(["n", "mean", "sd"].map(|what| format!("{name}_{what}")));
    }
    let cost = ["images_per_second", "peak_process_bytes", "peak_device_bytes", "wall_seconds", "shortfalls"];
    header.extend(cost.map(str::to_owned));
    let mut text = csv_line(&header);
    for (index, group) in comparison.groups.iter().enumerate() {
        text.push_str(&csv_line(&row(comparison, group, comparison.is_baseline(index), &names)));
    }
    text
}

fn row(comparison: &Comparison, group: &Group, is_baseline: bool, names: &BTreeSet<&String>) -> Vec<String> {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let mean = |summary: Option<Summary>| number(summary.map(|summary| summary.mean));
    let spread = |summary: Option<Summary>| number(summary.and_then(|summary| summary.deviation));
    let count = |summary: Option<Summary>| summary.map_or(0, |summary| summary.count).to_string();
    let Counts { done, without_value, failed, unfinished, missing } = group.counts;
    let settings = comparison.columns.iter().map(|column| group.settings.get(&column.key));
    let mut cells: Vec<String> =
        settings.map(|value| value.map(|value| cell(Some(value))).unwrap_or_default()).collect();
    cells.extend([group.label.clone(), is_baseline.to_string()]);
    cells.extend([done, without_value, failed, unfinished, missing].map(|n| n.to_string()));
    cells.extend([count(group.last), mean(group.last), spread(group.last)]);
    cells.extend([mean(group.best), spread(group.best), mean(group.untrained)]);
    let difference = group.difference;
    let test = difference.and_then(|difference| difference.inference.ok());
    cells.extend([
        number(difference.map(|difference| difference.mean)),
        difference.map(|difference| difference.pairs.to_string()).unwrap_or_default(),
        test.map(|test| test.test.name().to_owned()).unwrap_or_default(),
    ]);
    cells.extend([
        number(test.map(|test| test.statistic)),
        number(test.map(|test| test.degrees_of_freedom)),
        number(test.map(|test| test.interval[0])),
        number(test.map(|test| test.interval[1])),
        number(test.map(|test| test.p)),
        number(test.map(|test| test.p_holm)),
    ]);
    for name in names.iter().filter(|name| **name != &comparison.metric) {
        let summary = group.metrics.get(*name).copied();
        cells.extend([count(summary), mean(summary), spread(summary)]);
    }
    cells.push(mean(group.images_per_second));
    let bytes = group.memory.map(|memory| memory.process_bytes).filter(|bytes| *bytes > 0);
    cells.push(bytes.map(|bytes| bytes.to_string()).unwrap_or_default());
    let bytes = group.memory.and_then(|memory| memory.device_bytes);
    cells.push(bytes.map(|bytes| bytes.to_string()).unwrap_or_default());
    cells.push(mean(group.wall_seconds));
    cells.push(comparison.shortfalls_of(group).collect::<Vec<_>>().join("; "));
    cells
}
