//! The `config` table of the encoder `exported`.

use super::Tagged;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A network that `infomax_export.export_encoder` or `torch.export.save` wrote, in training mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExportedEncoder {
    /// The file: `mine.pt2`.
    #[schemars(extend("format" = "path", "read" = true))]
    pub file: String,
    /// The names of the maps, in the order of the network's outputs; `_` leaves one out. Empty: the names in the file, or the keys where it gives a
    /// dictionary, or `out`, or `out0`, `out1`, ….
    pub outputs: Vec<String>,
    /// The map that evaluators read. Without a value: the one that the file names, or the last.
    pub representation: Option<String>,
    /// Lay images and the weights of convolutions channels-last in memory, which is libtorch's fast way. Off: as PyTorch lays them by
    /// default, so that its numbers are repeated to the bit.
    pub channels_last: bool,
    /// How the optimizer treats parameters; of several entries that fit a name the last one counts. Without an entry weight decay
    /// applies and the learning rate is the experiment's.
    pub tags: Vec<Tagged>,
}

impl Default for ExportedEncoder {
    fn default() -> Self {
        Self { file: String::new(), outputs: Vec::new(), representation: None, channels_last: true, tags: Vec::new() }
    }
}
