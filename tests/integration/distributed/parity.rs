//! Several processes compute what one does: the loss and the gradient of every parameter, of every reference loss, whole
//! and by rows, in one pass and in four; with BatchNorm over each pass's rows against one process that has the same
//! chunks, and over all rows against a plain one. Convolutions are multiplied directly: by Winograd's algorithms the last bits that
//! sums in another order differ by become ten, and of a ResNet's million ReLUs one or two flip, each a thousandth of a gradient.

use super::ranks::{as_rank, run_as_ranks};
use crate::support::workspace::built;
use infomax::{
    checkpoint::{read_tensors, write_tensors},
    config::Experiment,
    distributed::Group,
    plugin::Registry,
    selfcheck::compute,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};
use tch::{Device, Tensor};

const BATCH: usize = 64;
/// Of the largest gradient: one process sums a weight's over all images and views at once, ranks and passes over theirs.
const TOLERANCE: f64 = 2e-5;
const TOLERANCE_OF_OWN: f64 = 1e-3;
const NOTHING: f64 = 1e-4; // of the largest gradient

/// One thing that is compared.
struct Cell {
    name: String,
    encoder: Value,
    loss: Value,
    sharing: &'static str,
    passes: u64,
    sync: bool,
}

impl Cell {
    /// `local-dim` has ReLUs over the 1,600 local vectors of a view, of which one may flip within f32's rounding, and a
    /// flip is a thousandth of a gradient; where none does, it is as close as the others.
    fn tolerance(&self) -> f64 {
        if self.loss["name"] == "local-dim" { 2e-3 } else { TOLERANCE }
    }

    /// Whole or by rows, one process computes the same.
    fn name_of_one(&self) -> String {
        format!("one-{}", self.name.replace("-rows-", "-whole-"))
    }

    /// Whether one process takes the shared statistics' own code too: libtorch's BatchNorm of channels-last images, which
    /// ResNets have, is less exact than the tolerance; that of rows, which AMDIM's encoder has, is not.
    fn against_itself(&self) -> bool {
        self.sync && self.encoder["name"] != "amdim"
    }
}

/// Losses with small heads, and whether they can be computed by rows.
fn losses() -> Vec<(&'static str, Value, bool)> {
    let heads = json!({ "projector_hidden": 32, "projector_dim": 16 });
    let with = |more: Value| {
        let mut table = heads.as_object().unwrap().clone();
        table.extend(more.as_object().unwrap().clone());
        Value::Object(table)
    };
    vec![
        ("amdim", json!({}), true),
        ("nt-xent", heads.clone(), true),
        ("dcl", heads.clone(), true),
        ("moco-v2", with(json!({ "queue_size": 128 })), true),
        ("supcon", heads.clone(), true),
        ("vicreg", heads.clone(), false),
        ("barlow-twins", heads.clone(), false),
        ("byol", with(json!({ "predictor_hidden": 32 })), false),
        ("simsiam", with(json!({ "predictor_hidden": 16 })), false),
        ("align-uniform", heads.clone(), false),
        ("swav", with(json!({ "prototypes": 20, "freeze_prototypes_steps": 0 })), false),
        ("local-dim", json!({}), false),
        ("w-mse", with(json!({ "whitening_batch": 32, "whitening_rounds": 2 })), false),
        ("mmcr", heads.clone(), false),
        ("lejepa", with(json!({ "directions": 64 })), false),
        ("dino", with(json!({ "prototypes": 20, "freeze_prototypes_steps": 0 })), false),
    ]
}

fn cells(size: usize) -> Vec<Cell> {
    let amdim = json!({ "name": "amdim", "config": { "size": 32, "ndf": 4, "n_rkhs": 16, "depth": 1 } });
    let resnet = json!({ "name": "resnet18", "config": { "width": 8, "n_rkhs": 16 } });
    let mut cells = Vec::new();
    for (loss, config, by_rows) in losses() {
        let mut add = |encoder: &Value, sharing, passes, sync| {
            let name = format!("{loss}-{}-{sharing}-{passes}-{sync}", encoder["name"].as_str().unwrap());
            let loss = json!({ "name": loss, "config": config });
            cells.push(Cell { name, encoder: encoder.clone(), loss, sharing, passes, sync });
        };
        for passes in [1, 4] {
            add(&amdim, "whole", passes, false);
            if by_rows {
                add(&amdim, "rows", passes, false);
            }
        }
        if ["amdim", "moco-v2"].contains(&loss) && size == 2 {
            add(&amdim, "rows", 1, true);
            add(&resnet, "whole", 1, true);
            add(&resnet, "rows", 4, false);
        }
    }
    cells
}

