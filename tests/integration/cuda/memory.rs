//! A GPU's memory: what a step needs is told before it is made, and a checkpoint is one batch of copies that no step waits for.

use super::standin::{Case, On, amdim, case, on_device, reports, resnet, standin};
use crate::{support::figures::figure, support::workspace::root, training::assert_ok};
use std::{fs, path::Path};

const HEAD: &str = "projector_hidden = 512, projector_dim = 64";
/// How far what is told may lie from what the allocator saw.
const APART: f64 = 0.1;

/// Wide enough that what doesn't grow with the network is little of it.
fn cases() -> Vec<Case> {
    let own = [("encoder.config", "{ ndf = 32, n_rkhs = 256, depth = 3 }")];
    let wide = [("encoder.config", "{ stem = \"small\", width = 16 }")];
    let heads = [("encoder.name", "resnet18"), ("encoder.config", "{ stem = \"small\", width = 16, n_rkhs = 128 }")];
    let predictor = format!("{HEAD}, predictor_hidden = 512");
    let at = |batch: &'static str| [("train.batch_size", batch)];
    vec![
        amdim("amdim-16", &[&own[..], &at("16")].concat()),
        amdim("amdim-48", &[&own[..], &at("48")].concat()),
        amdim("amdim-bf16", &[&own[..], &at("32"), &[("train.precision", "bf16")]].concat()),
        amdim("amdim-accumulation", &[&own[..], &at("64"), &[("train.accumulation_steps", "2")]].concat()),
        case("amdim-resnet18", "amdim", &[&heads[..], &at("32")].concat()),
        resnet("nt-xent-16", "nt-xent", HEAD, &[&wide[..], &at("16")].concat()),
        resnet("nt-xent-48", "nt-xent", HEAD, &[&wide[..], &at("48")].concat()),
        resnet("byol-16", "byol", &predictor, &[&wide[..], &at("16")].concat()),
        resnet("byol-48", "byol", &predictor, &[&wide[..], &at("48")].concat()),
    ]
}

/// `about 57.2 MiB` as bytes.
fn told_bytes(line: &str) -> f64 {
    let mut words = line.split_once("about ").expect("says how much").1.split(' ');
    let number: f64 = words.next().unwrap().parse().unwrap();
    number * if words.next() == Some("GiB") { (1u64 << 30) as f64 } else { (1u64 << 20) as f64 }
}

#[test]
fn what_a_step_needs_is_told_before_it_within_a_tenth() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut near, all) = (0, cases());
    for case in &all {
        let folder = folder.path().join(case.name);
        let output = case.train(&folder, On::Cuda, 2, &[("dataset.on_device", "never")]);
        assert_ok(&output);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = said.lines().position(|line| line.starts_with("memory of a step: about")).expect("is told");
        assert!(said.lines().position(|line| line.starts_with("step 1")) > Some(told), "before the first step: {said}");
        assert!(said.contains("cuda:0 has"), "{said}");
        let told = told_bytes(said.lines().nth(told).unwrap());
        let seen = reports(&folder)[0]["memory"][0]["bytes_peak"].as_f64().unwrap();
        assert!((told / seen - 1.0).abs() <= APART, "{}: told {told}, the allocator saw {seen}", case.name);
        near += 1;
    }
    figure("CUDA", "memory of a step told within a tenth", near, all.len());
}

#[test]
fn a_step_that_will_not_fit_is_told_before_it_with_what_to_lower() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = [("encoder.config", "{ ndf = 32, n_rkhs = 256, depth = 3 }"), ("train.batch_size", "64")];
    let mut command = amdim("large", &config).command(folder.path(), On::Cuda, 3, &[]);
    let output = command.env("FAKECUDA_MEMORY_MIB", "64").output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = said.lines().find(|line| line.contains("a step needs about")).unwrap_or_else(|| panic!("{said}"));
    assert!(told.contains("raise `train.accumulation_steps` (now 1) or lower `train.batch_size`"), "{told}");
}

#[test]
fn a_study_s_plan_tells_what_a_step_needs_and_which_cells_lack_memory() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = |name: &str| root().join(format!("configs/{name}.toml")).display().to_string();
    let text = format!(
        "base = [{:?}, {:?}]\nseeds = [0]\n[budget]\nsteps = 2\n[axes]\n\"train.batch_size\" = [16, 1024]\n\
         [config]\ntrain.device = \"cuda\"\nencoder.config = {{ ndf = 32, n_rkhs = 256, depth = 3 }}\n\
         optimizer.warmup_steps = 0\n",
        config("methods/amdim"),
        config("datasets/shapes"),
    );
    fs::write(folder.path().join("study.toml"), text).unwrap();
    let mut command = on_device(folder.path(), &["ablate", "plan", "study.toml"], On::Cuda);
    let output = command.env("FAKECUDA_MEMORY_MIB", "512").output().unwrap();
    assert_ok(&output);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.matches("MiB of a GPU").count() + said.matches("GiB of a GPU").count(), 2, "{said}");
    assert!(said.contains("warning: cell 2: a step needs about"), "{said}");
}

#[test]
fn a_checkpoint_is_copied_without_a_wait_and_is_what_the_run_ends_with() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, every: &str| {
        let folder = folder.path().join(name);
        let more = [("checkpoint.every_steps", every), ("train.log_every_steps", "1")];
        assert_ok(&amdim("amdim", &[("train.precision", "f16")]).train(&folder, On::Cuda, 6, &more));
        let report = reports(&folder).remove(0);
        (report["waits"].clone(), report["to_host"].clone(), folder.join("runs/run"))
    };
    let (rarely, of_few, _) = run("rarely", "6");
    let (often, of_many, at) = run("often", "1");
    assert_eq!(often["read"], rarely["read"], "training waits for the values of a row alone");
    let copies = |of: &serde_json::Value, key: &str| of[key].as_i64().unwrap();
    let more = copies(&of_many, "count") - copies(&of_few, "count");
    assert!(more > 100, "five more checkpoints: {more} copies");
    assert_eq!(copies(&of_many, "pinned") - copies(&of_few, "pinned"), more);
    assert_eq!(copies(&of_many, "non_blocking") - copies(&of_few, "non_blocking"), more);
    let bytes = |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let last = at.join("checkpoints/step-000000006/encoder.safetensors");
    assert_eq!(bytes(&at.join("encoder.safetensors")), bytes(&last));
}

#[test]
fn a_resnet_with_heads_repeats_itself_on_a_gpu() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let heads = [("encoder.config", "{ stem = \"small\", width = 8, n_rkhs = 32 }"), ("train.deterministic", "true")];
    let local = ("loss.config", "{ estimator = \"nce\", embedding_hidden = 32, embedding_dim = 16 }");
    let cases = [
        case("amdim", "amdim", &[&heads[..], &[("encoder.name", "resnet18")]].concat()),
        case("local-dim", "local-dim", &[&heads[..], &[local]].concat()),
    ];
    for case in cases {
        assert_ok(&case.train(&folder.path().join(case.name), On::Cuda, 3, &[]));
    }
}
