//! A method on a few drawn shapes: seconds on one core.

use crate::support::{
    binary::{errors, run},
    workspace::root,
};
use serde_json::Value;
use std::{fs, path::Path, process::Output};

/// What makes any method small; the encoder and the heads come from the test.
const SMALL: &[&str] = &[
    "dataset.config.train_length=64",
    "dataset.config.test_length=32",
    "train.batch_size=16",
    "train.steps=4",
    "train.log_every_steps=1",
    "train.device=cpu",
    "train.threads=1",
    "train.workers=0",
    "optimizer.warmup_steps=1",
    "evaluation.every_steps=100",
    "evaluation.untrained=false",
    "checkpoint.every_steps=2",
    "checkpoint.keep=10",
    "record.contact_sheet=false",
    "record.plot=false",
];

/// A shipped method on the dataset `shapes`, as `name.toml` of the folder; what it is set to stands behind `SMALL`.
pub fn train(folder: &Path, name: &str, method: &str, settings: &[&str]) -> Output {
    let fragment = |path: &str| root().join("configs").join(path).display().to_string();
    let text = format!("extends = [{:?}, {:?}]\n", fragment(&format!("methods/{method}")), fragment("datasets/shapes"));
    fs::write(folder.join(format!("{name}.toml")), text).unwrap();
    let (file, record) = (format!("{name}.toml"), format!("record.name={name}"));
    let mut arguments = vec!["train", &file, "--set", &record];
    arguments.extend(SMALL.iter().chain(settings).flat_map(|setting| ["--set", setting]));
    run(folder, &arguments)
}

/// Asserts that a run ended well.
pub fn assert_ok(output: &Output, folder: &Path) {
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}\n{}", errors(output, folder));
}

/// The rows of a run's metrics, without what depends on the clock.
pub fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    let row = |line: &str| {
        let mut row: Value = serde_json::from_str(line).expect("JSON");
        for key in ["seconds", "images_per_second", "waiting_for_data", "checkpoint_stall_seconds"] {
            row.as_object_mut().expect("an object").remove(key);
        }
        row
    };
    text.lines().map(row).collect()
}

/// A run's losses, each of them a number.
pub fn losses(run: &Path) -> Vec<f64> {
    let rows = metrics(run);
    rows.iter().filter_map(|row| row.get("loss")).map(|loss| loss.as_f64().expect("a finite loss")).collect()
}
