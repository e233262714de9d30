//! A whole experiment as types: what the rest of the host reads.

use super::tables::{
    BatchNorm, Checkpoint, Distributed, Evaluation, Gray16, OnBad, OnDevice, Optimizer, Plugins, Record, Train,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// A whole experiment: a flow from images to figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Where images come from.
    pub dataset: DatasetTable,
    /// How an image becomes views.
    pub augmentation: Component,
    /// The network that is trained.
    pub encoder: EncoderTable,
    /// What is minimised.
    pub loss: Component,
    /// How gradients become updates.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// How long, on what, from which seed.
    #[serde(default)]
    pub train: Train,
    /// Which classifiers are trained on the representation, and how and when they are tested.
    #[serde(default)]
    pub evaluation: Evaluation,
    /// When the state is saved.
    #[serde(default)]
    pub checkpoint: Checkpoint,
    /// How many processes train together, and how.
    #[serde(default)]
    pub distributed: Distributed,
    /// Which samples share BatchNorm statistics while an encoder trains.
    #[serde(default)]
    pub batch_norm: BatchNorm,
    /// Where a run leaves its files.
    #[serde(default)]
    pub record: Record,
    /// Where plugin libraries are looked for.
    #[serde(default)]
    pub plugins: Plugins,
}

/// A component that a plugin provides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// The component's name; `name@sha256:…` picks one build.
    #[schemars(length(min = 1, max = 300))]
    pub name: String,
    /// The library file, where it is not to be searched.
    #[schemars(with = "Option<String>", length(min = 1, max = 4000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The component's own fields.
    #[schemars(with = "Map<String, Value>")]
    #[serde(default = "empty")]
    pub config: Value,
}

/// The component that is trained, and what it starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EncoderTable {
    /// The component's name; `name@sha256:…` picks one build.
    #[schemars(length(min = 1, max = 300))]
    pub name: String,
    /// The library file, where it is not to be searched.
    #[schemars(with = "Option<String>", length(min = 1, max = 4000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Weights to start from, by name: a run's directory (its newest valid checkpoint), a
    /// checkpoint, a `.safetensors` file or several with an index, or a file of `torch.save`, in which nothing is executed: those
    /// of torchvision, timm and the usual self-supervised code. Fresh weights where not given.
    #[schemars(with = "Option<String>", length(min = 1, max = 4000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Where a file of weights holds several encoders: the keys that lead to the tensors, joined by `.`, as in `teacher`. Without
    /// it the one that is usual for such files, which is told.
    #[schemars(length(min = 1, max = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_key: Option<String>,
    /// What stands before the encoder's names in a file of weights, as in `module.encoder_q.`; empty for nothing. Found by itself
    /// where not given.
    #[schemars(length(max = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_prefix: Option<String>,
    /// Patches down and across of a transformer's position embedding in a file of weights, where they make no square.
    #[schemars(with = "Option<[u32; 2]>", inner(range(min = 1, max = 10_000)), extend("unit" = "patches"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_grid: Option<[i64; 2]>,
    /// Whether to cast weights of another number format, which are refused otherwise.
    #[serde(default)]
    pub cast_weights: bool,
    /// The component's own fields.
    #[schemars(with = "Map<String, Value>")]
    #[serde(default = "empty")]
    pub config: Value,
}

/// The component that provides images, and how the host reads them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetTable {
    /// The component's name; `name@sha256:…` picks one build.
    #[schemars(length(min = 1, max = 300))]
    pub name: String,
    /// The library file, where it is not to be searched.
    #[schemars(with = "Option<String>", length(min = 1, max = 4000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// What to do about an image that can't be read or decoded.
    #[serde(default)]
    pub on_bad: OnBad,
    /// Share of images that may be bad before the run ends, with `on_bad = "skip"`.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    #[serde(default = "max_bad_fraction")]
    pub max_bad_fraction: f64,
    /// Whether to turn an image as its EXIF record says; off as in torchvision.
    #[serde(default)]
    pub exif_rotation: bool,
    /// How gray of 16 bits without alpha (PNG, TIFF, PGM) becomes gray of 8 bits: scaled, or cut off at 255 as in Pillow.
    #[serde(default)]
    pub gray16: Gray16,
    /// Whether the images of training stay decoded in the memory of the device that trains, where they have one size and fit:
    /// `auto` (on a GPU, in a quarter of its free memory), `always` or `never`. Views of `amdim`, `simclr` and others of this
    /// build are the same to the byte either way.
    #[serde(default)]
    pub on_device: OnDevice,
    /// Pixels of the largest image that is decoded.
    #[schemars(range(min = 1, max = 4_294_967_296_i64), extend("unit" = "pixels"))]
    #[serde(default = "max_pixels")]
    pub max_pixels: u64,
    /// Share of the training images whose labels may be seen, of each class alike; all where not given. Of the rest,
    /// pretraining sees the images, and classifiers see nothing. A smaller share is part of a larger one.
    #[schemars(range(min = 1e-9, max = 1.0), extend("unit" = "dimensionless"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_fraction: Option<f64>,
    /// A file that names the training images whose labels may be seen, one a line, as published lists do: a file's name, or
    /// its class folder and name.
    #[schemars(with = "Option<String>", length(min = 1, max = 4000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_list: Option<PathBuf>,
    /// The component's own fields.
    #[schemars(with = "Map<String, Value>")]
    #[serde(default = "empty")]
    pub config: Value,
}

fn empty() -> Value {
    Value::Object(Map::new())
}

fn max_bad_fraction() -> f64 {
    0.01
}

fn max_pixels() -> u64 {
    100_000_000 // a 10,000 × 10,000 photograph: 300 MB decoded
}
