//! Measurements as text, JSON and CSV: one row a run and share of labels.

use super::Measured;
use crate::rows::{aligned, csv_line};
use serde::Serialize;

/// One row.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub run: String,
    pub step: u64,
    pub dataset: String,
    /// Share of the training labels that were used: a number, or a file of names.
    pub labels: String,
    #[serde(flatten)]
    pub measured: Measured,
}

const HEADER: [&str; 12] = [
    "run",
    "step",
    "dataset",
    "labels",
    "train_images",
    "test_images",
    "linear_top1",
    "linear_c",
    "knn_top1",
    "feature_std",
    "rankme",
    "uniformity",
];

fn cells(row: &Row) -> [String; 12] {
    let m = &row.measured;
    [
        row.run.clone(),
        row.step.to_string(),
        row.dataset.clone(),
        row.labels.clone(),
        m.train_images.to_string(),
        m.test_images.to_string(),
        format!("{:.2}", m.linear_top1),
        format!("{:.0e}", m.linear_c),
        format!("{:.2}", m.knn_top1),
        format!("{:.3}", m.feature_std),
        format!("{:.1}", m.rankme),
        format!("{:.2}", m.uniformity),
    ]
}

/// An aligned table; accuracies in percent.
pub fn to_text(rows: &[Row]) -> String {
    let mut lines = vec![HEADER.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    aligned(&lines, |column| matches!(HEADER[column], "run" | "dataset" | "labels")).join("\n")
}

/// A list of objects.
pub fn to_json(rows: &[Row]) -> String {
    serde_json::to_string_pretty(rows).expect("rows are plain data") + "\n"
}

/// RFC 4180, with full precision.
pub fn to_csv(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let m = &row.measured;
        let numbers = [m.linear_top1, m.linear_c, m.knn_top1, m.feature_std, m.rankme, m.uniformity];
        let counts = [m.train_images, m.test_images].map(|n| n.to_string());
        let words = [row.run.clone(), row.step.to_string(), row.dataset.clone(), row.labels.clone()];
        csv_line(&words.into_iter().chain(counts).chain(numbers.map(|n| n.to_string())).collect::<Vec<_>>())
    };
    rows.iter().fold(csv_line(&HEADER.map(str::to_owned)), |text, row| text + &line(row))
}
