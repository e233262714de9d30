//! Measurements as text, JSON and CSV: one row a run and share of labels.

use super::{ImageName, ImageNames, Measured, Said};
use crate::{
    record::wrapped,
    rows::{aligned, csv_line},
};
use infomax_desk::evaluation::{Cell, ClassRow, Confusion, cells as counted, from_worst, mistakes};
use serde::Serialize;

/// One row.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub run: String,
    pub step: u64,
    pub dataset: String,
    /// The config files that put other data in the place of the run's, by their names; none where it is the run's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
    /// Share of the training labels that were used: a number, or a file of names.
    pub labels: String,
    #[serde(flatten)]
    pub measured: Measured,
    /// The test images of each class apart, by label.
    pub classes: Vec<ClassRow>,
    /// What the images of each class were taken for.
    pub confusion: Confusion,
}

/// What test images were taken for.
pub fn confusion(names: &ImageNames, said: &Said) -> Confusion {
    let labels: Vec<i64> = names.images.iter().map(|image| image.label).collect();
    Confusion { linear: counted(&labels, &said.linear), knn: counted(&labels, &said.knn) }
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

/// The columns of the file of classes.
pub const CLASSES: [&str; 7] = ["run", "labels", "label", "class", "test_images", "linear_top1", "knn_top1"];

/// Every class with its accuracies in percent, under the columns of [`CLASSES`].
pub fn classes_to_csv(rows: &[Row]) -> String {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let line = |row: &Row, class: &ClassRow| {
        let ClassRow { label, class, test_images, linear_top1, knn_top1 } = class;
        let counts = [label.to_string(), class.clone(), test_images.to_string()];
        let words = [row.run.clone(), row.labels.clone()].into_iter().chain(counts);
        csv_line(&words.chain([number(*linear_top1), number(*knn_top1)]).collect::<Vec<_>>())
    };
    let lines = rows.iter().flat_map(|row| row.classes.iter().map(move |class| line(row, class)));
    lines.fold(csv_line(&CLASSES.map(str::to_owned)), |text, line| text + &line)
}

/// The columns of the file of confusions.
pub const CONFUSIONS: [&str; 8] = ["run", "labels", "by", "label", "class", "said_label", "said", "images"];

/// Every cell of a confusion matrix that is not empty, under the columns of [`CONFUSIONS`].
pub fn confusions_to_csv(rows: &[Row]) -> String {
    let mut text = csv_line(&CONFUSIONS.map(str::to_owned));
    for row in rows {
        for (by, cells) in [("linear", &row.confusion.linear), ("knn", &row.confusion.knn)] {
            for Cell { label, said, images } in cells {
                let (label, said, images) = (label.to_string(), said.to_string(), images.to_string());
                let (class, taken) = (name(row, &label), name(row, &said));
                text +=
                    &csv_line(&[&row.run, &row.labels, by, &label, class, &said, taken, &images].map(str::to_owned));
            }
        }
    }
    text
}

/// The name of a label.
fn name<'a>(row: &'a Row, label: &str) -> &'a str {
    let place = label.parse::<usize>().ok();
    place.and_then(|place| row.classes.get(place)).map_or("", |class| &class.class)
}

/// The classes that are told worst, and the classes that are confused most often, in a line each; of all labels only.
pub fn classes_to_text(rows: &[Row]) -> String {
    const SHOWN: usize = 4;
    let lines = |row: &Row| {
        let worst = from_worst(&row.classes).into_iter().take(SHOWN);
        let worst = worst.map(|class| format!("{} {:.1} %", class.class, class.linear_top1.unwrap_or(0.0)));
        let confused = mistakes(&row.confusion.linear).into_iter().take(SHOWN).map(|Cell { label, said, images }| {
            let of = usize::try_from(label).ok().and_then(|label| row.classes.get(label));
            let of = of.map_or(0, |class| class.test_images);
            format!("{} for {} ({images} of {of})", name(row, &label.to_string()), name(row, &said.to_string()))
        });
        let (worst, confused) = (worst.collect::<Vec<_>>(), confused.collect::<Vec<_>>());
        let mut text = format!("{}, step {}, linear classifier", row.run, row.step);
        for (what, list) in [("worst classes", worst), ("most often taken for another", confused)] {
            text +=
                &if list.is_empty() { String::new() } else { wrapped(&format!("\n  {what}: {}", list.join(" · "))) };
        }
        text
    };
    rows.iter().filter(|row| row.labels == "all").map(lines).collect::<Vec<_>>().join("\n")
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
