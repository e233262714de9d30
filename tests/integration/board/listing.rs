//! `infomax runs`.

use super::page::written;
use crate::support::ended::infomax;
use serde_json::Value;
use std::{fs, path::Path};

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
fn a_pattern_may_take_in_what_is_no_run() {
    let folder = folder();
    let ended = infomax(folder.path(), &["compare", "runs/a", "runs/b", "runs/d", "runs/group", "runs/notes.txt"]);
    assert_eq!(ended.code, 0, "{}", ended.seen());
    assert!(ended.err.contains("passed over, since they are no runs: `runs/group`, `runs/notes.txt`"), "{}", ended.err);
    let missing = infomax(folder.path(), &["compare", "runs/a", "runs/b", "runs/e"]);
    assert_eq!(missing.code, 2, "{}", missing.seen());
}
