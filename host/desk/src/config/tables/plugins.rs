//! The table `plugins`: where plugin libraries are looked for and what they are allowed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where plugin libraries are looked for and what they are allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Plugins {
    /// Folders that are searched before the usual ones.
    #[schemars(with = "Vec<String>")]
    pub search: Vec<PathBuf>,
    /// Plugins that may be built against another libtorch than the host's; recorded with the run.
    pub allow_torch_skew: Vec<String>,
    /// Seconds that training waits for a batch before it calls a dataset or an augmentation hung.
    #[schemars(range(min = 1, max = 86_400), extend("unit" = "seconds"))]
    pub timeout_seconds: u64,
    /// Seconds that one call of an encoder or a loss may take before the run ends with a word on where it hangs; 0: any time.
    #[schemars(range(max = 86_400), extend("unit" = "seconds"))]
    pub call_timeout_seconds: u64,
}

impl Default for Plugins {
    fn default() -> Self {
        Self { search: Vec::new(), allow_torch_skew: Vec::new(), timeout_seconds: 60, call_timeout_seconds: 1800 }
    }
}
