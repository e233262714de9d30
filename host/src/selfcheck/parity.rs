//! Several processes against one: the loss and every gradient of a step. The ranks are processes of this program, which a
//! supervisor starts; rank 0 leaves its numbers in a file for each cell.

use super::{Check, Options};
use crate::{
    checkpoint::{read_tensors, write_tensors},
    config::{self, Experiment},
    dataset::{TrainBatch, Views},
    distributed::{Group, Job, Place, supervise},
    error::{Error, Result},
    plugin::Registry,
    train::{Arithmetic, Model, Setup, Signals, Stepper, choose_products, device_name, meet, resolve_device},
};
use infomax_sdk::Key;
use serde_json::json;
use std::{collections::HashMap, ffi::OsString, fs, path::Path, time::Duration};
use tch::{Device, Tensor};

const BATCH: usize = 32;
/// Of the largest gradient, and of the loss.
const BOUND: f64 = 2e-5;
const TIMEOUT_SECONDS: u64 = 60;

/// Processes to compare with one.
pub struct Comparison {
    pub name: String,
    nproc: usize,
    device: config::Device,
}

/// The comparisons that a device allows.
pub fn jobs(options: &Options) -> Vec<Comparison> {
    let comparison = |name: String, nproc, device| Comparison { name, nproc, device };
    let Device::Cuda(number) = options.device else {
        let nproc = options.nproc.max(2);
        return vec![comparison(format!("{nproc} processes over gloo"), nproc, config::Device::Cpu)];
    };
    let shared = config::Device::Cuda(Some(number));
    let mut list = vec![
        comparison("1 process over NCCL".to_owned(), 1, config::Device::Cuda(None)),
        comparison("2 processes on one GPU over gloo".to_owned(), 2, shared),
    ];
    let gpus = (tch::Cuda::device_count() as usize).min(options.nproc);
    if gpus > 1 {
        list.push(comparison(format!("{gpus} GPUs over NCCL"), gpus, config::Device::Cuda(None)));
    }
    list
}

/// The experiments that are compared: what each rank computes, or what one process does instead.
fn experiments(size: usize, device: config::Device, alone: bool) -> Vec<(&'static str, Experiment)> {
    let cell = |(name, loss, sharing, mode): (&'static str, &str, &str, &str)| {
        let mut batch_norm = json!({ "mode": if alone { "local" } else { mode } });
        if alone && mode == "local" && size > 1 {
            batch_norm["chunk_size"] = json!(BATCH / size);
        }
        let experiment = json!({
            "dataset": { "name": "shapes" },
            "augmentation": { "name": "amdim", "config": { "size": 32 } },
            "encoder": { "name": "amdim", "config": { "size": 32, "ndf": 8, "n_rkhs": 32, "depth": 1 } },
            "loss": { "name": loss },
            "optimizer": { "name": "sgd", "momentum": 0.0, "weight_decay": 0.0 },
            "train": { "batch_size": BATCH, "device": device.to_string() },
            "distributed": { "loss": if alone { "whole" } else { sharing }, "timeout_seconds": TIMEOUT_SECONDS },
            "batch_norm": batch_norm,
        });
        (name, serde_json::from_value(experiment).expect("a cell is an experiment"))
    };
    let cells = [
        ("amdim by rows", "amdim", "rows", "local"),
        ("amdim whole", "amdim", "whole", "local"),
        ("amdim by rows, SyncBN", "amdim", "rows", "sync"),
        ("nt-xent by rows", "nt-xent", "rows", "local"),
    ];
    cells.into_iter().map(cell).collect()
}

/// This rank's rows of a batch of noise for two square views.
pub fn noise(group: &Group, batch: usize, side: u32, step: u64) -> TrainBatch {
    let rows = group.share(batch);
    let length = side as usize * side as usize * 3;
    let image = |view: u64, row: usize| {
        let mut state = Key::new(7).fold(step).fold(view).fold(row as u64).torch_seed() as u64;
        (0..length).map(move |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407); // Knuth's MMIX
            (state >> 56) as u8
        })
    };
    let view = |view| rows.clone().flat_map(|row| image(view, row)).collect();
    TrainBatch {
        step,
        epoch: 0,
        views: Views::Bytes(vec![view(0), view(1)]),
        labels: rows.clone().map(|row| row as i64 % 10).collect(),
        indices: rows.map(|row| row as i64).collect(),
        all_labelled: true,
    }
}

