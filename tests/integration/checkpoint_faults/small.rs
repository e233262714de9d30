//! A run of a second with three checkpoints, and what its end is compared by.

use crate::{
    support::binary::{infomax, run},
    training::{arguments, assert_ok},
};
use infomax::checkpoint::CheckpointSet;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

/// Updates between two checkpoints.
pub const INTERVAL: u64 = 3;

pub const SETTINGS: [&str; 9] = [
    "train.steps=9",
    "checkpoint.every_steps=3",
    "checkpoint.keep=2",
    "evaluation.every_steps=100",
    "evaluation.mlp=false",
    "dataset.config.test_length=16",
    "train.workers=0",
    "record.plot=false",
    "record.contact_sheet=false",
];

/// Trains `runs/NAME` under some variables.
pub fn train(folder: &Path, name: &str, environment: &[(&str, &str)]) -> Output {
    infomax(folder, &arguments(name, &SETTINGS)).envs(environment.iter().copied()).output().unwrap()
}

pub fn resume(folder: &Path, name: &str) -> Output {
    run(folder, &["train", "--resume", &format!("runs/{name}")])
}

pub fn checkpoints(folder: &Path, name: &str) -> PathBuf {
    folder.join("runs").join(name).join("checkpoints")
}

/// The step of the newest valid checkpoint.
pub fn newest(folder: &Path, name: &str) -> Option<u64> {
    let (newest, _) = CheckpointSet::new(checkpoints(folder, name)).newest();
    newest.map(|newest| newest.manifest.step)
}

/// Updates that a killed run has told of.
pub fn steps_told(folder: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(folder.join("runs").join(name).join("metrics.jsonl")).unwrap_or_default();
    text.lines().filter(|line| line.contains("\"loss\"")).count() as u64
}

/// The encoder that a run ends with.
pub fn encoder(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join("runs").join(name).join("encoder.safetensors")).expect("a finished run has an encoder")
}

/// Resumes, and asserts that the run ends as the one that was never stopped.
pub fn assert_resumes(folder: &Path, name: &str, whole: &[u8], case: &str) {
    let output = resume(folder, name);
    assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(encoder(folder, name) == whole, "{case}: it ends elsewhere");
}

/// How often each operation of checkpoints happens in a run.
pub fn operations(folder: &Path) -> BTreeMap<String, u64> {
    let log = folder.join("operations");
    assert_ok(&train(folder, "counted", &[("INFOMAX_FAULT_LOG", &log.to_string_lossy())]));
    let mut counts = BTreeMap::new();
    for site in fs::read_to_string(&log).unwrap().lines() {
        *counts.entry(site.to_owned()).or_insert(0) += 1;
    }
    counts
}

/// All (site, n) of a run.
pub fn every_operation(folder: &Path) -> Vec<(String, u64)> {
    let counts = operations(folder);
    counts.into_iter().flat_map(|(site, count)| (1..=count).map(move |n| (site.clone(), n))).collect()
}
