//! Which labels may be used: a share of each class, or those of a published list.

use super::{Features, Opened, features::stage};
use crate::error::{Error, Fault, Result};
use infomax_sdk::Key;
use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
};

/// The rows of a share of each class, at least one of each. Which ones depends on nothing but the data and the share, and a
/// smaller share's are among a larger one's.
///
/// # Errors
/// libtorch's message.
pub fn share(features: &Features, fraction: f64) -> Result<Vec<i64>> {
    let labels = Vec::<i64>::try_from(&features.labels_n).map_err(Error::torch("read labels"))?;
    let mut of_class: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (row, label) in labels.into_iter().enumerate() {
        of_class.entry(label).or_default().push(row as i64);
    }
    let mut rows = Vec::new();
    for (class, mut members) in of_class {
        Key::new(0).purpose("label share").fold(class as u64).rng().shuffle(&mut members);
        let count = ((members.len() as f64 * fraction).round() as usize).clamp(1, members.len());
        rows.extend(&members[..count]);
    }
    rows.sort_unstable();
    Ok(rows)
}

/// The rows of the training images that a file lists, one a line: `n01440764_10026.JPEG`, or with the class folder before it.
///
/// # Errors
/// A file that can't be read, or that names none of the images.
pub fn listed(opened: &Opened, features: &Features, path: &Path) -> Result<Vec<i64>> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let names: HashSet<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let stage = stage(opened, "train");
    let positions = Vec::<i64>::try_from(&features.positions_n).map_err(Error::torch("read positions"))?;
    let is_listed = |position: &i64| {
        let (split, index) = stage[*position as usize];
        let place = opened.source.locate(split, index);
        let mut ends = place.rmatch_indices('/').map(|(at, _)| &place[at + 1..]).take(2);
        names.contains(place.as_str()) || ends.any(|end| names.contains(end))
    };
    let rows: Vec<i64> =
        (0..).zip(&positions).filter(|(_, position)| is_listed(position)).map(|(row, _)| row).collect();
    if rows.is_empty() {
        let fault = Fault::new(format!("none of the {} names is one of the training images", names.len()));
        let hint = "a line is a file's name, or its class folder and name";
        return Err(Error::Dataset { fault: fault.at(path.display().to_string()).hint(hint) });
    }
    Ok(rows)
}
