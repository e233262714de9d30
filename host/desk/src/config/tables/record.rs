//! The table `record`: where a run leaves its files and which.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a run leaves its files and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    /// The folder that holds run directories, seen from the working directory.
    #[schemars(with = "String", length(min = 1, max = 4000))]
    pub run_directory: PathBuf,
    /// The run directory's name: letters, digits, `.`, `_`, `-`. A fresh `<experiment>-<n>` where not given.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$"))]
    #[schemars(extend("examples" = ["cifar10-seed1"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether to draw the curves of loss and accuracy.
    pub plot: bool,
    /// Whether to draw a sheet of images with their views.
    pub contact_sheet: bool,
    /// Whether to write `report.html` when the run ends, however it ends.
    pub report: bool,
    /// Whether to write TensorBoard's event files into `tensorboard/` as the run goes.
    pub tensorboard: bool,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            run_directory: PathBuf::from("runs"),
            name: None,
            plot: true,
            contact_sheet: true,
            report: true,
            tensorboard: false,
        }
    }
}
