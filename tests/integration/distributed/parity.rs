//! Several processes compute what one does: the loss and the gradient of every parameter, of every reference loss, whole
//! and by rows, in one pass and in four; with BatchNorm over each pass's rows against one process that has the same
//! chunks, and over all rows against a plain one.

use super::ranks::{as_rank, run_as_ranks};
use crate::support::workspace::built;
use infomax::{
    checkpoint::{read_tensors, write_tensors},
    config::Experiment,
    dataset::TrainBatch,
    distributed::Group,
    plugin::Registry,
    train::{Model, Setup, Stepper},
};
use infomax_sdk::Key;
use serde_json::{Value, json};
use std::{collections::HashMap, fs, path::PathBuf};
use tch::{Kind, Tensor};

const BATCH: usize = 64;
const STEPS: u64 = 2; // the first update moves what was initialised as zero
const TOLERANCE: f64 = 1e-5;

/// One thing that is compared.
struct Cell {
    name: String,
    encoder: Value,
    loss: Value,
    sharing: &'static str,
    passes: u64,
    sync: bool,
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
    ]
}

fn cells(size: usize) -> Vec<Cell> {
    let amdim = json!({ "name": "amdim", "config": { "size": 32, "ndf": 4, "n_rkhs": 16, "depth": 1 } });
    let resnet = json!({ "name": "resnet18", "config": { "width": 2, "n_rkhs": 16 } });
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
    let mut batch_norm = json!({ "mode": if cell.sync && !alone { "sync" } else { "local" } });
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

/// This rank's rows of a batch of noise.
fn batch(group: &Group, step: u64) -> TrainBatch {
    let rows = group.share(BATCH);
    let key = Key::new(7).fold(step);
    let image = |view: u64, row: usize| {
        let mut rng = key.fold(view).fold(row as u64).rng();
        (0..32 * 32 * 3).map(move |_| rng.below(256) as u8)
    };
    let view = |view| rows.clone().flat_map(|row| image(view, row)).collect();
    TrainBatch {
        step,
        epoch: 0,
        views: vec![view(0), view(1)],
        labels: rows.clone().map(|row| row as i64 % 10).collect(),
        indices: rows.map(|row| row as i64).collect(),
    }
}

/// Where the plugins lie; a rank must not build them again beside the others.
fn libraries() -> PathBuf {
    let exe = std::env::current_exe().expect("a test has an executable");
    exe.ancestors().nth(2).expect("tests lie in target/<profile>/deps").to_owned()
}

/// The loss and every gradient of the last of some steps.
fn computed(group: &Group, experiment: &Experiment) -> Vec<(String, Tensor)> {
    let registry = Registry::search(vec![libraries()], &[], None);
    let setup = Setup::new(experiment, &registry, "cpu").unwrap_or_else(|error| panic!("{error}"));
    let mut model = Model::new(&setup, experiment, Some(10)).unwrap_or_else(|error| panic!("{error}"));
    let views = &setup.augmentation_description;
    let stepper = Stepper::new(&model, views, experiment, group, STEPS).unwrap_or_else(|error| panic!("{error}"));
    let mut loss = f64::NAN;
    for step in 0..STEPS {
        let outcome = stepper.step(&mut model, &batch(group, step), 1e-2).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(outcome.skipped, None);
        loss = outcome.values.iter().find(|(name, _)| name == "loss").unwrap().1;
    }
    let mut list = vec![("loss".to_owned(), Tensor::from_slice(&[loss as f32]))];
    let gradients = model.parameters().unwrap().into_iter().map(|(name, tensor)| (name, tensor.grad()));
    list.extend(gradients.filter(|(_, gradient)| gradient.defined()));
    list.into_iter().map(|(name, tensor)| (name, tensor.detach().contiguous())).collect()
}

/// What a rank does: every cell, of which rank 0 leaves the numbers.
#[test]
fn rank() {
    let Some((group, folder)) = as_rank() else { return };
    tch::set_num_threads(1);
    for cell in cells(group.size()) {
        let tensors = computed(&group, &experiment(&cell, group.size(), false));
        if group.leads() {
            fs::write(folder.join(&cell.name), write_tensors(&tensors, HashMap::new()).unwrap()).unwrap();
        }
    }
}

/// The largest difference of each cell, relative to the largest number of its tensor.
fn compare(size: usize) {
    assert_eq!(built(), libraries());
    let folder = tempfile::tempdir().unwrap();
    run_as_ranks("distributed::parity::rank", size, folder.path());
    tch::set_num_threads(1);
    let mut ones: HashMap<String, Vec<(String, Tensor)>> = HashMap::new();
    for cell in cells(size) {
        let theirs = read_tensors(&fs::read(folder.path().join(&cell.name)).unwrap()).unwrap().tensors;
        // Whole or by rows, one process computes the same.
        let key = cell.name.replace("-rows-", "-whole-");
        let ours = ones.entry(key).or_insert_with(|| computed(&Group::alone(), &experiment(&cell, size, true)));
        assert_eq!(ours.len(), theirs.len(), "{}: tensors with gradients", cell.name);
        let mut worst = (0.0, "");
        for (name, ours) in ours.iter() {
            let theirs = &theirs[name];
            let scale = ours.abs().max().double_value(&[]).max(1e-3);
            let difference = (ours - theirs).abs().max().to_kind(Kind::Double).double_value(&[]) / scale;
            if difference > worst.0 {
                worst = (difference, name);
            }
        }
        println!("{size} ranks, {}: {:.1e} at {}", cell.name, worst.0, worst.1);
        assert!(worst.0 < TOLERANCE, "{size} ranks, {}: {:.1e} at `{}`", cell.name, worst.0, worst.1);
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
