//! `infomax runs`.

use super::page::{shown, written};
use crate::support::{
    ended::infomax,
    python::{printed, python_with},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const DONE: &str = r#"{"at": 1700000100, "how": "finished"}"#;
const DIVERGED: &str = r#"{"at": 1700000100, "how": "diverged", "told": "the loss is not finite (step 7)"}"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), "a", "loss.name = \"amdim\"\noptimizer.lr = 0.1", 100).history(DONE);
    written(folder.path(), "b", "loss.name = \"vicreg\"\noptimizer.lr = 0.01", 7).history(DIVERGED);
    written(folder.path(), "group/c", "loss.name = \"amdim\"\noptimizer.lr = 0.001", 40).history("");
    written(folder.path(), "d", "loss.name = \"amdim\"\noptimizer.lr = 0.1\nevaluation.holdout_fraction = 0.1", 60)
        .history(r#"{"at": 1700000100, "how": "interrupted"}"#);
    fs::write(folder.path().join("runs/notes.txt"), "mine").unwrap();
    folder
}

fn names(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let ended = infomax(folder, &[&["runs", "--format", "json"], arguments].concat());
    assert_eq!(ended.code, 0, "{}", ended.seen());
    let all: Value = serde_json::from_str(&ended.out).unwrap();
    all["runs"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_table_tells_state_step_results_and_what_differs() {
    let folder = folder();
    let ended = infomax(folder.path(), &["runs"]);
    assert_eq!(ended.code, 0, "{}", ended.seen());
    insta::assert_snapshot!(ended.out);
}

#[test]
fn runs_are_chosen_and_sorted_by_what_they_are() {
    let folder = folder();
    let names = |arguments: &[&str]| names(folder.path(), arguments);
    assert_eq!(names(&[]), ["runs/a", "runs/b", "runs/d", "runs/group/c"]);
    assert_eq!(names(&["--state", "failed"]), ["runs/b", "runs/group/c"]);
    assert_eq!(names(&["--state", "done,interrupted"]), ["runs/a", "runs/d"]);
    assert_eq!(names(&["--where", "loss=amdim", "--where", "lr<0.1"]), ["runs/group/c"]);
    assert_eq!(names(&["--where", "name=*/c"]), ["runs/group/c"]);
    assert_eq!(names(&["--sort", "linear_top1", "--reverse"]), ["runs/a", "runs/d", "runs/group/c", "runs/b"]);
    assert_eq!(names(&["runs/group"]), ["runs/group/c"]);
    let refused = |arguments: &[&str]| {
        let ended = infomax(folder.path(), &[&["runs"], arguments].concat());
        assert_eq!(ended.code, 2, "{}", ended.seen());
        ended.err
    };
    assert!(refused(&["--sort", "linear_top2"]).contains("did you mean `linear_top1`?"));
    assert!(refused(&["nowhere"]).contains("`nowhere` is no folder"));
    assert!(refused(&["--where", "lr"]).contains("is no condition"));
}

#[test]
fn json_tells_what_a_program_asks() {
    let folder = folder();
    let ended = infomax(folder.path(), &["runs", "--format", "json"]);
    let all: Value = serde_json::from_str(&ended.out).unwrap();
    let run = |n: usize| &all["runs"][n];
    assert_eq!((run(0)["state"].as_str(), run(0)["planned_steps"].as_u64()), (Some("done"), Some(100)));
    assert_eq!(run(0)["results"]["linear_top1"]["last"]["value"], 40.0);
    assert_eq!(run(0)["results"]["linear_top1"]["best"], Value::Null, "chosen on the test images");
    assert_eq!(run(2)["results"]["linear_top1"]["best"]["step"], 60);
    assert_eq!(run(1)["told"], "the loss is not finite (step 7)");
    assert_eq!(run(3)["state"], "lost");
    assert_eq!(run(3)["differs"]["optimizer.lr"], 0.001);
    let csv = infomax(folder.path(), &["runs", "--format", "csv"]).out;
    assert!(csv.starts_with("run,state,step,planned_steps,seconds,began,linear_top1,"), "{csv}");
    assert_eq!(csv.lines().count(), 5);
}

#[test]
fn what_evaluate_measured_has_keys_and_a_place_on_the_runs_page() {
    let folder = folder();
    let row = |labels: &str, linear: f64| {
        serde_json::json!({
            "run": "runs/b", "step": 7, "dataset": "shapes", "labels": labels, "train_images": 90, "test_images": 40,
            "linear_top1": linear, "knn_top1": 33.5, "rankme": 12.25,
        })
    };
    let written = serde_json::json!([row("all", 61.25), row("0.1", 44.0)]).to_string();
    fs::write(folder.path().join("runs/b/evaluation.json"), written).unwrap();
    let csv = infomax(folder.path(), &["runs", "--format", "csv"]).out;
    let (head, rest) = csv.split_once('\n').unwrap();
    for key in ["evaluate/linear_top1", "evaluate/rankme", "evaluate/0.1/linear_top1"] {
        assert!(head.split(',').any(|name| name == key), "{head}");
    }
    assert!(
        rest.lines().any(|line| line.starts_with("runs/b,") && line.contains(",61.25,33.5,12.25,44,33.5,")),
        "{csv}"
    );
    let names = |arguments: &[&str]| names(folder.path(), arguments);
    assert_eq!(names(&["--where", "evaluate/0.1/linear_top1>=44"]), ["runs/b"]);
    assert_eq!(names(&["--sort", "evaluate/linear_top1", "--reverse"])[0], "runs/b", "those without it come last");
    let table = infomax(folder.path(), &["runs", "--metric", "evaluate/linear_top1"]);
    assert!(
        table.out.contains("61.25 %") && table.out.lines().next().unwrap().contains("evaluate/linear_top1"),
        "{}",
        table.out
    );
    let ended = infomax(folder.path(), &["runs", "--sort", "evaluate/linaer_top1"]);
    assert!(ended.code == 2 && ended.err.contains("did you mean `evaluate/linear_top1`?"), "{}", ended.seen());
    let page = shown(folder.path(), &[]).get("/run?name=runs/b").body;
    assert!(page.contains("<h2>Evaluation</h2>") && page.contains("61.25 %") && page.contains("44.00 %"), "{page}");
}

#[test]
fn moments_are_told_by_dates() {
    let folder = folder();
    let names = |arguments: &[&str]| names(folder.path(), arguments).len();
    // They began in the first minute after 2023-11-14T22:13:20Z.
    assert_eq!([names(&["--where", "began=2023-11-14"]), names(&["--where", "began>2023-11-14"])], [4, 0]);
    assert_eq!([names(&["--where", "began>=2023-11-14T22:13"]), names(&["--where", "began<2023-11-14T22:13"])], [4, 0]);
    let ended = infomax(folder.path(), &["runs", "--where", "began>last week"]);
    assert!(ended.code == 2 && ended.err.contains("`last week` is no date: write `2026-11-01`"), "{}", ended.seen());
}

#[test]
fn a_test_of_the_untrained_encoder_is_told_while_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), "a", "loss.name = \"amdim\"", 0).history("");
    let lock = fs::File::create(folder.path().join("runs/a/run.lock")).unwrap();
    lock.lock().unwrap();
    let log = folder.path().join("runs/a/infomax.log");
    let line = |target: &str, told: &str| format!("2023-11-14T22:13:20Z info {target}: {told}\n");
    fs::write(&log, line("run", "first") + &line("meanwhile", "untrained encoder: step 120/2000")).unwrap();
    let table = || infomax(folder.path(), &["runs"]).out;
    assert!(
        table().contains("training") && table().contains("runs/a: untrained encoder: step 120/2000"),
        "{}",
        table()
    );
    let board = shown(folder.path(), &[]);
    assert!(board.get("/").body.replace("<wbr>", "").contains("untrained encoder: step 120/2000"));
    fs::write(&log, fs::read_to_string(&log).unwrap() + &line("run", "step 0: untrained_linear_top1 9.50 %")).unwrap();
    assert!(!table().contains("120/2000"), "it is over: {}", table());
    drop(lock);
}

