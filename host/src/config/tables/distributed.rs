//! The table `distributed`: how many processes train together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many processes train together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Distributed {
    /// Processes, one a device. Only 1 is built.
    #[schemars(range(min = 1, max = 1))]
    pub nproc: u64,
}

impl Default for Distributed {
    fn default() -> Self {
        Self { nproc: 1 }
    }
}
