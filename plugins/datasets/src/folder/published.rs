//! Where published sets keep the labels of images that lie in no class folder, and how their folders are called.

use super::{
    devkit::Devkit,
    index::Index,
    list,
    splits::{Kind, Shape},
};
use crate::names;
use infomax_sdk::Result;
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// Kaggle's folder of ImageNet below what its archive unpacks to.
const KAGGLE: &str = "ILSVRC/Data/CLS-LOC";
const KAGGLE_LABELS: &str = "LOC_val_solution.csv";
const FIRST_OF_VAL: &str = "ILSVRC2012_val_00000001.JPEG";
const TINY_LABELS: &str = "val_annotations.txt";
const PLACES_CLASSES: &str = "categories_places365.txt";

/// The folder that holds the splits: that of Kaggle's archive, or the root itself.
pub(super) fn inner_root(root: &Path) -> PathBuf {
    let kaggle = root.join(KAGGLE);
    if kaggle.is_dir() { kaggle } else { root.to_owned() }
}

/// The labels of a split whose images lie in one folder, with the file that they come from.
pub(super) fn annotated(folder: &Path, kind: Kind) -> Result<Option<(Index, PathBuf)>> {
    let tiny = folder.join(TINY_LABELS);
    if tiny.is_file() {
        let images = folder.join("images");
        let images = if images.is_dir() { images } else { folder.to_owned() };
        return Ok(Some((list::read(&tiny, &images)?, tiny)));
    }
    let is_val = kind == Kind::Val || folder.join(FIRST_OF_VAL).is_file();
    if !is_val || !Shape::of(folder)?.is_flat() {
        return Ok(None);
    }
    // ROOT/ILSVRC/Data/CLS-LOC/val: the labels lie in ROOT.
    let mut above = folder.ancestors().skip(1).take(4).map(|above| above.join(KAGGLE_LABELS));
    if let Some(labels) = above.find(|list| list.is_file()) {
        return Ok(Some((list::read_kaggle(&labels, folder)?, labels)));
    }
    let Some(devkit) = Devkit::near(folder)? else { return Ok(None) };
    let labels = devkit.labels()?;
    let images = labels.into_iter().zip(1..).map(|(class, number)| (format!("ILSVRC2012_val_{number:08}"), class));
    Ok(Some((list::of_labels(&devkit.place, folder, images.collect())?, devkit.place)))
}

/// The splits of Places365 as torchvision keeps them: lists of paths with numbers of classes, and folders of one size.
pub(super) fn places365(root: &Path) -> Result<Option<[(Index, PathBuf); 2]>> {
    let classes = root.join(PLACES_CLASSES);
    if !classes.is_file() {
        return Ok(None);
    }
    let folder = |names: [&str; 3]| names.map(|name| root.join(name)).into_iter().find(|folder| folder.is_dir());
    let train = folder(["data_256_standard", "data_large_standard", "data_256"]);
    let val = folder(["val_256", "val_large", "val"]);
    let list = |names: [&str; 2]| names.map(|name| root.join(name)).into_iter().find(|list| list.is_file());
    let lists = (
        list(["places365_train_standard.txt", "places365_train_challenge.txt"]),
        list(["places365_val.txt", "val.txt"]),
    );
    let ((Some(train), Some(val)), (Some(train_list), Some(val_list))) = ((train, val), lists) else { return Ok(None) };
    let text = fs::read_to_string(&classes).map_err(|cause| {
        infomax_sdk::Error::data(format!("can't read `{}`", names::path(&classes))).caused_by(&cause)
    })?;
    let mut known: Vec<(usize, OsString)> = text
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, number)| Some((number.trim().parse().ok()?, OsString::from(name.trim_start_matches('/')))))
        .collect();
    known.sort();
    let names: Vec<OsString> = known.into_iter().map(|(_, name)| name).collect();
    let train = list::read_with_names(&train_list, &train, names.clone())?;
    let val = list::read_with_names(&val_list, &val, names)?;
    Ok(Some([(train, train_list), (val, val_list)]))
}
