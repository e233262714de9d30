//! Steps of other methods than AMDIM's: a ResNet-18 of full width on small images, with heads as in `configs/methods`, on noise.

use super::{
    row::{OWN, Row},
    step::measure_experiment,
};
use crate::{
    config::Experiment,
    error::{Error, Result},
    plugin::Registry,
};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::time::Duration;
use tch::Device;

/// Images of a step, unless something else is asked for.
pub const BATCH: u64 = 128;
/// Pixels of a view's side.
pub const SIZE: u32 = 32;

/// A method that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    NtXent,
    Vicreg,
    Byol,
    MocoV2,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NtXent, Self::Vicreg, Self::Byol, Self::MocoV2];

    /// The loss's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::NtXent => "nt-xent",
            Self::Vicreg => "vicreg",
            Self::Byol => "byol",
            Self::MocoV2 => "moco-v2",
        }
    }

    fn config(self) -> Value {
        match self {
            Self::NtXent => json!({ "temperature": 0.2, "projector_hidden": 2048, "projector_dim": 256 }),
            Self::Vicreg => json!({ "projector_hidden": 2048, "projector_dim": 2048 }),
            Self::Byol => json!({ "projector_hidden": 4096, "projector_dim": 256, "predictor_hidden": 4096 }),
            Self::MocoV2 => {
                json!({ "temperature": 0.2, "queue_size": 32768, "projector_hidden": 2048, "projector_dim": 256,
                                    "symmetric": true })
            }
        }
    }
}

/// Measures a method's steps.
///
/// # Errors
/// What the plugins or libtorch say.
pub fn row(registry: &Registry, device: Device, method: Method, batch: u64, enough: Duration) -> Result<Row> {
    let experiment: Experiment = serde_json::from_value(json!({
        "dataset": { "name": "shapes" },
        "augmentation": { "name": "simclr", "config": { "size": SIZE } },
        "encoder": { "name": "resnet18", "config": { "stem": "small" } },
        "loss": { "name": method.name(), "config": method.config() },
        "optimizer": { "name": "sgd", "momentum": 0.9, "weight_decay": 1e-4 },
        "train": { "batch_size": batch },
    }))
    .map_err(|error| Error::Bug { what: format!("the bench's experiment: {error}") })?;
    let measured = measure_experiment(registry, device, &experiment, SIZE, enough)?;
    Ok(Row {
        part: "methods",
        what: format!("{}, resnet18, {SIZE} px, batch {batch}", method.name()),
        by: OWN.to_owned(),
        images_per_second: Some(measured.images_per_second),
        seconds: Some(measured.seconds_per_step),
        bytes: measured.peak_bytes,
        ..Row::default()
    })
}
