//! Training through the real binary: the same numbers again, with other workers, and after an interruption.

use crate::support::binary::{errors, experiment, infomax, run};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
    thread,
    time::Duration,
};

const SMALL: &[&str] = &[
    "dataset.config.train_length=96",
    "dataset.config.test_length=40",
    "encoder.config.ndf=4",
    "encoder.config.n_rkhs=16",
    "train.batch_size=16",
    "train.steps=14",
    "train.log_every_steps=1",
    "train.device=cpu",
    "train.threads=1",
    "optimizer.warmup_steps=3",
    "evaluation.every_steps=5",
    "evaluation.untrained=false",
    "checkpoint.every_steps=4",
    "checkpoint.keep=10",
];

pub fn arguments(name: &str, more: &[&str]) -> Vec<String> {
    let mut list = vec!["train".to_owned(), experiment("shapes-demo"), "--set".into(), format!("record.name={name}")];
    list.extend(SMALL.iter().chain(more).flat_map(|value| ["--set".to_owned(), (*value).to_owned()]));
    list
}

pub fn train(folder: &Path, name: &str, more: &[&str]) -> Output {
    let list = arguments(name, more);
    run(folder, &list)
}

pub fn assert_ok(output: &Output) {
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The rows of metrics without what depends on the clock.
pub fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let row = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        for key in ["seconds", "images_per_second", "waiting_for_data", "checkpoint_stall_seconds"] {
            row.as_object_mut().unwrap().remove(key);
        }
        row
    };
    text.lines().map(row).collect()
}

/// The files of the last checkpoint that must be equal to the byte; the state without the clock.
fn last_state(run: &Path) -> (Vec<u8>, Vec<u8>, Value) {
    let folder = run.join("checkpoints/step-000000014");
    let mut state: Value = serde_json::from_slice(&fs::read(folder.join("state.json")).unwrap()).unwrap();
    state.as_object_mut().unwrap().remove("seconds");
    let read = |name| fs::read(folder.join(name)).unwrap();
    (read("encoder.safetensors"), read("training.safetensors"), state)
}

pub fn assert_same(a: &Path, b: &Path) {
    assert_eq!(metrics(a), metrics(b), "metrics of {} and {}", a.display(), b.display());
    assert!(last_state(a) == last_state(b), "states of {} and {} differ", a.display(), b.display());
}

#[test]
fn t14_run_repeats_bit_for_bit_for_a_seed_and_any_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    for (name, workers) in [("a", 0), ("b", 0), ("c", 1), ("d", 4)] {
        assert_ok(&train(folder.path(), name, &[&format!("train.workers={workers}")]));
    }
    for other in ["b", "c", "d"] {
        assert_same(&runs.join("a"), &runs.join(other));
    }
    assert_ok(&train(folder.path(), "e", &["train.seed=2"]));
    assert_ne!(metrics(&runs.join("a")), metrics(&runs.join("e")));
}

#[test]
fn t11_resume_from_any_checkpoint_is_bit_exact() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    assert_ok(&train(folder.path(), "whole", &[]));
    for step in [4, 8, 12] {
        let name = format!("cut-{step}");
        assert_ok(&train(folder.path(), &name, &[]));
        let checkpoints = runs.join(&name).join("checkpoints");
        for entry in fs::read_dir(&checkpoints).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().into_owned() > format!("step-{step:09}") {
                fs::remove_dir_all(path).unwrap();
            }
        }
        assert_ok(&run(folder.path(), &["train", "--resume", &format!("runs/{name}")]));
        assert_same(&runs.join("whole"), &runs.join(&name));
    }
}

#[test]
fn t08_signal_saves_and_exits_75_and_the_resumed_run_ends_alike() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let more =
        ["train.steps=400", "train.log_every_steps=50", "evaluation.every_steps=400", "checkpoint.every_steps=400"];
    assert_ok(&train(folder.path(), "whole", &more));
    let list = arguments("cut", &more);
    let list: Vec<_> = list.iter().map(String::as_str).collect();
    let mut child = infomax(folder.path(), &list).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !runs.join("cut/metrics.jsonl").metadata().is_ok_and(|m| m.len() > 0) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before the signal");
        thread::sleep(Duration::from_millis(2));
    }
    let killed = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", errors(&output, folder.path()));
    assert_ok(&run(folder.path(), &["train", "--resume", "runs/cut"]));
    let last = |name: &str| fs::read(runs.join(name).join("encoder.safetensors")).unwrap();
    assert!(last("whole") == last("cut"), "the resumed run ends elsewhere");
}

/// Products of these sizes are worth a library's call.
const WIDE: &[&str] = &["encoder.config.ndf=8", "encoder.config.n_rkhs=64", "train.steps=6", "train.log_every_steps=1"];

