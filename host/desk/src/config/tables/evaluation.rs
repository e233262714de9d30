//! The table `evaluation`: which classifiers are trained on the representation, and how and when they are tested.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which classifiers are trained on the representation (detached), and how and when they are tested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluation {
    /// How classifiers are tested.
    pub protocol: Protocol,
    /// Whether to train a linear classifier.
    pub linear: bool,
    /// Whether to train a classifier with one hidden layer.
    pub mlp: bool,
    /// Units of the hidden layer.
    #[schemars(range(min = 1, max = 1_048_576), extend("unit" = "units"))]
    pub mlp_hidden: u64,
    /// Share of units dropped before each layer of the classifier with a hidden layer.
    #[schemars(range(min = 0.0, max = 0.99), extend("unit" = "dimensionless"))]
    pub mlp_dropout: f64,
    /// Learning rate of an Adam of the classifiers' own, held constant. Where not given, `adam` trains them with the
    /// rest, as published; beside another optimizer they have their own, with 0.001.
    #[schemars(range(min = 1e-9, max = 10.0), extend("unit" = "dimensionless"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classifier_lr: Option<f64>,
    /// Whether to classify test images by their nearest labelled training images, weighted (`knn_top1`).
    pub knn: bool,
    /// Neighbours that vote.
    #[schemars(range(min = 1, max = 100_000), extend("unit" = "images"))]
    pub knn_k: u64,
    /// A neighbour's vote weighs exp(similarity / this).
    #[schemars(range(min = 1e-4, max = 100.0), extend("unit" = "dimensionless"))]
    pub knn_temperature: f64,
    /// Training images that neighbours are sought among, drawn by the seed; 0: all of them.
    #[schemars(range(min = 0, max = 1_000_000_000), extend("unit" = "images"))]
    pub knn_images: u64,
    /// Whether to measure how much of its space the representation uses: `feature_std`, `rankme`, `alignment`,
    /// `uniformity`.
    pub collapse: bool,
    /// Whether a run whose representation has collapsed ends (exit code 6): where `feature_std` falls below 0.05. It is
    /// warned of in any case, where `collapse` is on.
    pub stop_on_collapse: bool,
    /// Epochs between two tests. One of `every_epochs` and `every_steps` is given; where none is, each epoch, or as many epochs
    /// as make up 100 updates. There is always a test at the end.
    #[schemars(range(min = 1, max = 1_000_000), extend("unit" = "epochs"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_epochs: Option<u64>,
    /// Optimizer updates between two tests.
    #[schemars(range(min = 1, max = 1_000_000_000), extend("unit" = "updates"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_steps: Option<u64>,
    /// Images per batch of a test; `train.batch_size` where not given.
    #[schemars(range(min = 1, max = 1_048_576), extend("unit" = "images"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u64>,
    /// Whether to train and test the same classifiers on an encoder as it was initialised, for comparison.
    pub untrained: bool,
    /// Share of the labelled training images, 0 to 0.9, kept from training and tested on instead of the test split; 0: the test
    /// split is used.
    #[schemars(range(min = 0.0, max = 0.9), extend("unit" = "dimensionless"))]
    pub holdout_fraction: f64,
}

impl Evaluation {
    /// Whether anything is tested at all.
    pub fn tests(&self) -> bool {
        self.linear || self.mlp || self.knn || self.collapse
    }
}

impl Default for Evaluation {
    fn default() -> Self {
        Self {
            protocol: Protocol::Clean,
            linear: true,
            mlp: true,
            mlp_hidden: 1024,
            mlp_dropout: 0.2,
            classifier_lr: None,
            knn: false,
            knn_k: 200,           // Wu et al. 2018; the CIFAR tables of the field
            knn_temperature: 0.1, // the same
            knn_images: 0,
            collapse: false,
            stop_on_collapse: false,
            every_epochs: None,
            every_steps: None,
            batch_size: None,
            untrained: false,
            holdout_fraction: 0.0,
        }
    }
}

/// How classifiers are tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Every test image, in evaluation mode.
    #[default]
    Clean,
    /// As the published code: batch statistics refreshed on 50 batches of the test split, last partial batch dropped.
    Paper,
}
