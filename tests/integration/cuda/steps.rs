//! What one step costs the host: nothing is waited for between two rows of metrics, one upload is made, and the number of
//! operators that are launched may only fall.

use super::standin::{Case, HEAD, On, amdim, local_dim, reports, resnet, standin, total};
use crate::{
    support::figures::{figure, is_whole},
    training::assert_ok,
};
use serde_json::Value;

/// Lengths of two runs, of which one is taken off the other.
const SHORT: u64 = 4;
const LONG: u64 = 10;

/// A case, the most launches that a step may take, and whether the fast loop has it.
type Budget = (Case, i64, bool);

fn budgets() -> Vec<Budget> {
    let head = |more: &str| format!("{HEAD}{more}");
    let f16 = ("train.precision", "f16");
    vec![
        (amdim("amdim", &[]), 292, true),
        (amdim("amdim-f16", &[f16]), 345, true),
        (amdim("amdim-accumulation", &[("train.accumulation_steps", "2")]), 560, false),
        (amdim("amdim-two-ranks", &[]).on_two(), 340, true),
        (amdim("amdim-two-ranks-f16", &[f16, ("batch_norm.mode", "sync")]).on_two(), 640, false),
        (amdim("amdim-resident", &[("dataset.on_device", "always")]), 372, true),
        (resnet("nt-xent", "nt-xent", HEAD, &[]), 399, true),
        (resnet("dcl", "dcl", HEAD, &[]), 420, false),
        (resnet("supcon", "supcon", HEAD, &[]), 420, false),
        (resnet("moco-v2", "moco-v2", &head(", queue_size = 64"), &[]), 560, true),
        (resnet("byol", "byol", &head(", predictor_hidden = 32"), &[]), 543, true),
        (resnet("simsiam", "simsiam", &head(", predictor_hidden = 32"), &[]), 440, false),
        (resnet("swav", "swav", &head(", prototypes = 30"), &[]), 560, false),
        (resnet("dino", "dino", &head(", prototypes = 30"), &[]), 560, true),
        (resnet("vicreg", "vicreg", HEAD, &[]), 470, false),
        (resnet("barlow-twins", "barlow-twins", HEAD, &[]), 420, false),
        (resnet("align-uniform", "align-uniform", HEAD, &[]), 470, false),
        (resnet("w-mse", "w-mse", "projector_hidden = 32, projector_dim = 4, whitening_batch = 8", &[]), 600, true),
        (resnet("mmcr", "mmcr", HEAD, &[]), 480, true),
        (resnet("lejepa", "lejepa", HEAD, &[]), 440, true),
        (local_dim(), 346, false),
    ]
}

#[test]
fn a_step_between_logs_waits_for_nothing_and_uploads_once() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut whole = 0;
    let budgets: Vec<Budget> = budgets().into_iter().filter(|(_, _, fast)| *fast || is_whole()).collect();
    for (case, most, _) in &budgets {
        let counted = |steps: u64| -> Vec<Value> {
            let folder = folder.path().join(format!("{}-{steps}", case.name));
            assert_ok(&case.train(&folder, On::Cuda, steps, &[("train.log_every_steps", "1000")]));
            reports(&folder)
        };
        let (before, after) = (counted(SHORT), counted(LONG));
        assert_eq!((before.len(), after.len()), (case.processes, case.processes), "{}", case.name);
        let sum = |reports: &[Value], of: &dyn Fn(&Value) -> i64| reports.iter().map(of).sum::<i64>();
        let per_step = |of: &dyn Fn(&Value) -> i64| {
            let count = sum(&after, of) - sum(&before, of);
            count as f64 / ((LONG - SHORT) as f64 * case.processes as f64)
        };
        assert_eq!(per_step(&|report| total(&report["waits"])), 0.0, "{}: waits a step", case.name);
        assert_eq!(per_step(&|report| report["to_device"]["count"].as_i64().unwrap()), 1.0, "{}: uploads", case.name);
        assert_eq!(per_step(&|report| report["to_device"]["pinned"].as_i64().unwrap()), 1.0, "{}: pinned", case.name);
        let kernels = per_step(&|report| total(&report["kernels"]));
        assert!(kernels <= *most as f64, "{}: {kernels} launches a step, {most} before", case.name);
        whole += 1;
    }
    figure("CUDA", "steps that wait for nothing", whole, budgets.len());
}
