//! The dataset kind: where labelled or unlabelled images come from.
//!
//! In: a config. Out: splits, class names, and images one at a time, read by many loader threads at once. Decoding
//! files is the host's job, so a dataset may hand over a file's bytes as they are.

use crate::Result;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A source of images. Called by many loader threads at once.
pub trait Dataset: Send + Sync + Sized + 'static {
    /// The component's own table in the experiment file; its JSON Schema is in the manifest. A field that names a file or
    /// folder says so, `#[schemars(extend("format" = "path"))]`, or is called `root`: then `~` is the home folder in it, and a
    /// config file's relative path counts from that file.
    type Config: DeserializeOwned;

    /// What the dataset will be, as far as that is known without touching the disk.
    ///
    /// # Errors
    /// A config that can't work.
    fn describe(config: &Self::Config) -> Result<DatasetDescription>;

    /// Opens the dataset: finds the files, checks them, downloads them where the config says so.
    ///
    /// # Errors
    /// Files that are missing or damaged, each named.
    fn create(config: &Self::Config) -> Result<Self>;

    /// What was found: cheap, called once after [`Dataset::create`].
    fn facts(&self) -> DatasetFacts;

    /// One image with its label; `index` counts from 0 within the split (by position in [`DatasetFacts::splits`]).
    ///
    /// # Errors
    /// A file that can't be read. The host decides whether to stop or to skip.
    fn read(&self, split: usize, index: u64) -> Result<Sample>;

    /// Where an image comes from, for messages: a path, or `file.bin, record 17`.
    fn locate(&self, split: usize, index: u64) -> String;

    /// The labels of a split's images, in their order, where they are known without reading those; empty where they are
    /// not. The host reads every image to learn them then.
    ///
    /// # Errors
    /// Files that are missing or damaged.
    fn labels(&self, split: usize) -> Result<Vec<i64>> {
        let _ = split;
        Ok(Vec::new())
    }

    /// Another text as soon as a file is written anew, though names and sizes stay: over the files' contents where those
    /// are small, over their times otherwise. What is kept of the images, such as features, is good for as long as it stays
    /// the same. Empty where [`DatasetFacts::fingerprint`] says it all. Cheap, called once after [`Dataset::create`].
    fn state(&self) -> String {
        String::new()
    }
}

/// An image with its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The image.
    pub image: Image,
    /// The class, from 0; [`UNLABELLED`] where there is none.
    pub label: i64,
}

/// The label of an image without one.
pub const UNLABELLED: i64 = -1;

/// An image as a dataset hands it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// A file's bytes; the host decodes them by content and strictly.
    Encoded(Vec<u8>),
    /// Pixels: height × width × 3 bytes, row by row, red green blue.
    Rgb8 {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// height × width × 3 bytes.
        pixels: Vec<u8>,
    },
}

/// What is known of a dataset before it is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetDescription {
    /// Number of classes, where the config alone tells.
    pub class_count: Option<usize>,
    /// Height and width, where all images share one size.
    pub image_size: Option<[u32; 2]>,
    /// Bytes that opening may download.
    pub download_bytes: u64,
}

/// What was found when a dataset was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetFacts {
    /// The splits, in the order in which [`Dataset::read`] counts them.
    pub splits: Vec<Split>,
    /// The names of the classes, by label.
    pub class_names: Vec<String>,
    /// Which splits serve which stage.
    pub roles: Roles,
    /// Equal for equal data: a SHA-256 over names, sizes and whatever else is cheap to know.
    pub fingerprint: String,
    /// Things worth telling the user once (files passed over and why).
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One split of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Its name: `train`, `test`, `unlabelled`, …
    pub name: String,
    /// How many images.
    pub length: u64,
    /// Whether its images have labels.
    pub labelled: bool,
}

/// Which splits serve which stage, by position in [`DatasetFacts::splits`]; several are read one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// Self-supervised training.
    pub pretrain: Vec<usize>,
    /// Training of classifiers: labelled.
    pub train: Vec<usize>,
    /// Testing of classifiers: labelled; empty where there is no such split.
    pub test: Vec<usize>,
}
