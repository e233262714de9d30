//! The misbehaving fixture plugins: built once per test run, found by path, made with a fault.

use super::workspace::{built, root};
use infomax::{
    augmentation::{self, ForeignAugmentation},
    dataset::ForeignDataset,
    encoder::ForeignEncoder,
    loss::ForeignLoss,
    plugin::{Candidate, Component, Kind, PluginError, load},
};
use infomax_sdk::{EncoderInput, FeatureMap, LossInput, View, requests::Request};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

/// A fixture library's file: `faulty`, `no_entry` or `no_manifest`.
pub fn fixture(name: &str) -> PathBuf {
    static EXAMPLES: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--workspace", "--examples"]).current_dir(root());
        cargo.env("CARGO_TARGET_DIR", built().parent().expect("a profile lies in target"));
        if built().ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs").success(), "building the fixture plugins failed");
        built().join("examples")
    });
    EXAMPLES.join(format!("libinfomax_{name}.so"))
}

/// A library file, read and loaded.
///
/// # Errors
/// The host's refusal.
pub fn loaded(path: &Path) -> Result<infomax::plugin::Library, PluginError> {
    load(&Candidate::read(path, &[])?)
}

/// The faulty component of a kind.
pub fn faulty(kind: Kind) -> Component {
    let library = loaded(&fixture("faulty")).unwrap_or_else(|error| panic!("{}", error.fault()));
    Component::new(library, kind, "faulty".to_owned())
}

/// A request for a component of any kind with this config.
pub fn request(config: Value) -> Request {
    let view = |name: &str| View { name: name.to_owned(), height: 4, width: 4, group: 0 };
    let views = vec![view("one"), view("two")];
    let maps = vec![FeatureMap { name: "r1".to_owned(), channels: 4, height: 1, width: 1 }];
    Request {
        config,
        encoder: EncoderInput { views: views.clone(), eval_size: [4, 4] },
        loss: LossInput { views, maps, representation: "r1".to_owned(), class_count: Some(2) },
        device: "cpu".to_owned(),
    }
}

/// A request for the faulty component with one fault.
pub fn fault(callback: &str, fault: &str) -> Request {
    request(json!({ "callback": callback, "fault": fault, "by_hand": callback == "forward_backward" }))
}

/// A made component of any kind.
pub enum Made {
    Dataset(ForeignDataset),
    Augmentation(ForeignAugmentation),
    Encoder(ForeignEncoder),
    Loss(ForeignLoss),
}

impl Made {
    /// Describes and makes the component of a kind.
    ///
    /// # Errors
    /// What the host says.
    pub fn new(component: &Component, request: &Request) -> Result<Self, PluginError> {
        Ok(match component.kind {
            Kind::Dataset => {
                component.describe::<infomax_sdk::DatasetDescription>(request)?;
                Self::Dataset(ForeignDataset::create(component, request)?)
            }
            Kind::Augmentation => {
                augmentation::describe(component, request)?;
                Self::Augmentation(ForeignAugmentation::create(component, request)?)
            }
            Kind::Encoder => Self::Encoder(ForeignEncoder::create(component, request)?),
            Kind::Loss => Self::Loss(ForeignLoss::create(component, request)?),
        })
    }
}
