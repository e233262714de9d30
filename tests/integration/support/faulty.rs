//! The misbehaving fixture plugins: built once per test run, found by path, made with a fault.

use super::{
    binary::infomax,
    workspace::{self, built, root},
};
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
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

/// A fixture library's file: `faulty`, `no_entry` or `no_manifest`.
pub fn fixture(name: &str) -> PathBuf {
    static EXAMPLES: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut cargo = workspace::cargo();
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
        encoder: EncoderInput { views: views.clone(), eval_size: [4, 4], ..EncoderInput::default() },
        loss: LossInput { views, maps, representation: "r1".to_owned(), class_count: Some(2) },
        device: "cpu".to_owned(),
    }
}

/// A request for the faulty component with one fault.
pub fn fault(callback: &str, fault: &str) -> Request {
    request(json!({ "callback": callback, "fault": fault, "by_hand": callback == "forward_backward" }))
}

/// Ten updates on the faulty encoder and the faulty loss, found by their path.
const EXPERIMENT: &str = r#"
[dataset]
name = "shapes"
config = { train_length = 64, test_length = 16 }
[augmentation]
name = "amdim"
config = { size = 32 }
[encoder]
name = "faulty"
[loss]
name = "faulty"
[optimizer]
lr = 1e-3
warmup_steps = 0
milestones = []
[train]
steps = 10
batch_size = 8
threads = 1
device = "cpu"
log_every_steps = 1
[evaluation]
mlp = false
untrained = false
[checkpoint]
every_steps = 1
keep = 100
[record]
plot = false
contact_sheet = false
report = false
"#;

/// Writes [`EXPERIMENT`] into `experiment.toml`, with TOML laid over its tables; an empty text takes a key away.
pub fn experiment(folder: &Path, changes: &str) {
    let mut tables: toml::Table = EXPERIMENT.parse().expect("TOML");
    for kind in ["encoder", "loss"] {
        let path = fixture("faulty").to_string_lossy().into_owned();
        tables[kind].as_table_mut().expect("a table").insert("path".to_owned(), path.into());
    }
    let changes = changes.parse().unwrap_or_else(|error| panic!("{changes}: {error}"));
    lay_over(&mut tables, changes);
    fs::write(folder.join("experiment.toml"), tables.to_string()).expect("the experiment is written");
}

fn lay_over(tables: &mut toml::Table, changes: toml::Table) {
    for (key, value) in changes {
        match (tables.get_mut(&key), value) {
            (Some(toml::Value::Table(table)), toml::Value::Table(changes)) => lay_over(table, changes),
            (_, toml::Value::String(text)) if text.is_empty() => drop(tables.remove(&key)),
            (_, value) => drop(tables.insert(key, value)),
        }
    }
}

/// Training on `experiment.toml`, with settings beside it.
pub fn training(folder: &Path, name: &str, more: &[&str]) -> Command {
    let record = format!("record.name={name}");
    let settings = std::iter::once(record.as_str()).chain(more.iter().copied());
    let arguments: Vec<&str> = settings.flat_map(|setting| ["--set", setting]).collect();
    infomax(folder, &[&["train", "experiment.toml"], &arguments[..]].concat())
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
