//! O06: cells that fail or can't be trained; retries, stopping, time limits.

use super::small::{ablate, cells, counts, run, states, study};
use crate::support::faulty::fixture;

/// A loss that fails as a config says.
fn faulty(label: &str, config: &str) -> String {
    let path = fixture("faulty").to_string_lossy().into_owned();
    format!("\"{label}\" = {{ loss = {{ name = \"faulty\", path = \"{path}\", config = {{ {config} }} }} }}\n")
}

fn axis(points: &[String]) -> String {
    format!("[axes.point]\n\"sound\" = {{}}\n{}\"also sound\" = {{ optimizer.lr = 2e-3 }}\n", points.concat())
}

#[test]
fn o06_five_bad_points_leave_the_others_to_be_trained() {
    let points = [
        "\"unknown loss\" = { loss.name = \"nt-xnt\" }\n".to_owned(),
        "\"no maps\" = { encoder = { name = \"resnet18\", config = { width = 8 } } }\n".to_owned(),
        faulty("panics", "callback = \"forward\", fault = \"panic\""),
        faulty("dies", "callback = \"forward\", fault = \"kill\""),
        faulty("diverges", "callback = \"forward\", fault = \"not_a_number\""),
    ];
    let folder = study("", &axis(&points));
    let folder = folder.path();
    let set = ["--set", "train.max_skipped_steps_in_a_row=0"];
    let ended = ablate(folder, "run", &set);
    assert_eq!(ended.code, 9, "{}", ended.seen());
    assert!(ended.err.contains("5 of the study's 7 cells failed or can't be trained"), "{}", ended.seen());
    for told in ["panic", "signal 9 (SIGKILL)", "exit code 6", "`nt-xnt`", "needs maps of"] {
        assert!(ended.out.contains(told), "{told}: {}", ended.seen());
    }
    assert_eq!(ended.out.matches("is done in").count(), 2, "{}", ended.seen());
    // Told again, and not trained again.
    let again = ablate(folder, "run", &set);
    assert_eq!((again.code, again.out.matches("starts").count()), (9, 0), "{}", again.seen());
    let retried = ablate(folder, "run", &[&set[..], &["--retry-failed"]].concat());
    assert_eq!((retried.code, retried.out.matches("starts").count()), (9, 3), "{}", retried.seen());
    let plan = ablate(folder, "plan", &set);
    assert!(plan.out.contains("7 cells: 2 done, 3 failed, 2 impossible"), "{}", plan.seen());
    crate::support::figures::figure("O06", "points trained beside five bad ones", 2, 2);
}

#[test]
fn a_cell_that_fails_once_is_tried_again() {
    let once = tempfile::tempdir().unwrap();
    let file = once.path().join("once").to_string_lossy().into_owned();
    let points = [faulty("dies once", &format!("callback = \"forward\", fault = \"kill\", once = \"{file}\""))];
    let folder = study("retries = 1", &axis(&points));
    let out = run(folder.path(), &[]);
    assert!(out.contains("signal 9 (SIGKILL)") && out.contains("3 cells are done, 3 of them trained now"), "{out}");
}

#[test]
fn a_failure_stops_the_study_where_it_says_so() {
    let points = [faulty("panics", "callback = \"forward\", fault = \"panic\"")];
    let folder = study("on_failure = \"stop\"", &axis(&points));
    let ended = ablate(folder.path(), "run", &["--workers", "1"]);
    assert_eq!(ended.code, 9, "{}", ended.seen());
    assert_eq!(states(folder.path()), counts(&[("done", 1), ("failed", 1), ("missing", 1)]));
}

#[test]
fn a_cell_that_hangs_is_ended_at_its_time_limit() {
    let points = [faulty("slow", "callback = \"forward\", fault = \"sleep\"")];
    let folder = study("timeout_seconds = 15\nbudget = { steps = 2 }", &axis(&points));
    let ended = ablate(folder.path(), "run", &["--cell", "2", "--set", "train.steps=5000"]);
    assert_eq!(ended.code, 9, "{}", ended.seen());
    assert!(ended.out.contains("it took longer than `timeout_seconds`"), "{}", ended.seen());
    assert_eq!(cells(folder.path()).len(), 1);
}
