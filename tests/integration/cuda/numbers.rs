//! Runs on the stand-in give the CPU's numbers.

use super::standin::{Case, HEAD, On, amdim, resnet, standin, vit};
use crate::{
    support::figures::{figure, is_whole},
    training::{assert_ok, metrics},
};
use serde_json::Value;

/// Of values whose sums are made in another order; gradients and updates are equal to the bit.
const TOLERANCE: f64 = 1e-6;

/// A case, where it runs, and whether the fast loop has it.
fn cases() -> Vec<(Case, On, bool)> {
    let f16 = ("train.precision", "f16");
    let sync = ("batch_norm.mode", "sync");
    vec![
        (amdim("amdim", &[]), On::Cuda, true),
        (amdim("overflow", &[f16, ("train.loss_scale.initial", "1e12")]), On::Cuda, true),
        (amdim("accumulation", &[("train.accumulation_steps", "2"), f16]), On::Cuda, true),
        (amdim("chunks", &[("batch_norm.chunk_size", "8")]), On::Cuda, false),
        (amdim("deterministic", &[("train.deterministic", "true")]), On::Cuda, false),
        (amdim("classifiers", &[("train.stage", "classifiers")]), On::Cuda, true),
        (amdim("finetune", &[("train.stage", "finetune")]), On::Cuda, true),
        (amdim("nccl-sync", &[sync]).on_two(), On::Cuda, true),
        (amdim("gloo-on-one-gpu", &[]).on_two(), On::OneCuda, true),
        (resnet("nt-xent", "nt-xent", HEAD, &[]), On::Cuda, true),
        (resnet("byol", "byol", &format!("{HEAD}, predictor_hidden = 32"), &[]), On::Cuda, true),
        (resnet("byol-nccl", "byol", &format!("{HEAD}, predictor_hidden = 32"), &[]).on_two(), On::Cuda, false),
        (resnet("moco-v2", "moco-v2", &format!("{HEAD}, queue_size = 64"), &[f16]), On::Cuda, true),
        (resnet("swav", "swav", &format!("{HEAD}, prototypes = 30"), &[]), On::Cuda, false),
        (resnet("dino", "dino", &format!("{HEAD}, prototypes = 30"), &[]), On::Cuda, true),
        (resnet("vicreg", "vicreg", HEAD, &[]), On::Cuda, false),
        (resnet("mmcr", "mmcr", HEAD, &[]), On::Cuda, false),
        (resnet("lejepa", "lejepa", HEAD, &[]), On::Cuda, false),
        (vit(), On::Cuda, true),
    ]
}

#[test]
fn runs_on_the_stand_in_give_the_cpus_numbers() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cases: Vec<_> = cases().into_iter().filter(|(_, _, fast)| *fast || is_whole()).collect();
    for (case, on, _) in &cases {
        let rows = |on: On| {
            let folder = folder.path().join(format!("{}-{on:?}", case.name));
            let output = case.train(&folder, on, 6, &[("train.log_every_steps", "1")]);
            assert_ok(&output);
            metrics(&folder.join("runs/run"))
        };
        assert_near(case.name, &rows(*on), &rows(On::Cpu));
    }
    figure("CUDA", "runs equal to the CPU's", cases.len(), cases.len());
}

/// Values are read every third step: what was withheld meanwhile is told, and the numbers are the same.
#[test]
fn values_that_are_read_late_are_the_same_ones() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let overflow = amdim("late", &[("train.precision", "f16"), ("train.loss_scale.initial", "1e9")]);
    let rows = |name: &str, every: &str| {
        let folder = folder.path().join(name);
        assert_ok(&overflow.train(&folder, On::Cuda, 24, &[("train.log_every_steps", every)]));
        let mut rows = metrics(&folder.join("runs/run"));
        rows.retain(|row| row["loss"].is_number()); // not those of tests
        rows
    };
    let (each, late) = (rows("each", "1"), rows("late", "6"));
    let skipped = each.iter().filter(|row| row["gradient_norm"].is_null()).count();
    assert!((1..24).contains(&skipped), "the scale overflows, and comes to its place: {each:?}");
    // Rows of skipped steps and of every sixth stand in both.
    let of_step = |rows: &[Value], step: u64| rows.iter().find(|row| row["step"] == step).cloned();
    for row in &late {
        assert_eq!(of_step(&each, row["step"].as_u64().unwrap()).as_ref(), Some(row));
    }
    assert!(
        late.len() < each.len() && of_step(&late, 1).is_some(),
        "the first step overflows, which is told: {late:?}"
    );
}

/// The batch of a step that updated nothing is made again when that is heard of, also of images that stay on the device.
#[test]
fn the_batch_of_a_skipped_step_is_kept_as_the_run_saw_it() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("train.precision", "f16"),
        ("train.loss_scale.initial", "1e9"),
        ("train.loss_scale.floor", "1e9"),
        ("train.max_skipped_steps_in_a_row", "2"),
    ];
    let kept = |name: &str, on_device: &str| {
        let folder = folder.path().join(name);
        let output = amdim("skipped", &settings).train(&folder, On::Cuda, 12, &[("dataset.on_device", on_device)]);
        assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read(folder.join("runs/run/nonfinite-step-0.safetensors")).unwrap()
    };
    assert!(kept("read", "never") == kept("there", "always"), "the same views, labels and positions");
}

/// A run begun on one device goes on on the other as if nothing had been.
#[test]
fn a_run_goes_on_on_the_other_device() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let case = resnet("resumed", "nt-xent", HEAD, &[]);
    let every = [("train.log_every_steps", "1"), ("checkpoint.every_steps", "3"), ("optimizer.schedule", "milestones")];
    let whole = folder.path().join("whole");
    assert_ok(&case.train(&whole, On::Cpu, 6, &every));
    for (first, second) in [(On::Cpu, On::Cuda), (On::Cuda, On::Cpu)] {
        let folder = folder.path().join(format!("{first:?}"));
        assert_ok(&case.train(&folder, first, 3, &every));
        let device = if second == On::Cpu { "train.device=cpu" } else { "train.device=cuda:0" };
        let arguments = ["train", "--resume", "runs/run", "--set", "train.steps=6", "--set", device];
        assert_ok(&super::standin::on_device(&folder, &arguments, second).output().unwrap());
        let (own, expected) = (metrics(&folder.join("runs/run")), metrics(&whole.join("runs/run")));
        let steps =
            |rows: &[Value]| -> Vec<Value> { rows.iter().filter(|row| row["loss"].is_number()).cloned().collect() };
        assert_near("resumed", &steps(&own), &steps(&expected));
    }
}

pub(crate) fn assert_near(name: &str, own: &[Value], expected: &[Value]) {
    // Attention takes the plain way there, and another on the CPU.
    let tolerance = if name == "vit-tiny" { 1e-4 } else { TOLERANCE };
    assert_eq!(own.len(), expected.len(), "{name}: rows");
    for (own, expected) in own.iter().zip(expected) {
        let (own, expected) = (own.as_object().unwrap(), expected.as_object().unwrap());
        assert_eq!(own.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{name}");
        for (key, value) in own {
            let (Some(a), Some(b)) = (value.as_f64(), expected[key].as_f64()) else {
                assert_eq!(value, &expected[key], "{name}: {key}");
                continue;
            };
            let off = (a - b).abs() / b.abs().max(1e-6);
            assert!(off <= tolerance, "{name}, step {}: {key} {a} instead of {b}", own["step"]);
        }
    }
}
