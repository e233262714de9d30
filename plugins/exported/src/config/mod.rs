//! The components' `config` tables. The build script compiles this module too, for the schemas in the manifest.

mod encoder;
mod loss;

pub use encoder::ExportedEncoder;
pub use loss::ExportedLoss;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the optimizer treats the parameters of some names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tagged {
    /// Names of parameters as PyTorch has them; `*` stands for any text: `*.bias`.
    pub parameters: String,
    /// Whether weight decay applies.
    #[serde(default = "yes")]
    pub decay: bool,
    /// Multiplies the learning rate.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 1000.0), extend("unit" = "times the learning rate"))]
    pub lr_scale: f64,
}

fn yes() -> bool {
    true
}

fn one() -> f64 {
    1.0
}
