//! The tables `distributed` and `batch_norm`: how many processes train together, and what they share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many processes train together, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Distributed {
    /// Processes, one a device; `infomax train --nproc` sets it. Over several machines a launcher says how many there are.
    #[schemars(range(min = 1, max = 65_536), extend("unit" = "processes"))]
    pub nproc: u64,
    /// How the loss on the global batch is computed.
    pub loss: LossSharing,
    /// Seconds that an exchange waits for the other processes before the run ends.
    #[schemars(range(min = 1, max = 86_400), extend("unit" = "seconds"))]
    pub timeout_seconds: u64,
    /// Seconds that a process waits for the others to come before the first step: they read the dataset first, and start on
    /// machines that may be slower.
    #[schemars(range(min = 1, max = 86_400), extend("unit" = "seconds"))]
    pub meeting_seconds: u64,
    /// How often a run that lost a process begins again from its last checkpoint.
    #[schemars(range(min = 0, max = 1000), extend("unit" = "restarts"))]
    pub max_restarts: u64,
    /// Size of the pieces in which gradients are summed over processes.
    #[schemars(range(min = 1, max = 65_536), extend("unit" = "MiB"))]
    pub bucket_mib: u64,
    /// Whether the encoder uses other parameters from step to step, as with stochastic depth: each step then takes one more
    /// exchange, which is waited for.
    pub varying_parameters: bool,
    /// Steps between two checks that all processes hold the same parameters; 0: never.
    #[schemars(range(min = 0, max = 1_000_000_000), extend("unit" = "updates"))]
    pub check_every_steps: u64,
    /// Tell processes that call different exchanges from one another, at the cost of one more exchange each.
    pub check_exchanges: bool,
}

impl Default for Distributed {
    fn default() -> Self {
        Self {
            nproc: 1,
            loss: LossSharing::Auto,
            timeout_seconds: 60,
            meeting_seconds: 600,
            max_restarts: 0,
            bucket_mib: 25, // PyTorch's DistributedDataParallel
            varying_parameters: false,
            check_every_steps: 500,
            check_exchanges: false,
        }
    }
}

/// How the loss on the global batch is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LossSharing {
    /// By rows where the loss can, whole otherwise.
    #[default]
    Auto,
    /// By every process alike.
    Whole,
    /// Each process its own rows.
    Rows,
}

/// Which samples share BatchNorm statistics while an encoder trains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchNorm {
    /// Over which processes.
    pub mode: BatchNormMode,
    /// Images that share statistics, where not all of a pass do: computes on one process what several would.
    #[schemars(range(min = 2, max = 1_048_576), extend("unit" = "images"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_size: Option<u64>,
}

/// Over which processes BatchNorm's statistics go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BatchNormMode {
    /// Each process has its own, as published.
    #[default]
    Local,
    /// All of them together.
    Sync,
}
