//! The `config` table of the loss `exported`.

use super::Tagged;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An objective that `infomax_export.export_loss` or `torch.export.save` wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExportedLoss {
    /// The file: `mine.pt2`.
    #[schemars(extend("format" = "path", "read" = true))]
    pub file: String,
    /// What each of its inputs is, in order: `view0.NAME` is the map NAME of the first view, `momentum0.NAME` the same through the
    /// momentum encoder, `labels` the classes; the map `representation` is the one that evaluators read. Empty: as the file says.
    pub inputs: Vec<String>,
    /// The names of the outputs: the one called `loss` is minimised, the others are recorded; without a `loss`, their sum is;
    /// `_` leaves one out. Empty: the names in the file, or the keys where it gives a dictionary.
    pub outputs: Vec<String>,
    /// The loss is a mean over images and looks at each alone: several devices then compute a part each.
    pub mean_over_images: bool,
    /// The smallest batch that it works on.
    #[schemars(range(min = 1, max = 1_000_000), extend("unit" = "images"))]
    pub min_batch_size: u64,
    /// Momentum of the slow encoder at the first update, where an input asks for it.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub momentum_start: f64,
    /// Momentum of the slow encoder at the last update, reached by a cosine.
    #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
    pub momentum_end: f64,
    /// How the optimizer treats the loss's own parameters; of several entries that fit a name the last one counts.
    pub tags: Vec<Tagged>,
}

impl Default for ExportedLoss {
    fn default() -> Self {
        Self {
            file: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            mean_over_images: false,
            min_batch_size: 2,
            momentum_start: 0.99, // as `byol` and `moco-v2`
            momentum_end: 1.0,
            tags: Vec::new(),
        }
    }
}
