//! Values that are not finite, representations that collapse, memory that runs out, a machine that sleeps: through the real binary.

use crate::{
    support::{
        binary::{errors, infomax},
        faulty::{self, training},
        figures::figure,
        image_tree::{ImageTree, fixture as photograph},
        workspace::built,
    },
    training::{arguments, assert_ok, metrics, train},
};
use infomax::checkpoint::{CheckpointSet, read_tensors};
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

/// A run of ten steps whose loss and encoder are the faulty ones.
fn faulty(folder: &Path, name: &str, loss: &str, more: &[&str]) -> Output {
    let changes = format!(
        r#"
loss.config = {{ {loss} }}
train = {{ log_every_steps = 5, max_skipped_steps_in_a_row = 2 }}
evaluation.linear = false
"#
    );
    faulty::experiment(folder, &changes);
    training(folder, name, more).output().unwrap()
}

fn encoder_after(run: &Path, step: u64) -> Vec<u8> {
    fs::read(run.join(format!("checkpoints/step-{step:09}/encoder.safetensors"))).unwrap()
}

/// On steps whose metrics are written and on others.
#[test]
fn t01_a_loss_that_is_not_a_number_updates_nothing_from_that_very_step() {
    let steps = [0u64, 1, 4, 5, 9];
    for at in steps {
        let folder = tempfile::tempdir().unwrap();
        let loss = format!("callback = \"forward\", fault = \"not_a_number\", step = {at}");
        let output = faulty(folder.path(), "run", &loss, &[]);
        let own = folder.path().join("runs/run");
        let text = errors(&output, folder.path());
        // The last step alone is less than the limit of steps in a row.
        assert_eq!(output.status.code(), Some(if at == 9 { 0 } else { 6 }), "step {at}: {text}");
        if at < 9 {
            assert!(text.contains("was not finite in 3 steps in a row") && text.contains("nonfinite-step-"), "{text}");
        }
        let first = metrics(&own).iter().find(|row| row.get("nonfinite").is_some()).unwrap()["step"].as_u64().unwrap();
        assert_eq!(first, at + 1, "the first such row is of that step");
        assert!(own.join(format!("nonfinite-step-{at}.safetensors")).is_file(), "the batch is kept");
        let captured = read_tensors(&fs::read(own.join(format!("nonfinite-step-{at}.safetensors"))).unwrap()).unwrap();
        assert_eq!(captured.tensors["view.0"].numel(), 8 * 32 * 32 * 3);
        if at > 0 {
            assert!(encoder_after(&own, at) == encoder_after(&own, at + 1), "step {at} changed the encoder");
            assert!(
                at < 2 || encoder_after(&own, at - 1) != encoder_after(&own, at),
                "step {} changed nothing",
                at - 1
            );
        }
        let (newest, skipped) = CheckpointSet::new(own.join("checkpoints")).newest();
        assert!(newest.is_some() && skipped.is_empty(), "{skipped:?}");
    }
    figure("T01", "steps at which it was noticed", steps.len(), steps.len());
}

#[test]
fn t02_a_gradient_that_is_not_finite_updates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = faulty(folder.path(), "run", "by_hand = true, overflow_steps = [4]", &[]);
    assert_ok(&output);
    let own = folder.path().join("runs/run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("`gradient_norm` is not finite at step 4"), "{text}");
    assert!(encoder_after(&own, 4) == encoder_after(&own, 5) && encoder_after(&own, 5) != encoder_after(&own, 6));
    let skipped = metrics(&own).iter().filter_map(|row| row.get("skipped_steps")?.as_f64()).next_back();
    assert_eq!(skipped, Some(1.0));
    let output = faulty(folder.path(), "three", "by_hand = true, overflow_steps = [4, 5, 6]", &[]);
    assert_eq!(output.status.code(), Some(6), "{}", errors(&output, folder.path()));
}