/// The experiment of a cell for ranks of a group, or for one process that computes the same.
fn experiment(cell: &Cell, size: usize, alone: bool) -> Experiment {
    let plain = alone && !cell.against_itself();
    let mut batch_norm = json!({ "mode": if cell.sync && !plain { "sync" } else { "local" } });
    if alone && !cell.sync {
        batch_norm["chunk_size"] = json!(BATCH as u64 / (size as u64 * cell.passes));
    }
    let text = json!({
        "dataset": { "name": "shapes" },
        "augmentation": { "name": "amdim", "config": { "size": 32 } },
        "encoder": cell.encoder,
        "loss": cell.loss,
        "optimizer": { "name": "sgd", "momentum": 0.0, "weight_decay": 0.0 },
        "train": { "batch_size": BATCH, "accumulation_steps": if alone { 1 } else { cell.passes } },
        "distributed": { "loss": if alone { "whole" } else { cell.sharing } },
        "batch_norm": batch_norm,
    });
    serde_json::from_value(text).unwrap()
}

/// Where the plugins lie; a rank must not build them again beside the others.
fn libraries() -> PathBuf {
    let exe = std::env::current_exe().expect("a test has an executable");
    exe.ancestors().nth(2).expect("tests lie in target/<profile>/deps").to_owned()
}

/// The loss and every gradient of a step on noise, as `infomax selfcheck` computes them.
fn computed(group: &Group, experiment: &Experiment) -> Vec<(String, Tensor)> {
    let registry = Registry::search(vec![libraries()], &[], None);
    compute(group, experiment, &registry, Device::Cpu).unwrap_or_else(|error| panic!("{error}"))
}

/// What a rank does: every cell, of which rank 0 leaves the numbers.
#[test]
fn rank() {
    let Some((group, folder)) = as_rank() else { return };
    tch::set_num_threads(1);
    for cell in cells(group.size()) {
        let tensors = computed(&group, &experiment(&cell, group.size(), false));
        if group.leads() {
            leave(&folder.join(&cell.name), &tensors);
        }
    }
}

/// What the one process does; a process of its own, since other tests draw from libtorch's generator. Whole or by rows, it
/// computes the same.
#[test]
fn one() {
    let Some((group, folder)) = as_rank() else { return };
    tch::set_num_threads(1);
    let size = fs::read_to_string(folder.join("size")).unwrap().parse().unwrap();
    for cell in cells(size) {
        let file = folder.join(cell.name_of_one());
        if !file.exists() {
            let group = if cell.against_itself() { &group } else { &Group::alone() };
            leave(&file, &computed(group, &experiment(&cell, size, true)));
        }
    }
}

fn leave(file: &Path, tensors: &[(String, Tensor)]) {
    fs::write(file, write_tensors(tensors, HashMap::new()).unwrap()).unwrap();
}

/// Compares every cell: losses relative to themselves (to 1 where they are smaller), gradients to the largest one, as the
/// recorded ones are; and each tensor, but for those that are all but zero (a bias under BatchNorm has no gradient but
/// rounding), to its own largest number, which sums that cancel keep from being as exact.
fn compare(size: usize) {
    assert_eq!(built(), libraries());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("size"), size.to_string()).unwrap();
    run_as_ranks("distributed::parity::rank", size, folder.path());
    run_as_ranks("distributed::parity::one", 1, folder.path());
    let read = |name: &str| read_tensors(&fs::read(folder.path().join(name)).unwrap()).unwrap().tensors;
    for cell in cells(size) {
        let (ours, theirs) = (read(&cell.name_of_one()), read(&cell.name));
        assert_eq!(ours.len(), theirs.len(), "{}: tensors with gradients", cell.name);
        let most = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
        let is_loss = |name: &str| name.starts_with("loss") && !name.starts_with("loss.");
        let largest =
            ours.iter().filter(|(name, _)| !is_loss(name)).map(|(_, tensor)| most(tensor)).fold(0.0, f64::max);
        let (mut worst, mut worst_own) = ((0.0, ""), (0.0, ""));
        for (name, ours) in &ours {
            let difference = most(&(ours - &theirs[name]));
            let own = difference / if is_loss(name) { most(ours).max(1.0) } else { most(ours) };
            let relative = if is_loss(name) { own } else { difference / largest };
            if relative > worst.0 {
                worst = (relative, name);
            }
            if own > worst_own.0 && most(ours) > largest * NOTHING {
                worst_own = (own, name);
            }
        }
        let (all, own) = (format!("{:.1e} at {}", worst.0, worst.1), format!("{:.1e} at {}", worst_own.0, worst_own.1));
        println!("{size} ranks, {}: {all}; of a tensor's own largest {own}", cell.name);
        assert!(worst.0 < cell.tolerance(), "{size} ranks, {}: {all}", cell.name);
        assert!(worst_own.0 < TOLERANCE_OF_OWN.max(20.0 * cell.tolerance()), "{size} ranks, {}: {own}", cell.name);
    }
}

#[test]
fn two_ranks_equal_one_process_in_loss_and_every_gradient() {
    compare(2);
}

#[test]
fn four_ranks_equal_one_process_in_loss_and_every_gradient() {
    compare(4);
}
