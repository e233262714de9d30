//! A run goes on only as what it was: settings, builds and data that changed are told, each with both values.

use super::exact::{copy, cut};
use crate::{
    support::{
        binary::{errors, run},
        figures::figure,
    },
    training::{assert_ok, train},
};
use std::{fs, path::Path, process::Output};

fn resume(folder: &Path, arguments: &[&str]) -> Output {
    run(folder, &[&["train", "--resume", "runs/run"], arguments].concat())
}

/// A finished run taken back to its eighth step.
fn half_done() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &[]));
    cut(&folder.path().join("runs/run"), 8);
    folder
}

#[test]
fn k15_settings_that_decide_the_result_are_refused_by_name_with_both_values() {
    let folder = half_done();
    let output = resume(
        folder.path(),
        &["--set", "optimizer.lr=0.5", "--set", "loss.config.tclip=10.0", "--set", "train.steps=20"],
    );
    assert_eq!(output.status.code(), Some(5));
    insta::assert_snapshot!(errors(&output, folder.path()), @r"
    error: 2 of the run's settings are others now:
      `loss.config.tclip`: 20.0 then, 10.0 now
      `optimizer.lr`: 0.001 then, 0.5 now
      at: runs/run
    hint: begin another run with them, or go on all the same with `--override loss.config.tclip --override optimizer.lr`
    ");
    let before = fs::read_to_string(folder.path().join("runs/run/config.toml")).unwrap();
    assert!(before.contains("steps = 14") && !before.contains("lr = 0.5"), "nothing was changed");
}

/// Each key, changed alone: refused where it decides the result, accepted and then done where it does not.
#[test]
fn k15_each_kind_of_setting_is_refused_or_followed() {
    let folder = half_done();
    let runs = folder.path().join("runs");
    fs::rename(runs.join("run"), runs.join("half")).unwrap();
    let fixed = [
        "train.seed=9",
        "train.batch_size=32",
        "train.precision=bf16",
        "train.accumulation_steps=2",
        "train.stage=finetune",
        "optimizer.weight_decay=0.5",
        "evaluation.mlp=false",
        "evaluation.holdout_fraction=0.5",
        "encoder.config.ndf=8",
        "loss.config.tclip=10.0",
        "augmentation.config.grayscale_probability=0.5",
        "dataset.config.train_length=97",
        "dataset.label_fraction=0.5",
        "batch_norm.chunk_size=8",
    ];
    let free = [
        "train.steps=15",
        "train.workers=0",
        "train.log_every_steps=7",
        "checkpoint.keep=3",
        "evaluation.every_steps=7",
        "record.plot=false",
        "distributed.timeout_seconds=30",
    ];
    for (set, accepted) in fixed.iter().map(|set| (*set, false)).chain(free.map(|set| (set, true))) {
        copy(&runs.join("half"), &runs.join("run"));
        let output = resume(folder.path(), &["--set", set]);
        let expected = if accepted { 0 } else { 5 };
        assert_eq!(output.status.code(), Some(expected), "{set}: {}", errors(&output, folder.path()));
        let (key, value) = set.split_once('=').unwrap();
        if accepted {
            let config = fs::read_to_string(runs.join("run/config.toml")).unwrap();
            let line = format!("{} = {value}", key.rsplit('.').next().unwrap());
            assert!(config.contains(&line), "{set} is what the run went on with");
            assert!(runs.join("run/config-1.toml").exists(), "{set}: the config of before is kept");
        } else {
            assert!(errors(&output, folder.path()).contains(&format!("--override {key}")), "{set} is told");
        }
        fs::remove_dir_all(runs.join("run")).unwrap();
    }
    figure("K15", "settings refused or followed as classified", fixed.len() + free.len(), fixed.len() + free.len());
}

#[test]
fn k15_what_is_overridden_by_name_is_followed() {
    let folder = half_done();
    let output = resume(folder.path(), &["--set", "optimizer.lr=0.5", "--override", "optimizer.lr"]);
    assert_ok(&output);
    let metrics = crate::training::metrics(&folder.path().join("runs/run"));
    let rates: Vec<_> = metrics.iter().filter_map(|row| row.get("lr")?.as_f64()).collect();
    assert_eq!((rates[7], rates[8]), (0.001, 0.5));
}

#[test]
fn k15_the_length_is_fixed_where_the_learning_rate_depends_on_it() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &["optimizer.schedule=cosine"]));
    let output = resume(folder.path(), &["--set", "train.steps=20"]);
    assert_eq!(output.status.code(), Some(5), "{}", errors(&output, folder.path()));
    assert_ok(&resume(folder.path(), &["--set", "train.steps=20", "--override", "train.steps"]));
}

#[test]
fn k15_a_plugin_of_another_build_is_refused_by_name() {
    let folder = half_done();
    let run = folder.path().join("runs/run");
    let identity = fs::read_to_string(run.join("run.json")).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&identity).unwrap();
    let name = value["plugins"].as_object().unwrap().keys().find(|name| name.contains("amdim")).unwrap().clone();
    value["plugins"][&name]["sha256"] = "0123456789abcdef".repeat(4).into();
    fs::write(run.join("run.json"), value.to_string()).unwrap();
    let output = resume(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(5));
    let text = errors(&output, folder.path());
    assert!(text.contains(&format!("`{name}` was 0123456789ab, is ")) && text.contains("--override plugin."), "{text}");
    assert_ok(&resume(folder.path(), &["--override", &format!("plugin.{name}")]));
}
