//! The loss's `config` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// AMDIM's objective: features of one view must pick out those of the other among all images of the batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Scores are squashed to ±tclip by tanh.
    #[schemars(range(min = 0.1, max = 80.0), extend("unit" = "dimensionless"))]
    pub tclip: f64,
    /// Whether scores are squashed at all.
    pub clip: bool,
    /// Weight of the mean squared score, before squashing; 0 switches it off.
    #[schemars(range(min = 0.0, max = 1000.0), extend("unit" = "dimensionless"))]
    pub regulariser: f64,
    /// Which maps predict which: side of the source, `t`, side of the target.
    #[schemars(length(min = 1))]
    pub pairs: Vec<Pair>,
    /// The source of a 5×5 or 7×7 map: one location per image and step, or the mean over locations.
    pub source_location: SourceLocation,
    /// From view one to view two, back, or the mean of both.
    pub directions: Directions,
    /// Multiply features in f32 even under mixed precision.
    pub f32_products: bool,
}

/// A source map and a target map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Pair {
    /// Global to global.
    #[serde(rename = "1t1")]
    G1t1,
    /// Global to 5×5.
    #[serde(rename = "1t5")]
    G1t5,
    /// Global to 7×7.
    #[serde(rename = "1t7")]
    G1t7,
    /// 5×5 to 5×5.
    #[serde(rename = "5t5")]
    L5t5,
    /// 5×5 to 7×7.
    #[serde(rename = "5t7")]
    L5t7,
    /// 7×7 to 7×7.
    #[serde(rename = "7t7")]
    L7t7,
}

impl Pair {
    /// Sides of the source and of the target.
    pub fn sides(self) -> (u32, u32) {
        match self {
            Self::G1t1 => (1, 1),
            Self::G1t5 => (1, 5),
            Self::G1t7 => (1, 7),
            Self::L5t5 => (5, 5),
            Self::L5t7 => (5, 7),
            Self::L7t7 => (7, 7),
        }
    }
}

/// How a local map becomes one source vector per image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceLocation {
    /// One location, drawn per image and step.
    Random,
    /// The mean over locations.
    Mean,
}

/// Which view predicts which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Directions {
    /// The mean of both directions.
    Both,
    /// View one is the source.
    OneToTwo,
    /// View two is the source.
    TwoToOne,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            tclip: 20.0,
            clip: true,
            regulariser: 0.05,
            pairs: vec![Pair::G1t5, Pair::G1t7, Pair::L5t5],
            source_location: SourceLocation::Random,
            directions: Directions::Both,
            f32_products: false,
        }
    }
}
