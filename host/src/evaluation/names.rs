//! Which image each row of features stands for: split, index, path, label and the name of its class. Written beside the
//! features as CSV, and into their file's metadata where that stays small.

use super::Opened;
use crate::{
    dataset::{Source, Stage},
    rows::csv_line,
};
use serde_json::json;
use std::collections::HashMap;

/// Bytes of paths that go into a file's metadata; `safetensors` refuses headers above 100 MB.
const MOST_PATHS: usize = 16 << 20;

/// The images of some rows.
#[derive(Clone, Debug)]
pub struct ImageNames {
    /// By label.
    pub class_names: Vec<String>,
    pub images: Vec<ImageName>,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    /// The dataset's name of its split.
    pub split: String,
    /// Its number in the split.
    pub index: u64,
    /// Its path below the dataset's root, or what else the dataset says of its place.
    pub path: String,
    pub label: i64,
}

impl ImageNames {
    /// The images at some positions of a stage, with their labels.
    pub fn of(source: &Source, root: Option<&str>, stage: &Stage, positions: &[i64], labels: &[i64]) -> Self {
        let root = root.map(|root| format!("{}/", root.trim_end_matches('/'))).unwrap_or_default();
        let image = |(&position, &label): (&i64, &i64)| {
            let (split, index) = stage[position as usize];
            let place = source.locate(split, index);
            let path = place.strip_prefix(&root).unwrap_or(&place).to_owned();
            ImageName { split: source.facts().splits[split].name.clone(), index, path, label }
        };
        let images = positions.iter().zip(labels).map(image).collect();
        Self { class_names: source.facts().class_names.clone(), images }
    }

    /// The name of a label; empty where it has none.
    pub fn class(&self, label: i64) -> &str {
        usize::try_from(label).ok().and_then(|label| self.class_names.get(label)).map_or("", String::as_str)
    }

    /// One line an image: its row in the features, what is known of it, and its place on a map where there is one.
    pub fn to_csv(&self, map: Option<&[[f32; 2]]>) -> String {
        let line = |(row, image): (usize, &ImageName)| {
            let ImageName { split, index, path, label } = image;
            let cells = [row.to_string(), split.clone(), index.to_string(), path.clone(), label.to_string()];
            let place = map.into_iter().flat_map(|map| map[row]).map(|number| number.to_string());
            csv_line(&cells.into_iter().chain([self.class(*label).to_owned()]).chain(place).collect::<Vec<_>>())
        };
        let columns = ["row", "split", "index", "path", "label", "class"].into_iter();
        let columns = columns.chain(map.into_iter().flat_map(|_| ["x", "y"])).map(str::to_owned);
        let header = csv_line(&columns.collect::<Vec<_>>());
        self.images.iter().enumerate().map(line).fold(header, |text, line| text + &line)
    }

    /// For the metadata of a safetensors file: `class_names` and, where they are not too long, `paths`, as JSON lists.
    pub fn metadata(&self, opened: &Opened, split: &str) -> HashMap<String, String> {
        let paths: Vec<&str> = self.images.iter().map(|image| image.path.as_str()).collect();
        let mut metadata = HashMap::from([
            ("class_names".to_owned(), json!(self.class_names).to_string()),
            ("dataset".to_owned(), opened.experiment.dataset.name.clone()),
            ("split".to_owned(), split.to_owned()),
            ("step".to_owned(), opened.step.to_string()),
        ]);
        if paths.iter().map(|path| path.len()).sum::<usize>() <= MOST_PATHS {
            metadata.insert("paths".to_owned(), json!(paths).to_string());
        }
        metadata
    }
}
