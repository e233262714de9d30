//! The tables `[dataset]` of this plugin's components.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// CIFAR-10, in its binary version.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cifar10 {
    /// Folder that holds `cifar-10-batches-bin` or `cifar-10-binary.tar.gz`, or that a download goes to.
    #[schemars(extend("format" = "path"))]
    pub root: PathBuf,
    /// Fetch the archive (170 MB) when it is missing.
    pub download: bool,
    /// Where to fetch the archive from, instead of the well-known place; the checksum stays the same.
    pub url: Option<String>,
    /// Accept files with fewer records than published.
    pub allow_subset: bool,
}

/// CIFAR-100, in its binary version.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cifar100 {
    /// Folder that holds `cifar-100-binary` or `cifar-100-binary.tar.gz`, or that a download goes to.
    #[schemars(extend("format" = "path"))]
    pub root: PathBuf,
    /// Which of the two labels of an image is its class.
    pub labels: Cifar100Labels,
    /// Fetch the archive (169 MB) when it is missing.
    pub download: bool,
    /// Where to fetch the archive from, instead of the well-known place; the checksum stays the same.
    pub url: Option<String>,
    /// Accept files with fewer records than published.
    pub allow_subset: bool,
}

/// The labels of CIFAR-100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Cifar100Labels {
    /// 100 classes.
    Fine,
    /// 20 classes of five fine ones each.
    Coarse,
}

/// STL-10, in its binary version. Self-supervised training sees `train` and `unlabelled`, classifiers see `train`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Stl10 {
    /// Folder that holds `stl10_binary` or `stl10_binary.tar.gz`, or that a download goes to.
    #[schemars(extend("format" = "path"))]
    pub root: PathBuf,
    /// Fetch the archive (2.6 GB) when it is missing.
    pub download: bool,
    /// Where to fetch the archive from, instead of the well-known place; the checksum stays the same.
    pub url: Option<String>,
    /// Accept files with fewer records than published.
    pub allow_subset: bool,
}

/// Folders of images: a folder per class, `root/train/CLASS/*.jpg` and `root/val/CLASS/*.jpg`; images without classes; or
/// lists of files.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImageFolder {
    /// The folder that holds the splits' folders, or the classes' folders.
    #[schemars(extend("format" = "path"))]
    pub root: PathBuf,
    /// The names of the splits' folders.
    pub layout: Layout,
    /// The training split's folder below `root`, instead of the one that is found.
    pub train: Option<String>,
    /// The test split's folder below `root`, instead of the one that is found.
    pub test: Option<String>,
    /// A file that lists the training images, one a line, in the place of folders: a path below `root`, or a path and a
    /// label (`a/1.jpg 3`, CSV, TSV, with or without the names of columns).
    #[schemars(extend("format" = "path"))]
    pub train_list: Option<PathBuf>,
    /// The same for the test images.
    #[schemars(extend("format" = "path"))]
    pub test_list: Option<PathBuf>,
    /// Another folder, with class folders or splits of such: classifiers learn and are tested there. The images of `root`
    /// have no labels then; the encoder sees those and the labelled training images.
    #[schemars(extend("format" = "path"))]
    pub labelled: Option<PathBuf>,
    /// Accept class folders without images, classes that only the training split has, and a single class.
    pub allow_empty_classes: bool,
    /// A file below `root` with the SHA-256 of every image; each is checked when it is read. Without a value:
    /// `infomax-hashes.json`, where that exists.
    pub manifest: Option<String>,
}

/// The names of the splits' folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// What is found: folders called `train` and `test` or `val` (also `Training`, `valid`, `train_256`, `train.X1`, …), with
    /// class folders or flat; or the classes' folders directly in `root`; or images directly in `root`. With `test` and
    /// `val`, the first that has labels tests, and the other one is kept apart.
    Plain,
    /// The classes' folders directly in `root`, whatever their names.
    Classes,
    /// Images at any depth, without labels.
    Unlabelled,
    /// `ILSVRC2012_img_train` and `ILSVRC2012_img_val`.
    ImageNet,
    /// `places205_256_train` and `places205_256_val`.
    Places205,
}

/// MedMNIST: a `.npz` with `train_images`, `train_labels` and the like.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MedMnist {
    /// The `.npz`, or the folder that holds it.
    #[schemars(extend("format" = "path"))]
    pub root: PathBuf,
    /// Which `.npz` in the folder, where there are several: `pathmnist.npz`.
    pub file: Option<String>,
}

/// Shards of images in tar archives, as WebDataset writes them.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebDataset {
    /// The folder of the shards, or one shard. Which split a shard belongs to is read from its name or its folder's.
    #[schemars(extend("format" = "path"))]
    pub root: PathBuf,
    /// The folder of the training shards below `root`, or the beginning of their names, instead of what is found.
    pub train: Option<String>,
    /// The same for the test shards.
    pub test: Option<String>,
}

/// Parquet files with a column of images.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parquet {
    /// The folder of the files, or one file. Which split a file belongs to is read from its name or its folder's.
    #[schemars(extend("format" = "path"))]
    pub root: PathBuf,
    /// The folder of the training files below `root`, or the beginning of their names, instead of what is found.
    pub train: Option<String>,
    /// The same for the test files.
    pub test: Option<String>,
    /// The column of images, instead of the one that is found (`image`, `img`, …): bytes, or a struct with `bytes`.
    pub image: Option<String>,
    /// The column of labels, instead of the one that is found (`label`, `fine_label`, …): numbers or texts.
    pub label: Option<String>,
}

/// Ten shapes, drawn with random colour, texture, place, size and tilt on a cluttered ground: an embedded dataset on
/// which pixels alone say little about the class.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shapes {
    /// Side of an image in pixels.
    #[schemars(extend("unit" = "pixels", "enum" = [32, 64]))]
    pub size: u32,
    /// Images in the training split.
    #[schemars(range(min = 10, max = 10_000_000), extend("unit" = "images"))]
    pub train_length: u64,
    /// Images in the test split.
    #[schemars(range(min = 10, max = 10_000_000), extend("unit" = "images"))]
    pub test_length: u64,
    /// Another seed draws other images.
    #[schemars(extend("unit" = "dimensionless"))]
    pub seed: u64,
}

impl Default for Cifar10 {
    fn default() -> Self {
        Self { root: "data".into(), download: false, url: None, allow_subset: false }
    }
}

impl Default for Cifar100 {
    fn default() -> Self {
        Self { root: "data".into(), labels: Cifar100Labels::Fine, download: false, url: None, allow_subset: false }
    }
}

impl Default for Stl10 {
    fn default() -> Self {
        Self { root: "data".into(), download: false, url: None, allow_subset: false }
    }
}

impl Default for ImageFolder {
    fn default() -> Self {
        Self {
            root: "data".into(),
            layout: Layout::Plain,
            train: None,
            test: None,
            train_list: None,
            test_list: None,
            labelled: None,
            allow_empty_classes: false,
            manifest: None,
        }
    }
}

impl Default for MedMnist {
    fn default() -> Self {
        Self { root: "data".into(), file: None }
    }
}

impl Default for WebDataset {
    fn default() -> Self {
        Self { root: "data".into(), train: None, test: None }
    }
}

impl Default for Parquet {
    fn default() -> Self {
        Self { root: "data".into(), train: None, test: None, image: None, label: None }
    }
}

impl Default for Shapes {
    fn default() -> Self {
        Self { size: 32, train_length: 10_000, test_length: 2_000, seed: 0 }
    }
}
