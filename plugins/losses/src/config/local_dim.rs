//! `local-dim`'s `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Deep InfoMax's local objective. Sizes of the paper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LocalDim {
    /// How mutual information is estimated.
    pub estimator: Estimator,
    /// The map of local features; empty: the smallest map with more than one location.
    pub local_map: String,
    /// Width of the hidden layers that embed global and local features.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "units"))]
    pub embedding_hidden: u32,
    /// Width of the embeddings, whose products are the scores.
    #[schemars(range(min = 1, max = 65536), extend("unit" = "channels"))]
    pub embedding_dim: u32,
    /// Layer norm behind the embedding of local features.
    pub layer_norm: bool,
}

/// A bound on, or an estimate of, mutual information.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Noise-contrastive: a local feature against those of all other images.
    Nce,
    /// Jensen-Shannon divergence.
    Jsd,
    /// Donsker and Varadhan's representation of the Kullback-Leibler divergence.
    Dv,
}

impl Default for LocalDim {
    fn default() -> Self {
        Self {
            estimator: Estimator::Nce,
            local_map: String::new(),
            embedding_hidden: 2048,
            embedding_dim: 2048,
            layer_norm: true,
        }
    }
}