#[test]
fn the_library_of_products_is_chosen_recorded_and_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let train = |name: &str, products: &str| {
        let more: Vec<&str> = WIDE.iter().copied().chain([products]).collect();
        train(folder.path(), name, &more)
    };
    let said = |name: &str| -> Value {
        let text = fs::read(runs.join(name).join("run.json")).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()["products"].clone()
    };
    assert_ok(&train("mkl", "train.products=mkl"));
    assert_eq!(said("mkl"), "mkl");
    let output = train("onednn", "train.products=onednn");
    if !has_avx512() {
        let said = errors(&output, folder.path());
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("`train.products` = `onednn` needs a processor with AVX-512"), "{said}");
        return;
    }
    assert_ok(&output);
    assert_eq!(said("onednn"), "onednn");
    let limited = |products: &str| {
        let list = arguments(products, &[WIDE[2], &format!("train.products={products}")]);
        infomax(folder.path(), &list).env("ONEDNN_MAX_CPU_ISA", "AVX2").output().unwrap()
    };
    assert_ok(&limited("auto"));
    assert_eq!(said("auto"), "mkl");
    assert_eq!(limited("onednn").status.code(), Some(2));
    let losses =
        |name: &str| -> Vec<f64> { metrics(&runs.join(name)).iter().filter_map(|row| row["loss"].as_f64()).collect() };
    let pairs: Vec<_> = losses("mkl").into_iter().zip(losses("onednn")).collect();
    assert!(pairs.len() == 6 && pairs.iter().all(|(a, b)| (a - b).abs() < 1e-3 * a), "{pairs:?}");
    assert_ne!(
        fs::read(runs.join("mkl/encoder.safetensors")).unwrap(),
        fs::read(runs.join("onednn/encoder.safetensors")).unwrap()
    );
    for name in ["mkl", "onednn"] {
        let output = run(folder.path(), &["reproduce", &format!("runs/{name}")]);
        assert_ok(&output);
    }
}

fn has_avx512() -> bool {
    #[cfg(target_arch = "x86_64")]
    return ["avx512bw", "avx512vl", "avx512dq"]
        .iter()
        .all(|flag| fs::read_to_string("/proc/cpuinfo").unwrap().contains(flag));
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[test]
fn t16_a_finished_run_says_so() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &[]));
    let output = run(folder.path(), &["train", "--resume", "runs/run"]);
    assert_ok(&output);
    assert!(String::from_utf8_lossy(&output.stdout).contains("this run is finished after 14 steps"));
}

#[test]
fn t01_divergence_updates_nothing_and_exits_6() {
    let folder = tempfile::tempdir().unwrap();
    let more =
        ["optimizer.lr=1000", "optimizer.warmup_steps=0", "train.max_skipped_steps_in_a_row=2", "train.steps=60"];
    let output = train(folder.path(), "run", &more);
    assert_eq!(output.status.code(), Some(6), "{}", errors(&output, folder.path()));
    let text = errors(&output, folder.path());
    assert!(text.contains("was not finite in 3 steps in a row") && text.contains("optimizer.lr"), "{text}");
}

#[test]
fn o04_a_used_run_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &[]));
    let output = train(folder.path(), "run", &[]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(errors(&output, folder.path()), @r"
    error: the run directory `runs/run` is not empty
    hint: go on with that run (`--resume RUN`, or `--resume auto` to begin or go on), or give another name: `--set record.name=…`
    ");
}

#[test]
fn faults_of_a_config_are_all_said_with_their_places() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("mine.toml"),
        "[dataset]\nname = \"shapes\"\n[augmentation]\nname = \"amdin\"\n[encoder]\nname = \"amdim\"\n\
         config = { ndff = 3 }\n[loss]\nname = \"amdim\"\n[train]\nbatch_size = -1\n",
    )
    .unwrap();
    let output = run(folder.path(), &["train", "mine.toml"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(errors(&output, folder.path()));
}

#[test]
fn components_that_do_not_fit_are_refused_before_anything_is_allocated() {
    let folder = tempfile::tempdir().unwrap();
    let output = train(folder.path(), "run", &["encoder.config.size=32", "augmentation.config.size=64"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(errors(&output, folder.path()));
}

#[test]
fn an_experiment_is_tried_out_in_a_few_updates() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = ["encoder.config.ndf=4", "encoder.config.n_rkhs=16", "train.batch_size=16", "train.device=cpu"];
    let mut list = vec!["train".to_owned(), experiment("shapes-demo"), "--smoke".into()];
    list.extend(sizes.iter().flat_map(|value| ["--set".to_owned(), (*value).to_owned()]));
    let output = run(folder.path(), &list);
    assert_ok(&output);
    let directory = folder.path().join("runs/shapes-demo-smoke-1");
    let rows = metrics(&directory);
    assert_eq!(rows.iter().filter(|row| row.get("loss").is_some()).count(), 4);
    assert_eq!(
        rows.iter().filter(|row| row.get("linear_top1").is_some()).count(),
        2,
        "a test among them, and one at the end"
    );
    assert!(directory.join("checkpoints/step-000000002").exists() && directory.join("encoder.safetensors").exists());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("cpu, ") && said.contains("10000 images to train on, 2000 to test on"), "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 100 || line.contains("runs/")), "{said}");
}

#[test]
fn a_test_that_takes_long_says_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let list = arguments("run", &["train.steps=4", "evaluation.every_steps=4", "optimizer.warmup_steps=0"]);
    let mut command = infomax(folder.path(), &list);
    // Longer than the ten seconds between two lines, once.
    let output = command.env("INFOMAX_FAULT", "test.batch@2:sleep=10500").output().unwrap();
    assert_ok(&output);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text.matches("testing after step 4: image 32/40").count(), 1, "{text}");
    assert_eq!(text.matches("testing after step").count(), 1, "{text}");
}
