//! Disks that are full, failing, slow or gone: the checkpoint before stays, nothing half written is left, it is told.

use super::small::{SETTINGS, assert_resumes, checkpoints, encoder, every_operation, newest, train};
use crate::{
    support::{
        binary::{errors, infomax},
        figures::{figure, sampled},
    },
    training::{arguments, assert_ok},
};
use infomax::checkpoint::CheckpointSet;
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What is neither a checkpoint nor anything else that should lie there.
fn leftovers(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".writing")).collect()
}

fn fails_everywhere(row: &str, action: &str, code: i32, sites: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut cases = every_operation(folder);
    cases.retain(|(site, _)| sites.contains(&site.as_str()));
    let whole = encoder(folder, "counted");
    let cases = sampled(row, cases);
    for (site, n) in &cases {
        let fault = format!("{site}@{n}:{action}");
        let output = train(folder, "run", &[("INFOMAX_FAULT", &fault)]);
        assert_eq!(output.status.code(), Some(code), "{fault}: {}", errors(&output, folder));
        let text = errors(&output, folder);
        assert!(text.contains("runs/run/checkpoints") && text.contains("hint: "), "{fault}: {text}");
        assert!(
            leftovers(&checkpoints(folder, "run")).is_empty(),
            "{fault}: {:?}",
            leftovers(&checkpoints(folder, "run"))
        );
        assert_resumes(folder, "run", &whole, &fault);
        fs::remove_dir_all(folder.join("runs/run")).unwrap();
    }
    figure(&row.to_uppercase(), "operations that fail, told, resumed", cases.len(), cases.len());
}

#[test]
fn k06_a_full_disk_at_each_operation_exits_8_and_leaves_the_one_before() {
    fails_everywhere("k06", "full", 8, &["checkpoint.make", "checkpoint.write", "checkpoint.sync"]);
}

#[test]
fn k07_a_disk_that_fails_at_each_operation_exits_5() {
    fails_everywhere(
        "k07",
        "error",
        5,
        &["checkpoint.make", "checkpoint.write", "checkpoint.sync", "checkpoint.rename"],
    );
}

/// The kernel's own refusal: a limit on the size of files. Plugins are copied in memory, which it bounds too, so the state
/// must be larger than they are.
#[test]
fn k06_a_file_that_may_not_grow_exits_8() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let large = ["encoder.config.ndf=96", "encoder.config.n_rkhs=512", "train.steps=4", "checkpoint.every_steps=2"];
    let settings = [SETTINGS.as_slice(), &large].concat();
    assert_ok(&infomax(folder, &arguments("whole", &settings)).output().unwrap());
    let mut command = infomax(folder, &arguments("run", &settings));
    let killed = command.env("INFOMAX_FAULT", "checkpoint.sync@7:kill").output().unwrap();
    assert!(killed.status.code().is_none());
    assert_eq!(newest(folder, "run"), Some(2));
    let size = |name: &str| fs::metadata(checkpoints(folder, "run").join("step-000000002").join(name)).unwrap().len();
    let limit = size("training.safetensors") - 1;
    let binary = crate::support::workspace::built().join("infomax");
    let command = format!("ulimit -f {}; exec {} train --resume runs/run", limit / 512, binary.display());
    let output = Command::new("sh").arg("-c").arg(command).current_dir(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(8), "{}", errors(&output, folder));
    assert!(errors(&output, folder).contains("--resume"), "{}", errors(&output, folder));
    assert_eq!(newest(folder, "run"), Some(2));
    assert!(leftovers(&checkpoints(folder, "run")).is_empty());
    assert_resumes(folder, "run", &encoder(folder, "whole"), "a limit on files");
}

#[test]
fn k07_a_run_directory_that_goes_away_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let settings = [SETTINGS.as_slice(), &["train.steps=2000", "checkpoint.every_steps=200"]].concat();
    let mut command = infomax(folder, &arguments("run", &settings));
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while newest(folder, "run").is_none() {
        assert!(began.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(5));
    }
    fs::rename(folder.join("runs/run"), folder.join("runs/elsewhere")).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", errors(&output, folder));
    let text = errors(&output, folder);
    assert!(text.contains("a checkpoint can't be saved") && text.contains("runs/run/checkpoints"), "{text}");
    assert!(!folder.join("runs/run").exists(), "it is not made again without the rest of the run");
}

#[test]
fn k20_a_reader_beside_a_run_sees_whole_checkpoints_only() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let settings = [SETTINGS.as_slice(), &["train.steps=300", "checkpoint.every_steps=1"]].concat();
    let mut command = infomax(folder, &arguments("run", &settings));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let set = CheckpointSet::new(checkpoints(folder, "run"));
    let (mut reads, mut last) = (0, 0);
    while child.try_wait().unwrap().is_none() {
        let (newest, _) = set.newest();
        let Some(newest) = newest else {
            assert_eq!(last, 0, "there was a checkpoint, and now there is none");
            continue;
        };
        assert!(newest.manifest.step >= last, "back from {last} to {}", newest.manifest.step);
        last = newest.manifest.step;
        reads += 1;
    }
    assert!(child.wait().unwrap().success());
    assert!(reads >= 20, "only {reads} reads");
    println!("k20: {reads} reads beside 300 checkpoints, none torn");
    figure("K20", "reads beside a writer that were whole", reads, reads);
}

#[test]
fn k21_a_slow_disk_is_told_in_the_metrics_and_a_hanging_one_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_ok(&train(folder, "slow", &[("INFOMAX_FAULT", "checkpoint.write@*:sleep=50")]));
    let text = fs::read_to_string(folder.join("runs/slow/metrics.jsonl")).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let stalled: f64 = rows.filter_map(|row| row.get("checkpoint_stall_seconds")?.as_f64()).sum();
    // Four files of 50 ms, at two checkpoints before the last.
    assert!((0.2..5.0).contains(&stalled), "{stalled} s");
    let settings = [SETTINGS.as_slice(), &["checkpoint.timeout_seconds=1"]].concat();
    let mut command = infomax(folder, &arguments("hangs", &settings));
    let began = Instant::now();
    let output = command.env("INFOMAX_FAULT", "checkpoint.write@2:sleep=20000").output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", errors(&output, folder));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    insta::assert_snapshot!(
        errors(&output, folder).lines().filter(|l| !l.starts_with("step")).collect::<Vec<_>>().join("\n")
    );
}

/// Somewhat more steps may go by meanwhile, where the user wants that.
#[test]
fn k21_training_goes_on_while_a_slow_disk_writes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let run = |name: &str, overlap: &str| {
        let settings = [SETTINGS.as_slice(), &["train.steps=8", overlap]].concat();
        let mut command = infomax(folder, &arguments(name, &settings));
        assert_ok(&command.env("INFOMAX_FAULT", "checkpoint.write@1:sleep=1500").output().unwrap());
        let text = fs::read_to_string(folder.join("runs").join(name).join("metrics.jsonl")).unwrap();
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let at = |step: u64| rows.iter().find(|row| row["step"] == step).unwrap()["seconds"].as_f64().unwrap();
        at(5) - at(3)
    };
    assert!(run("strict", "checkpoint.overlap_steps=1") > 1.2);
    assert!(run("ahead", "checkpoint.overlap_steps=100") < 1.2);
}
