//! What `infomax evaluate` finds of each class: how many of its test images were told right, and what the others were taken for.
//! The engine writes it as JSON beside a run, the report reads it.

use crate::plain;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io, path::Path};

/// The file's name in a run directory.
pub const FILE: &str = "evaluation.json";
/// The longest file that is read: of the confusions of a few thousand classes.
const LONGEST: u64 = 256 << 20;

/// What is measured on the test images of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// Test images of one class that were taken for one class; in JSON a list of the three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(i64, i64, usize)", into = "(i64, i64, usize)")]
pub struct Cell {
    pub label: i64,
    /// The label that was said.
    pub said: i64,
    pub images: usize,
}

impl From<(i64, i64, usize)> for Cell {
    fn from((label, said, images): (i64, i64, usize)) -> Self {
        Self { label, said, images }
    }
}

impl From<Cell> for (i64, i64, usize) {
    fn from(cell: Cell) -> Self {
        (cell.label, cell.said, cell.images)
    }
}

/// The confusion matrix of each classifier: its cells that are not empty, by label and by what was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    pub linear: Vec<Cell>,
    pub knn: Vec<Cell>,
}

/// What the report takes from a row of the file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Evaluated {
    pub step: u64,
    pub dataset: String,
    /// Share of the training labels that were used: `all`, a number, or a file of names.
    pub labels: String,
    pub train_images: u64,
    pub test_images: u64,
    /// In percent.
    pub linear_top1: f64,
    /// In percent.
    pub knn_top1: f64,
    #[serde(default)]
    pub classes: Vec<ClassRow>,
    /// None in a file from before there was one.
    #[serde(default)]
    pub confusion: Confusion,
}

/// A result of the file under a key of its own, as lists of runs have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Keyed {
    /// `evaluate/linear_top1`; with the dataset before the result's name where it is not the run's own, by the file that `--dataset`
    /// named, and with the labels where they were not all, a list by its file's name: `evaluate/cifar100/0.1/linear_top1`.
    pub key: String,
    /// Updates that the encoder had seen.
    pub step: u64,
    pub value: f64,
}

/// What lists of runs take from a row of the file.
#[derive(Deserialize)]
struct Measured {
    step: u64,
    dataset: String,
    elsewhere: Option<String>,
    labels: String,
    #[serde(flatten)]
    results: Results,
}

#[derive(Deserialize)]
struct Results {
    linear_top1: f64,
    knn_top1: f64,
    feature_std: Option<f64>,
    rankme: Option<f64>,
    uniformity: Option<f64>,
}

/// How often images of each label were taken for each, from both lists in the order of the images.
pub fn cells(labels: &[i64], said: &[i64]) -> Vec<Cell> {
    let mut counts = BTreeMap::new();
    labels.iter().zip(said).for_each(|(&label, &said)| *counts.entry((label, said)).or_insert(0) += 1);
    counts.into_iter().map(|((label, said), images)| Cell { label, said, images }).collect()
}

/// The cells of images that were taken for another class, the most frequent first.
pub fn mistakes(cells: &[Cell]) -> Vec<Cell> {
    let mut wrong: Vec<Cell> = cells.iter().copied().filter(|cell| cell.label != cell.said).collect();
    wrong.sort_by_key(|cell| (std::cmp::Reverse(cell.images), cell.label, cell.said));
    wrong
}

/// The classes that have test images, those that the linear classifier tells worst first.
pub fn from_worst(classes: &[ClassRow]) -> Vec<&ClassRow> {
    let mut tested: Vec<&ClassRow> = classes.iter().filter(|class| class.test_images > 0).collect();
    tested.sort_by(|one, two| one.linear_top1.unwrap_or(0.0).total_cmp(&two.linear_top1.unwrap_or(0.0)));
    tested
}

/// What was measured of a run; nothing where nobody did.
///
/// # Errors
/// A file that can't be read, in words.
pub fn read(run: &Path) -> Result<Vec<Evaluated>, String> {
    rows(run)
}

