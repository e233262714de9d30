//! Runs of which something is missing or damaged: a page on what is there, or a clear word.

use super::page::{page, text};
use crate::{
    support::{
        binary::{errors, run},
        figures::{figure, sampled},
    },
    training::{assert_ok, train},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Each file of a run away, emptied, cut in half, overwritten.
#[test]
fn report_of_a_run_with_any_file_damaged_is_a_page() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &[]));
    let path = folder.path().join("runs/run");
    let mut found = Vec::new();
    files(&path, &mut found);
    found.retain(|file| !file.starts_with(path.join("plugins")) && !file.ends_with("report.html"));
    let ways = ["away", "empty", "half", "garbage"];
    let cases = found.iter().flat_map(|file| ways.map(|way| (file, way))).collect();
    let cases = sampled("report", cases);
    for &(file, way) in &cases {
        let whole = fs::read(file).unwrap();
        match way {
            "away" => fs::remove_file(file).unwrap(),
            "empty" => fs::write(file, "").unwrap(),
            "half" => fs::write(file, &whole[..whole.len() / 2]).unwrap(),
            _ => fs::write(file, b"\xff\xfe{\"step\": \"x\"}\n\0\n").unwrap(),
        }
        let output = run(folder.path(), &["report", "runs/run"]);
        assert!(output.status.success(), "{way} {}: {}", file.display(), errors(&output, folder.path()));
        let head = text(&page(&path), "");
        assert!(head.starts_with("run · "), "{way} {}: {head}", file.display());
        fs::write(file, &whole).unwrap();
    }
    let tried = cases.len();
    figure("report", "damaged runs with a page", tried, tried);
}

#[test]
fn damaged_line_of_metrics_is_told_and_what_stands_before_it_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &[]));
    let path = folder.path().join("runs/run");
    let metrics = fs::read_to_string(path.join("metrics.jsonl")).unwrap();
    let lines: Vec<&str> = metrics.lines().collect();
    fs::write(path.join("metrics.jsonl"), [&lines[..7], &["nonsense"], &lines[8..], &[""]].concat().join("\n"))
        .unwrap();
    let output = run(folder.path(), &["report", "runs/run"]);
    assert_ok(&output);
    insta::assert_snapshot!(errors(&output, folder.path()));
    let page = page(&path);
    assert!(text(&page, "This page is not complete").contains("is not a line of metrics"), "{page}");
    assert!(page.contains("<span class=\"what\">Loss</span>"), "seven lines are enough for a curve");
}

#[test]
fn folder_without_a_run_and_pages_that_can_t_be_written_are_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("other")).unwrap();
    for no_run in ["other", "missing"] {
        let output = run(folder.path(), &["report", no_run]);
        assert_eq!(output.status.code(), Some(2));
        insta::assert_snapshot!(no_run, errors(&output, folder.path()));
    }
    assert_eq!(fs::read_dir(folder.path().join("other")).unwrap().count(), 0, "nothing is left in it");
    // A run that had hardly begun.
    fs::write(folder.path().join("other/config.toml"), "[train]\nsteps = 3\n").unwrap();
    assert_ok(&run(folder.path(), &["report", "other"]));
    let head = text(&page(&folder.path().join("other")), "");
    assert!(head.contains("other · not known to have begun"), "{head}");
    let output = run(folder.path(), &["report", "other", "--out", "nowhere/page.html"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output, folder.path()).contains("error: can't write `nowhere/page.html`: No such file"));
}
