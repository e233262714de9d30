//! Measurements as text, JSON and CSV: one row a run and share of labels.

use super::{ImageName, ImageNames, Measured, Said};
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
    /// The test images of each class apart, by label.
    pub classes: Vec<ClassRow>,
}

/// What is measured on the test images of one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassRow {
    pub label: i64,
    /// The class's name.
    pub class: String,
    pub test_images: usize,
    /// In percent; none without an image.
    pub linear_top1: Option<f64>,
    /// In percent; none without an image.
    pub knn_top1: Option<f64>,
}

/// The classes of test images, and how many of each were told right.
pub fn by_class(names: &ImageNames, said: &Said) -> Vec<ClassRow> {
    let row = |label: usize| {
        let of_class: Vec<usize> = (0..names.images.len()).filter(|&i| names.images[i].label == label as i64).collect();
        let share = |said: &[i64]| {
            let right = of_class.iter().filter(|&&i| said[i] == label as i64).count();
            (!of_class.is_empty()).then(|| 100.0 * right as f64 / of_class.len() as f64)
        };
        let (linear_top1, knn_top1) = (share(&said.linear), share(&said.knn));
        let class = names.class_names[label].clone();
        ClassRow { label: label as i64, class, test_images: of_class.len(), linear_top1, knn_top1 }
    };
    (0..names.class_names.len()).map(row).collect()
}

/// Every test image with what was said of it, as CSV under the columns of [`IMAGES`]; one part of a file.
pub fn images_to_csv(run: &str, labels: &str, names: &ImageNames, said: &Said) -> String {
    let line = |(i, image): (usize, &ImageName)| {
        let ImageName { split, index, path, label } = image;
        let (linear, knn) = (names.class(said.linear[i]), names.class(said.knn[i]));
        let cells =
            [run, labels, split, &index.to_string(), path, &label.to_string(), names.class(*label), linear, knn];
        csv_line(&cells.map(str::to_owned))
    };
    names.images.iter().enumerate().map(line).collect()
}

/// The columns of the file of test images.
pub const IMAGES: [&str; 9] = ["run", "labels", "split", "index", "path", "label", "class", "linear", "knn"];

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
