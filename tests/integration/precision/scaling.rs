//! T05: overflows of gradients under f16, injected and real, through the real binary.

use crate::{
    support::{
        binary::{errors, run},
        faulty::{self, training},
    },
    training::{assert_ok, assert_same, metrics, train},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

/// A run under f16 whose loss gives infinite gradients at some of twelve steps.
struct Overflows {
    folder: tempfile::TempDir,
    output: Output,
}

impl Overflows {
    fn at(steps: &[u64], more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let changes = format!(
            r#"
loss.config = {{ by_hand = true, overflow_steps = {steps:?} }}
train = {{ steps = 12, precision = "f16", max_skipped_steps_in_a_row = 2 }}
evaluation.linear = false
"#
        );
        faulty::experiment(folder.path(), &changes);
        let output = training(folder.path(), "run", more).output().unwrap();
        Self { folder, output }
    }

    fn run(&self) -> PathBuf {
        self.folder.path().join("runs/run")
    }

    /// The scale that each step used.
    fn scales(&self) -> Vec<f64> {
        self.steps().iter().map(|row| row["loss_scale"].as_f64().unwrap()).collect()
    }

    /// The rows of steps, without those of tests.
    fn steps(&self) -> Vec<Value> {
        metrics(&self.run()).into_iter().filter(|row| row.get("loss").is_some()).collect()
    }

    fn skipped(&self) -> u64 {
        self.steps().last().unwrap()["skipped_steps"].as_f64().unwrap() as u64
    }
}

fn state(run: &Path, step: u64) -> Value {
    let path = run.join(format!("checkpoints/step-{step:09}/state.json"));
    serde_json::from_slice(&fs::read(&path).unwrap()).unwrap()
}

#[test]
fn t05_one_overflow_skips_one_step_and_halves() {
    let run = Overflows::at(&[3], &["train.loss_scale.initial=1024", "train.loss_scale.growth_every_steps=4"]);
    assert_ok(&run.output);
    // Three good steps and the overflow, four good ones, growth.
    let expected = [1024.0; 4].into_iter().chain([512.0; 4]).chain([1024.0; 4]);
    assert_eq!(run.scales(), expected.collect::<Vec<_>>());
    assert_eq!(run.skipped(), 1);
    let row = &run.steps()[3];
    assert!(row["gradient_norm"].is_null() && row["loss"].is_f64(), "{row}");
    // Eight good steps after the overflow: the scale has just grown a second time.
    let saved = state(&run.run(), 12);
    assert_eq!((&saved["loss_scale"]["scale"], &saved["skipped"]), (&Value::from(2048.0), &Value::from(1)));
}

#[test]
fn t05_alternating_overflows_are_each_counted_and_never_end_the_run() {
    let steps: Vec<u64> = (0..12).step_by(2).collect();
    let run = Overflows::at(&steps, &["train.max_skipped_steps_in_a_row=0"]);
    assert_ok(&run.output);
    let expected = (0..12).map(|step: i32| 65536.0 / 2f64.powi((step + 1) / 2));
    assert_eq!(run.scales(), expected.collect::<Vec<_>>());
    assert_eq!(run.skipped(), steps.len() as u64);
}

#[test]
fn t05_permanent_overflow_falls_to_the_floor_and_exits_6() {
    let run = Overflows::at(&(0..12).collect::<Vec<_>>(), &["train.loss_scale.initial=8"]);
    assert_eq!(run.output.status.code(), Some(6), "{}", errors(&run.output, run.folder.path()));
    // At the floor the limit of two counts; the third skip there ends the run before its metrics are written.
    assert_eq!(run.scales(), [8.0, 4.0, 2.0, 1.0, 1.0]);
    assert_eq!(run.skipped(), 5);
    let text = errors(&run.output, run.folder.path());
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("error")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    error: `gradient_norm` was not finite in 3 steps in a row
      at: step 5, loss `faulty`
    hint: the loss scale is at `train.loss_scale.floor`: lower `optimizer.lr`, or use `bf16`; the first such batch is in runs/run/nonfinite-step-3.safetensors
    ");
    assert!(run.run().join("nonfinite-step-3.safetensors").exists());
}

#[test]
fn t05_a_skipped_step_changes_no_parameter() {
    let all = Overflows::at(&(0..12).collect::<Vec<_>>(), &["train.loss_scale.initial=65536"]);
    assert_ok(&all.output);
    assert_eq!(all.skipped(), 12);
    let one = Overflows::at(&(0..12).collect::<Vec<_>>(), &["train.steps=1"]);
    let encoder = |run: &Overflows| fs::read(run.run().join("encoder.safetensors")).unwrap();
    assert!(encoder(&all) == encoder(&one), "twelve skipped steps differ from one");
}

const F16: &[&str] =
    &["train.precision=f16", "train.loss_scale.initial=1073741824", "train.loss_scale.growth_every_steps=2"];

#[test]
fn t05_real_overflows_are_passed_and_a_resumed_run_has_the_same_scale() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let more = [F16, &["train.steps=28", "checkpoint.every_steps=9"]].concat();
    let more: Vec<&str> = more.into_iter().collect();
    assert_ok(&train(folder.path(), "whole", &more));
    let saved = state(&runs.join("whole"), 27);
    let scale = saved["loss_scale"]["scale"].as_f64().unwrap();
    let skipped = saved["skipped"].as_u64().unwrap();
    assert!(skipped > 5 && skipped < 27 && (1.0..1_073_741_824.0).contains(&scale), "{saved}");
    let rows = metrics(&runs.join("whole"));
    let overflowed = rows.iter().filter(|row| row.get("gradient_norm").is_some_and(Value::is_null)).count();
    assert_eq!(overflowed as u64, state(&runs.join("whole"), 28)["skipped"].as_u64().unwrap());

    assert_ok(&train(folder.path(), "cut", &more));
    for step in [27, 28] {
        fs::remove_dir_all(runs.join(format!("cut/checkpoints/step-{step:09}"))).unwrap();
    }
    assert_ok(&run(folder.path(), &["train", "--resume", "runs/cut"]));
    assert_eq!(metrics(&runs.join("whole")), metrics(&runs.join("cut")));
    assert_eq!(state(&runs.join("whole"), 28)["loss_scale"], state(&runs.join("cut"), 28)["loss_scale"]);
    let encoder = |name: &str| fs::read(runs.join(name).join("encoder.safetensors")).unwrap();
    assert!(encoder("whole") == encoder("cut"), "the resumed run ends elsewhere");
}

#[test]
fn f16_repeats_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        assert_ok(&train(folder.path(), name, F16));
    }
    assert_same(&folder.path().join("runs/a"), &folder.path().join("runs/b"));
}
