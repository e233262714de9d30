//! What `infomax evaluate` finds of each class: how many of its test images were told right, and what the others were taken for.
//! The engine writes it as JSON beside a run, the report reads it.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, path::Path};

/// The file's name in a run directory.
pub const FILE: &str = "evaluation.json";

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
    let path = run.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = fs::read(&path).map_err(|error| format!("`{FILE}` can't be read: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("`{FILE}` is not what `infomax evaluate` writes: {error}"))
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
