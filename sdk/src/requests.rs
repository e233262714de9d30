//! The JSON that asks a plugin to describe or to make a component: the component's config beside what the host knows.

use crate::{EncoderInput, LossInput};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A request of any kind; the parts that a kind does not need are left at their defaults.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// The component's `config` table, complete.
    pub config: Value,
    /// For an encoder.
    pub encoder: EncoderInput,
    /// For a loss.
    pub loss: LossInput,
    /// Where tensors live: `cpu`, `cuda:0`, …
    pub device: String,
}