/// The loss and every gradient of a first step on noise, and the loss of the second, after an update and what follows it.
/// Weights that begin at zero are drawn, since they would hide the gradients behind them.
///
/// # Errors
/// What the plugins or libtorch say; a lost peer.
pub fn compute(
    group: &Group,
    experiment: &Experiment,
    registry: &Registry,
    device: Device,
) -> Result<Vec<(String, Tensor)>> {
    let torch = || Error::torch("prepare a comparison");
    Arithmetic::new(experiment.train.precision, device)?.switch()?;
    choose_products(experiment.train.products)?;
    let setup = Setup::new(experiment, registry, &device_name(device))?;
    let mut model = Model::new(&setup, experiment, Some(10))?;
    let views = &setup.augmentation_description;
    let stepper = Stepper::new(&model, views, experiment, group, 2)?;
    tch::manual_seed(1);
    for (_, tensor) in model.parameters()? {
        if tensor.dim() > 1 && tensor.abs().max().double_value(&[]) == 0.0 {
            let noise = (Tensor::randn(tensor.size(), (tch::Kind::Float, Device::Cpu)) * 0.05).to_device(device);
            tch::no_grad(|| tensor.shallow_clone().f_copy_(&noise)).map_err(torch())?;
        }
    }
    let (batch, side) = (experiment.train.batch_size as usize, views.views[0].height);
    let step = |model: &mut Model, number: u64| -> Result<Tensor> {
        let outcome = stepper.step(model, &noise(group, batch, side, number), 1e-2)?;
        let loss = outcome.values.iter().find(|(name, _)| name == "loss").map_or(f64::NAN, |&(_, loss)| loss);
        Ok(Tensor::from_slice(&[loss as f32]))
    };
    let first = step(&mut model, 0)?;
    let gradients = model.parameters()?.into_iter().map(|(name, tensor)| (name, tensor.grad()));
    let gradients = gradients.filter(|(_, gradient)| gradient.defined());
    let mut list: Vec<_> = gradients.map(|(name, g)| (name, g.detach().to_device(Device::Cpu).copy())).collect();
    list.push(("loss".to_owned(), first));
    list.push(("loss of the second step".to_owned(), step(&mut model, 1)?));
    Ok(list)
}

/// What a rank of a comparison does.
///
/// # Errors
/// As [`compute`].
pub fn be_rank(registry: &Registry, folder: &Path, place: &Place, device: config::Device) -> Result<()> {
    let mut group = None;
    for (number, (_, experiment)) in experiments(place.world_size, device, false).into_iter().enumerate() {
        let device = resolve_device(experiment.train.device, place.local_rank)?;
        let meeting = match &group {
            Some(meeting) => meeting,
            None => group.insert(meet(Some(place), &experiment, device, &Signals::default())?),
        };
        let group = &meeting.group;
        crate::native::set_threads(experiment.train.thread_count(meeting.cores));
        let tensors = compute(group, &experiment, registry, device)?;
        if group.leads() {
            let bytes = write_tensors(&tensors, HashMap::new())
                .map_err(|reason| Error::Bug { what: format!("can't write a comparison: {reason}") })?;
            let path = folder.join(format!("cell-{number}"));
            fs::write(&path, bytes).map_err(Error::io("write", &path))?;
        }
    }
    Ok(())
}

/// Largest differences of two lists: of the losses relative to themselves (to 1 where they are smaller), of the gradients
/// relative to the largest.
pub fn compare(ours: &[(String, Tensor)], theirs: &HashMap<String, Tensor>) -> [f64; 2] {
    let most = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    let is_loss = |name: &str| name.starts_with("loss") && !name.starts_with("loss.");
    let largest = ours.iter().filter(|(name, _)| !is_loss(name)).map(|(_, tensor)| most(tensor)).fold(0.0, f64::max);
    let mut worst = [0.0_f64; 2];
    for (name, ours) in ours {
        let Some(theirs) = theirs.get(name) else { return [f64::INFINITY; 2] };
        let difference = most(&(ours - theirs));
        if is_loss(name) {
            worst[0] = worst[0].max(difference / most(ours).max(1.0));
        } else {
            worst[1] = worst[1].max(difference / largest);
        }
    }
    worst
}

pub fn check(registry: &Registry, options: &Options, comparison: &Comparison) -> Result<Vec<Check>> {
    let Comparison { name, nproc, device } = comparison;
    let folders = std::env::join_paths(registry.folders());
    let folders = folders.map_err(|error| Error::Bug { what: format!("a plugin folder: {error}") })?;
    let arguments: Vec<OsString> = vec![
        "selfcheck".into(),
        "--rank-of".into(),
        options.folder.clone().into(),
        "--device".into(),
        device.to_string().into(),
    ];
    supervise(&Job {
        signals: &Signals::default(),
        watch: &|| Ok(()),
        arguments,
        environment: vec![("INFOMAX_PLUGIN_PATH", folders)],
        run: options.folder.clone(),
        nproc: *nproc,
        timeout: Duration::from_secs(TIMEOUT_SECONDS),
    })?;
    let mut checks = Vec::new();
    for (number, (cell, experiment)) in experiments(*nproc, *device, true).into_iter().enumerate() {
        let path = options.folder.join(format!("cell-{number}"));
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let theirs = read_tensors(&bytes).map_err(|reason| Error::Bug { what: format!("a comparison: {reason}") })?;
        let ours = compute(&Group::alone(), &experiment, registry, options.device)?;
        let [loss, gradients] = compare(&ours, &theirs.tensors.into_iter().collect());
        checks.push(Check::below(format!("{name}: loss, {cell}"), loss, BOUND, "relative difference"));
        let detail = "largest difference, of the largest gradient";
        checks.push(Check::below(format!("{name}: gradients, {cell}"), gradients, BOUND, detail));
    }
    Ok(checks)
}