/// The results that were measured of a run, which was trained on a dataset of this name; nothing where nobody did.
///
/// # Errors
/// A file that can't be read, in words.
pub fn results(run: &Path, own_dataset: Option<&str>) -> Result<Vec<Keyed>, String> {
    let rows: Vec<Measured> = rows(run)?;
    let of_row = |Measured { step, dataset, elsewhere, labels, results }: Measured| {
        let dataset = elsewhere.or(Some(dataset).filter(|dataset| own_dataset.is_some_and(|own| own != dataset)));
        let is_list = |labels: &String| labels != "all" && labels.parse::<f64>().is_err();
        let name =
            Path::new(&labels).file_stem().filter(|_| is_list(&labels)).map(|name| name.to_string_lossy().into());
        let labels = name.or(Some(labels).filter(|labels| labels != "all"));
        let parts = [Some("evaluate".to_owned()), dataset, labels];
        let place = parts.into_iter().flatten().collect::<Vec<_>>().join("/");
        let Results { linear_top1, knn_top1, feature_std, rankme, uniformity } = results;
        let named = [
            ("linear_top1", Some(linear_top1)),
            ("knn_top1", Some(knn_top1)),
            ("feature_std", feature_std),
            ("rankme", rankme),
            ("uniformity", uniformity),
        ];
        named
            .into_iter()
            .filter_map(move |(name, value)| Some(Keyed { key: format!("{place}/{name}"), step, value: value? }))
    };
    Ok(rows.into_iter().flat_map(of_row).collect())
}

fn rows<T: for<'de> Deserialize<'de>>(run: &Path) -> Result<Vec<T>, String> {
    match plain::read(&run.join(FILE), LONGEST) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| format!("`{FILE}` is not what `infomax evaluate` writes: {error}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("`{FILE}` can't be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_counted_and_sorted() {
        let cells = cells(&[0, 0, 0, 1, 1, 2, 2], &[0, 1, 1, 1, 0, 0, 0]);
        let all: Vec<(i64, i64, usize)> = cells.iter().copied().map(Into::into).collect();
        assert_eq!(all, [(0, 0, 1), (0, 1, 2), (1, 0, 1), (1, 1, 1), (2, 0, 2)]);
        let wrong: Vec<(i64, i64, usize)> = mistakes(&cells).into_iter().map(Into::into).collect();
        assert_eq!(wrong, [(0, 1, 2), (2, 0, 2), (1, 0, 1)]);
        assert_eq!(serde_json::to_string(&cells[1]).unwrap(), "[0,1,2]");
        assert_eq!(serde_json::from_str::<Cell>("[0,1,2]").unwrap(), cells[1]);
    }

    #[test]
    fn results_have_keys_that_say_on_what_they_were_measured() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(results(folder.path(), None), Ok(Vec::new()));
        let row = |dataset: &str, labels: &str, linear: f64| {
            serde_json::json!({
                "run": "runs/a", "step": 9, "dataset": dataset, "labels": labels, "train_images": 5, "test_images": 5,
                "linear_top1": linear, "linear_c": 1.0, "linear_converged": true, "knn_top1": 30.0, "rankme": null, "classes": [],
            })
        };
        let mut away = row("own", "all", 10.0); // a component of the same name, on other data
        away["elsewhere"] = "places205".into();
        let list = row("other", "lists/few.txt", 20.0);
        let rows = serde_json::json!([row("own", "all", 50.0), row("own", "0.1", 40.0), list, away]);
        std::fs::write(folder.path().join(FILE), rows.to_string()).unwrap();
        let found = results(folder.path(), Some("own")).unwrap();
        let keys: Vec<(&str, f64)> = found.iter().map(|result| (result.key.as_str(), result.value)).collect();
        let expected = [
            ("evaluate/linear_top1", 50.0),
            ("evaluate/knn_top1", 30.0),
            ("evaluate/0.1/linear_top1", 40.0),
            ("evaluate/0.1/knn_top1", 30.0),
            ("evaluate/other/few/linear_top1", 20.0),
            ("evaluate/other/few/knn_top1", 30.0),
            ("evaluate/places205/linear_top1", 10.0),
            ("evaluate/places205/knn_top1", 30.0),
        ];
        assert_eq!(keys, expected);
        std::fs::write(folder.path().join(FILE), "{}").unwrap();
        assert!(results(folder.path(), None).unwrap_err().contains("is not what `infomax evaluate` writes"));
    }

    #[test]
    fn classes_without_images_are_neither_good_nor_bad() {
        let class = |label, test_images, linear_top1| ClassRow {
            label,
            class: label.to_string(),
            test_images,
            linear_top1,
            knn_top1: None,
        };
        let classes = [class(0, 3, Some(50.0)), class(1, 0, None), class(2, 3, Some(0.0)), class(3, 1, Some(50.0))];
        assert_eq!(from_worst(&classes).iter().map(|class| class.label).collect::<Vec<_>>(), [2, 0, 3]);
    }
}