/// The total is finite: the bad term has no weight in it.
#[test]
fn t03_a_term_without_weight_is_named() {
    for call in ["forward", "forward_backward"] {
        let folder = tempfile::tempdir().unwrap();
        let by_hand = call == "forward_backward";
        let loss = format!("callback = \"{call}\", fault = \"term_not_a_number\", step = 3, by_hand = {by_hand}");
        let output = faulty(folder.path(), "run", &loss, &[]);
        let text = errors(&output, folder.path());
        assert_eq!(output.status.code(), Some(6), "{text}");
        assert!(text.contains("`loss/size` was not finite in 3 steps in a row"), "{text}");
    }
}

/// Images that are all alike: so is what stands for them.
#[test]
fn t06_a_collapsed_representation_is_told_or_ends_the_run() {
    let tree = ImageTree::empty();
    for image in 0..12 {
        for split in ["train", "test"] {
            let name = format!("{split}/{}/{image:02}.jpg", ["a", "b"][image % 2]);
            tree.put(name, &photograph("baseline.jpg"));
        }
    }
    let measure = ["--set", "evaluation.collapse=true", "--set", "evaluation.every_steps=1"];
    let ended = tree.run(&["train"], &measure);
    assert_eq!(ended.code, 0, "{}", ended.seen());
    assert!(ended.err.contains("step 1: the representation has collapsed: feature_std 0.0"), "{}", ended.seen());
    let stop = ["--set", "evaluation.stop_on_collapse=true", "--set", "record.name=stops"];
    let ended = tree.run(&["train"], &[measure.as_slice(), &stop].concat());
    assert_eq!(ended.code, 6, "{}", ended.seen());
    assert!(ended.err.contains("at: step 1") && ended.err.contains("hint: "), "{}", ended.seen());
}

/// A bound on address space: libtorch can't allocate, at the first step or later; what was saved stays good.
#[test]
fn t07_memory_that_runs_out_exits_8_and_leaves_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &["train.steps=4"]));
    let binary = built().join("infomax");
    let bounded = |kib: u64, more: &str| {
        let command =
            format!("ulimit -v {kib}; exec {} train --resume runs/run --set train.steps=8 {more}", binary.display());
        Command::new("sh").arg("-c").arg(command).current_dir(folder.path()).output().unwrap()
    };
    // A batch of this size does not fit; the small one that the run began with does.
    let output = bounded(
        6_000_000,
        "--set train.batch_size=96 --override train.batch_size --set encoder.config.ndf=1024 --override encoder.config.ndf --set encoder.config.n_rkhs=4096 --override encoder.config.n_rkhs --set encoder.config.depth=10 --override encoder.config.depth",
    );
    let text = errors(&output, folder.path());
    assert_eq!(output.status.code(), Some(8), "{text}");
    assert!(
        text.contains("allocate memory") && text.contains("bytes") && text.contains("hint: lower `train.batch_size`"),
        "{text}"
    );
    assert!(!folder.path().join("runs/run/config-1.toml").exists(), "nothing of the run has changed");
    assert_ok(&bounded(64_000_000, ""));
}

/// A process that was stopped for longer than any deadline has not hung.
#[test]
fn t15_a_suspended_process_raises_no_alarm() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["train.steps=400", "plugins.timeout_seconds=2", "checkpoint.timeout_seconds=2", "train.workers=1"];
    let mut command = infomax(folder.path(), &arguments("run", &settings));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let signal = |signal: i32| {
        // SAFETY: `kill` has no preconditions; the child was started here and is waited for below.
        unsafe { libc::kill(child.id() as libc::pid_t, signal) };
    };
    while !folder.path().join("runs/run/metrics.jsonl").metadata().is_ok_and(|file| file.len() > 0) {
        thread::sleep(Duration::from_millis(5));
    }
    let stops = 3;
    for _ in 0..stops {
        signal(libc::SIGSTOP);
        thread::sleep(Duration::from_millis(2500));
        signal(libc::SIGCONT);
        thread::sleep(Duration::from_millis(100));
    }
    let _ = child.wait().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_ok(&output);
    figure("T15", "suspensions without a false alarm", stops, stops);
}
