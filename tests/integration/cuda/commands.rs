//! What users run beside training, on the stand-in.

use super::standin::{On, amdim, on_device, standin};
use crate::{
    support::{binary::experiment, workspace::shared},
    training::assert_ok,
};
use infomax::checkpoint::read_tensors;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn run(folder: &Path, arguments: &[&str], on: On) -> Output {
    on_device(folder, arguments, on).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_trained_encoder_is_evaluated_and_embedded_as_on_the_cpu() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_ok(&amdim("evaluated", &[]).train(folder, On::Cuda, 3, &[]));
    let mut results = Vec::new();
    for (device, on) in [("train.device=cuda:0", On::Cuda), ("train.device=cpu", On::Cpu)] {
        assert_ok(&run(folder, &["evaluate", "runs/run", "--fresh", "--set", device], on));
        let evaluation = fs::read_to_string(folder.join("runs/run/evaluation.csv")).unwrap();
        assert_ok(&run(
            folder,
            &["embed", "runs/run", "--fresh", "--set", device, "--out", "features.safetensors"],
            on,
        ));
        let features = read_tensors(&fs::read(folder.join("features.safetensors")).unwrap()).unwrap().tensors;
        let features: Vec<Vec<f32>> = features
            .iter()
            .filter(|(name, _)| *name == "features")
            .map(|(_, tensor)| Vec::try_from(tensor.reshape([-1])).unwrap())
            .collect();
        assert_eq!(features.len(), 1);
        results.push((evaluation, features));
    }
    assert_eq!(results[0], results[1]);
}

#[test]
fn doctor_sees_both_devices() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // A driver is told by its files, which a namespace of its own pretends; that takes root.
    // SAFETY: asks for the user's number.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("SKIPPED: not root, so that no driver can be pretended");
        return;
    }
    let doctor = on_device(folder.path(), &["doctor"], On::Cuda);
    let mut with_driver = Command::new(shared().expect("the stand-in lies there").join("fakecuda/tools/with-driver"));
    with_driver.arg(doctor.get_program()).args(doctor.get_args()).current_dir(folder.path());
    with_driver.envs(doctor.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let told = said(&with_driver.output().expect("bash runs"));
    for line in ["2 devices", "0: 16383 of 16384 MiB free", "1: 16383 of 16384 MiB free", "NCCL               found"] {
        assert!(told.contains(line), "{line}: {told}");
    }
}

#[test]
fn selfcheck_leaves_throughput_out_where_asked() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["selfcheck", "--device", "cuda", "--no-throughput"], On::Cuda);
    let told = said(&output);
    assert!(told.contains("amdim by rows") && !told.contains("images/s"), "{told}");
    assert!(output.status.success() && told.contains("computes the right numbers"), "{told}");
}

#[test]
fn a_study_takes_turns_on_the_devices() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let base = experiment("shapes-demo");
    let study =
        format!("base = [\"{base}\"]\nbudget = {{ steps = 3 }}\nseeds = [1, 2]\n[axes]\n\"optimizer.lr\" = [0.001]\n");
    fs::write(folder.path().join("study.toml"), study).unwrap();
    let mut arguments = vec!["ablate", "run", "study.toml", "--devices", "cuda:0,cuda:1"];
    for set in [
        "dataset.config.train_length=64",
        "dataset.config.test_length=16",
        "encoder.config.ndf=4",
        "encoder.config.n_rkhs=16",
        "train.batch_size=16",
        "optimizer.warmup_steps=0",
        "evaluation.untrained=false",
    ] {
        arguments.extend(["--set", set]);
    }
    let output = run(folder.path(), &arguments, On::Cuda);
    assert_ok(&output);
    let mut devices = Vec::new();
    for entry in walk(folder.path()) {
        if entry.file_name().is_some_and(|name| name == "run.json") {
            let text = fs::read_to_string(&entry).unwrap();
            devices.extend(["Cuda(0)", "Cuda(1)"].into_iter().filter(|device| text.contains(device)));
        }
    }
    devices.sort_unstable();
    assert_eq!(devices, ["Cuda(0)", "Cuda(1)"], "{}", said(&output));
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_device_that_is_too_small_is_told_in_words() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = [("encoder.config", "{ ndf = 32, n_rkhs = 256, depth = 3 }"), ("train.batch_size", "64")];
    let output = amdim("large", &config).command(folder.path(), On::Cuda, 3, &[]);
    let output = { output }.env("FAKECUDA_MEMORY_MIB", "24").output().unwrap();
    let told = said(&output);
    assert!(!output.status.success() && told.contains("out of memory"), "{told}");
    assert!(told.contains("train.batch_size") || told.contains("accumulation_steps"), "says what to do: {told}");
}
