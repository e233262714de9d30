//! A run that stops anywhere and goes on is the run that never stopped, to the byte.

use crate::{
    support::{
        binary::run,
        figures::{figure, sampled},
    },
    training::{assert_ok, assert_same, train},
};
use std::{fs, path::Path};

const LAST: u64 = 14;

/// Takes a run back to a step, as if it had been killed right after that checkpoint.
pub fn cut(run: &Path, step: u64) {
    for entry in fs::read_dir(run.join("checkpoints")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().into_owned() > format!("step-{step:09}") {
            fs::remove_dir_all(path).unwrap();
        }
    }
    let _ = fs::remove_file(run.join("encoder.safetensors"));
}

/// A copy of a run under another name.
pub fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// Six steps an epoch (96 images in batches of 16), a test every five: checkpoints after every step lie on both edges. Every
/// stage of the flow has state here: momentum encoder, queue and predictor are in `reference::resume`.
#[test]
fn t11_a_run_goes_on_from_every_step_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let every = ["checkpoint.every_steps=1", "checkpoint.keep=100"];
    let mut cases: Vec<(usize, u64)> = Vec::new();
    for (threads, name) in [(1, "one"), (2, "two")] {
        let threads_set = format!("train.threads={threads}");
        let settings = [every.as_slice(), &[threads_set.as_str()]].concat();
        assert_ok(&train(folder.path(), name, &settings));
        cases.extend((0..LAST).map(|step| (threads, step)));
    }
    let cases = sampled("t11", cases);
    for &(threads, step) in &cases {
        let whole = runs.join(if threads == 1 { "one" } else { "two" });
        let again = runs.join(format!("{threads}-{step}"));
        copy(&whole, &again);
        cut(&again, step);
        assert_ok(&run(folder.path(), &["train", "--resume", &again.to_string_lossy()]));
        assert_same(&whole, &again);
        fs::remove_dir_all(again).unwrap();
    }
    figure("T11", "resumed bit-equal", cases.len(), cases.len());
}

#[test]
fn t12_a_run_goes_on_with_other_workers_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    assert_ok(&train(folder.path(), "whole", &["train.workers=1"]));
    let counts = ["0", "1", "4"];
    for workers in counts {
        let again = runs.join(workers);
        copy(&runs.join("whole"), &again);
        cut(&again, 4);
        let workers = format!("train.workers={workers}");
        assert_ok(&run(folder.path(), &["train", "--resume", &again.to_string_lossy(), "--set", &workers]));
        assert_same(&runs.join("whole"), &again);
    }
    figure("T12", "worker counts that end alike", counts.len(), counts.len());
}

#[test]
fn t16_edges_of_a_schedule_have_a_defined_end() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    // One step; a warm-up of all steps; a test and a checkpoint after every step.
    assert_ok(&train(folder.path(), "one", &["train.steps=1", "optimizer.warmup_steps=1"]));
    assert_ok(&train(folder.path(), "warm", &["optimizer.warmup_steps=14"]));
    assert_ok(&train(folder.path(), "often", &["evaluation.every_steps=1", "checkpoint.every_steps=1"]));
    // No step at all is refused by the config's range.
    let none = train(folder.path(), "none", &["train.steps=0"]);
    assert_eq!(none.status.code(), Some(2));
    // From the last step there is nothing to do; with more steps there is.
    for (name, set) in [("one", "train.steps=1"), ("one", "train.steps=3")] {
        let path = runs.join(name);
        assert_ok(&run(folder.path(), &["train", "--resume", &path.to_string_lossy(), "--set", set]));
    }
    assert!(runs.join("one/checkpoints/step-000000003").is_dir());
    // A run that was killed between its last checkpoint and its end comes to its end.
    fs::remove_file(runs.join("warm/encoder.safetensors")).unwrap();
    assert_ok(&run(folder.path(), &["train", "--resume", "runs/warm"]));
    assert!(runs.join("warm/encoder.safetensors").is_file());
    figure("T16", "edges with a defined end", 6, 6);
}

/// A line that was being written when the process was killed goes, and so do steps that the checkpoint does not know.
#[test]
fn t17_a_torn_line_of_metrics_is_dropped_and_no_step_told_twice() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    assert_ok(&train(folder.path(), "whole", &[]));
    let text = fs::read_to_string(runs.join("whole/metrics.jsonl")).unwrap();
    let after = text.find("{\"step\":9,").unwrap();
    let cuts: Vec<usize> = sampled("t17", (after..text.len()).step_by(7).collect());
    for &length in &cuts {
        let again = runs.join("again");
        copy(&runs.join("whole"), &again);
        cut(&again, 8);
        fs::write(again.join("metrics.jsonl"), &text[..length]).unwrap();
        assert_ok(&run(folder.path(), &["train", "--resume", "runs/again"]));
        assert_same(&runs.join("whole"), &again);
        fs::remove_dir_all(again).unwrap();
    }
    figure("T17", "torn files told once", cuts.len(), cuts.len());
}
