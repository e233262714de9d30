//! Which checkpoints stay: there is always a valid one, whatever lies around it and whenever the process ends.

use super::small::{SETTINGS, assert_resumes, checkpoints, encoder, newest, operations, train};
use crate::{
    support::{
        binary::{errors, run},
        figures::figure,
    },
    training::{arguments, assert_ok},
};
use infomax::checkpoint::CheckpointSet;
use serde_json::Value;
use std::{fs, os::unix::process::ExitStatusExt};

#[test]
fn k08_torn_newer_ones_don_t_count_and_never_drive_out_a_valid_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_ok(&train(folder, "whole", &[]));
    train(folder, "run", &[("INFOMAX_FAULT", "checkpoint.write@9:kill")]);
    assert_eq!(newest(folder, "run"), Some(6));
    for step in [7, 8, 50, 60, 70] {
        let torn = checkpoints(folder, "run").join(format!("step-{step:09}"));
        fs::create_dir(&torn).unwrap();
        fs::write(torn.join("encoder.safetensors"), b"torn").unwrap();
    }
    let output = super::small::resume(folder, "run");
    assert_ok(&output);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.matches("checkpoint passed over").count(), 5, "{text}");
    assert!(encoder(folder, "run") == encoder(folder, "whole"));
    let set = CheckpointSet::new(checkpoints(folder, "run"));
    assert_eq!(set.newest().0.unwrap().manifest.step, 9);
    assert!(checkpoints(folder, "run").join("step-000000006").exists(), "two valid ones stay");
}

#[test]
fn k09_killed_at_every_removal_leaves_a_valid_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let counts = operations(folder);
    let whole = encoder(folder, "counted");
    let mut cases = Vec::new();
    for site in ["checkpoint.remove", "checkpoint.rename"] {
        cases.extend((1..=counts[site]).map(|n| format!("{site}@{n}:kill")));
    }
    for fault in &cases {
        let killed = train(folder, "run", &[("INFOMAX_FAULT", fault)]);
        assert_eq!(killed.status.signal(), Some(libc::SIGKILL), "{fault}");
        let expected = if fault.starts_with("checkpoint.rename@1:") { None } else { Some(3) };
        assert!(newest(folder, "run") >= expected, "{fault}");
        assert_resumes(folder, "run", &whole, fault);
        fs::remove_dir_all(folder.join("runs/run")).unwrap();
    }
    figure("K09", "killed at a removal or rename, resumed", cases.len(), cases.len());
}

#[test]
fn k10_look_alikes_are_no_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_ok(&train(folder, "run", &[]));
    let set = checkpoints(folder, "run");
    let copy = |name: &str| {
        let status =
            std::process::Command::new("cp").arg("-r").arg(set.join("step-000000009")).arg(set.join(name)).status();
        assert!(status.unwrap().success());
    };
    ["step-000000099.bak", "STEP-000000099", "step-99", "step-000000098 "].into_iter().for_each(copy);
    fs::write(set.join("step-000000097"), b"a file").unwrap();
    std::os::unix::fs::symlink(set.join("step-000000009"), set.join("step-000000096")).unwrap();
    copy("step-000000095"); // the manifest inside says 9
    assert_eq!(newest(folder, "run"), Some(9));
    let output = run(folder, &["train", "--resume", "runs/run"]);
    assert_ok(&output);
    assert!(errors(&output, folder).contains("it is named unlike its step 9"), "{}", errors(&output, folder));
    figure("K10", "look-alikes ignored", 7, 7);
}

#[test]
fn the_best_on_held_out_images_stays_beside_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let more = [
        "train.steps=12",
        "evaluation.every_steps=2",
        "evaluation.holdout_fraction=0.3",
        "checkpoint.every_steps=100",
        "checkpoint.keep_best=1",
        "optimizer.lr=0.02",
    ];
    assert_ok(&run(folder, &arguments("run", &[SETTINGS.as_slice(), &more].concat())));
    let rows = crate::training::metrics(&folder.join("runs/run"));
    let tests = rows.iter().filter_map(|row| Some((row.get("linear_top1")?.as_f64()?, row["step"].as_u64()?)));
    // Of equal ones the later.
    let best = tests.clone().max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).unwrap();
    let mut steps: Vec<u64> = fs::read_dir(checkpoints(folder, "run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy()["step-".len()..].parse().unwrap())
        .collect();
    steps.sort_unstable();
    assert!(
        steps.contains(&best.1) && steps.contains(&10) && steps.contains(&12) && steps.len() <= 3,
        "{steps:?} {best:?}"
    );
    let manifest = checkpoints(folder, "run").join(format!("step-{:09}/manifest.json", best.1));
    let manifest: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    assert_eq!(
        (manifest["metrics"]["linear_top1"].as_f64(), manifest["held_out"].as_bool()),
        (Some(best.0), Some(true))
    );
}

#[test]
fn a_choice_on_the_test_split_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &arguments("run", &["checkpoint.keep_best=1"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output, folder.path()).contains("only the test split would be left to choose by"));
}