/// Every way in which a run or a cell can stand; the files that a process is to hold locked.
fn in_every_state(folder: &Path) -> Vec<PathBuf> {
    let runs = folder.join("runs");
    let mut locks = Vec::new();
    let mut locked = |path: &Path, text: &str| {
        fs::write(path, text).unwrap();
        locks.push(path.to_owned());
    };
    let end = |how: &str| format!(r#"{{"at": 1700000100, "how": "{how}"}}"#);
    for how in ["finished", "interrupted", "diverged", "failed"] {
        written(folder, how, "loss.name = \"amdim\"", 1).history(&end(how));
    }
    written(folder, "lost", "", 1).history("");
    written(folder, "waiting", "", 0);
    written(folder, "trained", "", 1).history("");
    locked(&runs.join("trained/run.lock"), r#"{"pid": 1, "host": "", "started": ""}"#);
    written(folder, "resumed", "", 1).history(&end("finished"));
    locked(&runs.join("resumed/run.lock"), "");
    written(folder, "elsewhere", "", 1).history("");
    fs::write(runs.join("elsewhere/run.lock"), r#"{"pid": 1, "host": "another", "started": ""}"#).unwrap();
    written(folder, "unheard", "", 1).history("");
    fs::write(runs.join("unheard/run.lock"), r#"{"pid": 1, "host": "another", "started": ""}"#).unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    let aged = |path: &Path| fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    aged(&runs.join("unheard/run.lock"));
    written(folder, "old", "", 1);
    fs::write(runs.join("old/encoder.safetensors"), "").unwrap();
    written(folder, "damaged", "", 1);
    fs::write(runs.join("damaged/history.json"), "{").unwrap();

    let ends = ["", "finished", "interrupted", "diverged", "failed"];
    let failures = [
        ("none", ""),
        ("code", r#"{"tries": 1, "exit_code": 3, "signal": null, "told": "", "at": 1}"#),
        ("diverged", r#"{"tries": 1, "exit_code": 6, "signal": null, "told": "", "at": 1}"#),
        ("asked", r#"{"tries": 1, "exit_code": 75, "signal": null, "told": "", "at": 1}"#),
        ("killed", r#"{"tries": 1, "exit_code": null, "signal": 9, "told": "", "at": 1}"#),
        ("stopped", r#"{"tries": 1, "exit_code": null, "signal": 15, "told": "", "at": 1}"#),
        ("damaged", "{"),
    ];
    let here = |released: bool| {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let (host, boot) = (host.trim(), boot.trim());
        serde_json::json!({"host": host, "boot": boot, "pid": 1, "since": 1, "released": released}).to_string()
    };
    let other = r#"{"host": "another", "boot": "x", "pid": 1, "since": 1, "released": false}"#;
    let leases =
        [("free", String::new()), ("here", here(false)), ("released", here(true)), ("other", other.to_owned())];
    for how in ends {
        for (failure, text) in failures {
            let cell = |id: &str| {
                let run = written(folder, &format!("cells/{id}/run"), "loss.name = \"amdim\"", 1);
                run.history(&if how.is_empty() { String::new() } else { end(how) });
                let cell = runs.join("cells").join(id);
                if !text.is_empty() {
                    fs::write(cell.join("failure.json"), text).unwrap();
                }
                cell
            };
            for (lease, holder) in &leases {
                let cell = cell(&format!("{how}{failure}{lease}"));
                if !holder.is_empty() {
                    fs::write(cell.join("lease-2"), holder).unwrap();
                }
            }
            locked(&cell(&format!("{how}{failure}locked")).join("lease-11"), other);
            let silent = cell(&format!("{how}{failure}silent")).join("lease-3");
            fs::write(&silent, other).unwrap();
            aged(&silent);
        }
    }
    written(folder, "cells/notbegun/run", "", 0);
    locks
}

#[test]
fn the_reader_in_python_says_the_same_of_every_state() {
    let Some(python) = python_with("json") else { return };
    let folder = tempfile::tempdir().unwrap();
    let lock = |path: PathBuf| {
        let file = fs::File::open(path).unwrap();
        file.lock().unwrap();
        file
    };
    let locks: Vec<fs::File> = in_every_state(folder.path()).into_iter().map(lock).collect();
    let reader = infomax(folder.path(), &["python"]).out;
    fs::write(folder.path().join("infomax_read.py"), reader).unwrap();
    let ended = infomax(folder.path(), &["runs", "--cells", "--format", "json"]);
    let all: Value = serde_json::from_str(&ended.out).unwrap();
    let told = |run: &Value| (run["path"].as_str().unwrap().to_owned(), run["state"].as_str().unwrap().to_owned());
    let expected: BTreeMap<String, String> = all["runs"].as_array().unwrap().iter().map(told).collect();
    let states: BTreeSet<&str> = expected.values().map(String::as_str).collect();
    assert_eq!(states.len(), 7, "every state: {states:?}");
    assert!(expected.len() > 200, "{}", expected.len());
    let script = "import json, sys\nsys.path.insert(0, sys.argv[1])\nfrom infomax_read import runs\n\
        print(json.dumps({str(run.path.resolve()): run.state for run in runs(sys.argv[1] + '/runs')}))";
    let said: BTreeMap<String, String> = serde_json::from_str(&printed(&python, script, folder.path())).unwrap();
    drop(locks);
    let differs: Vec<_> = expected.iter().filter(|(path, state)| said.get(*path) != Some(*state)).collect();
    assert!(differs.is_empty(), "{differs:?} but {said:?}");
}

#[test]
fn a_pattern_may_take_in_what_is_no_run() {
    let folder = folder();
    let ended = infomax(folder.path(), &["compare", "runs/a", "runs/b", "runs/d", "runs/group", "runs/notes.txt"]);
    assert_eq!(ended.code, 0, "{}", ended.seen());
    assert!(ended.err.contains("passed over, since they are no runs: `runs/group`, `runs/notes.txt`"), "{}", ended.err);
    let missing = infomax(folder.path(), &["compare", "runs/a", "runs/b", "runs/e"]);
    assert_eq!(missing.code, 2, "{}", missing.seen());
}
