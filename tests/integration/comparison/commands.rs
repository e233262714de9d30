//! `infomax compare` on runs that the binary has trained: two encoders, two seeds each.

use crate::{
    reference::small,
    support::binary::{errors, run},
    training::{assert_ok, train},
};
use serde_json::Value;
use std::{fs, path::Path, process::Output};
use tempfile::TempDir;

const HEAD: &str = "loss.config={ projector_hidden = 32, projector_dim = 16 }";
const RUNS: [&str; 4] = ["runs/resnet-1", "runs/resnet-2", "runs/vit-1", "runs/vit-2"];

/// Four runs of NT-Xent.
fn trained() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for seed in [1, 2] {
        let seed_set = format!("train.seed={seed}");
        let shared = [HEAD, "evaluation.collapse=true", "evaluation.every_steps=2", seed_set.as_str()];
        let resnet = ["encoder.config={ width = 8 }"];
        let vit = ["encoder.name=vit-tiny", "encoder.config={ patch = 8, depth = 2 }"];
        for (name, own) in [("resnet", &resnet[..]), ("vit", &vit[..])] {
            let output = small::train(folder.path(), &format!("{name}-{seed}"), "nt-xent", &[own, &shared].concat());
            small::assert_ok(&output, folder.path());
        }
    }
    folder
}

fn compare(folder: &Path, more: &[&str]) -> Output {
    run(folder, &[&["compare"][..], more].concat())
}

fn out(output: &Output) -> String {
    assert_ok(output);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A table without its numbers and the widths that they give its columns.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_ascii_digit() && !before.is_alphanumeric() && before != '_' {
            while letters.next_if(|c| c.is_ascii_digit() || *c == '.' && before != ',').is_some() {}
            let signs = out.trim_end_matches(['+', '-', '<']).len();
            out.truncate(signs);
            out.push('#');
            before = '#';
        } else {
            if !(letter == ' ' && out.ends_with("  ")) {
                out.push(letter);
            }
            before = letter;
        }
    }
    let line = |line: &str| {
        if line.starts_with("Trained on") { "Trained on [machine]".to_owned() } else { line.trim_end().to_owned() }
    };
    out.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn two_encoders_with_two_seeds_are_two_rows_in_every_form() {
    let folder = trained();
    let files = ["c.html", "c.png", "c.md", "c.csv", "c.tex", "c.json", "c.txt"];
    let mut arguments = [&RUNS[..], &["--metric", "rankme"]].concat();
    arguments.extend(files.iter().flat_map(|file| ["--out", file]));
    let text = out(&compare(folder.path(), &arguments));
    insta::assert_snapshot!(without_numbers(&text));
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();

    // What the table says is what the runs' own metrics say.
    let last = |name: &str| -> f64 {
        let rows = small::metrics(&folder.path().join(name));
        rows.iter().rev().find_map(|row| row["rankme"].as_f64()).unwrap()
    };
    let json: Value = serde_json::from_str(&read("c.json")).unwrap();
    let groups = json["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    let mean = |index: usize| groups[index]["last"]["mean"].as_f64().unwrap();
    assert!((mean(0) - (last(RUNS[0]) + last(RUNS[1])) / 2.0).abs() < 1e-9);
    assert!((mean(1) - (last(RUNS[2]) + last(RUNS[3])) / 2.0).abs() < 1e-9);
    assert!((groups[1]["difference"]["mean"].as_f64().unwrap() - (mean(1) - mean(0))).abs() < 1e-9);
    assert_eq!(groups[1]["difference"]["test"], "paired_t");
    assert_eq!(groups[1]["settings"]["encoder.name"], "vit-tiny");
    let bytes = groups[0]["memory"]["process_bytes"].as_u64().unwrap();
    assert!((50 << 20..8 << 30).contains(&bytes), "{bytes} bytes at most");

    let csv = read("c.csv");
    assert_eq!(csv.lines().count(), 3);
    assert!(csv.starts_with("encoder.name,label,is_baseline,done,"), "{csv}");
    assert!(read("c.tex").contains("\\toprule") && read("c.txt").trim_end() == text.rsplit_once("\n\n").unwrap().0);
    assert!(read("c.md").starts_with("| encoder | seeds | rankme |"), "{}", read("c.md"));
    assert!(fs::read(folder.path().join("c.png")).unwrap().starts_with(b"\x89PNG"));

    let page = read("c.html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"), "the page is whole");
    for way_out in ["http://", "https://", "href", "url(", "@import", "<link", "<iframe", "<img", "javascript:", "src="]
    {
        assert!(!page.contains(way_out), "{way_out}");
    }
    assert_eq!(page.matches("<script>").count(), 1);
    assert_eq!(page.matches("<svg ").count(), page.matches("<desc ").count(), "each picture is told in words too");
    for part in ["Results", "Effects", "Curves", "Results against time", "Runs", "vit-tiny", "paired t, 2 pairs"] {
        assert!(page.contains(part), "{part}");
    }
    // What is printed in a form is what the file has.
    for (format, file) in [("markdown", "c.md"), ("csv", "c.csv"), ("latex", "c.tex"), ("json", "c.json")] {
        let printed = out(&compare(folder.path(), &[&RUNS[..], &["--metric", "rankme", "--format", format]].concat()));
        assert_eq!(printed.trim_end(), read(file).trim_end(), "{format}");
    }
    // Another baseline turns the difference round; another metric is another table.
    let other = out(&compare(
        folder.path(),
        &[&RUNS[..], &["--metric", "rankme", "--baseline", "runs/vit-2", "--format", "json"]].concat(),
    ));
    let json: Value = serde_json::from_str(&other).unwrap();
    assert!((json["groups"][0]["difference"]["mean"].as_f64().unwrap() - (mean(0) - mean(1))).abs() < 1e-9);
    let by_default = out(&compare(folder.path(), &RUNS));
    assert!(by_default.contains("linear_top1 (%)") && by_default.contains("mlp_top1 (%)"), "{by_default}");
}

#[test]
fn a_diverged_and_an_unfinished_run_are_told_and_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let bad = ["optimizer.lr=1000", "optimizer.warmup_steps=0", "train.max_skipped_steps_in_a_row=2", "train.seed=2"];
    assert_ok(&train(folder.path(), "good", &[]));
    assert_eq!(train(folder.path(), "bad", &bad).status.code(), Some(6));
    assert_ok(&train(folder.path(), "killed", &["train.seed=3"]));
    // As a killed process leaves it.
    let history = folder.path().join("runs/killed/history.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&history).unwrap()).unwrap();
    value["parts"][0].as_object_mut().unwrap().remove("end");
    fs::write(&history, value.to_string()).unwrap();
    let text = out(&compare(folder.path(), &["runs/good", "runs/bad", "runs/killed"]));
    assert!(text.contains("diverged: runs/bad (seed 2): "), "{text}");
    assert!(text.contains("(exit code 6)") && text.contains("not finished: runs/killed (seed 3): step 14"), "{text}");
    assert!(text.contains("1 of 2") && text.contains("0 of 1"), "{text}");
}

#[test]
fn what_can_t_be_compared_is_said() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &[]));
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::create_dir(folder.path().join("broken")).unwrap();
    fs::write(folder.path().join("broken/config.toml"), "[train\n").unwrap();
    for (name, arguments) in [
        ("no_run", &["runs/run", "empty"][..]),
        ("no_config", &["runs/run", "broken"]),
        ("no_such_metric", &["runs/run", "--metric", "linear_top5"]),
        ("no_such_baseline", &["runs/run", "--baseline", "runs/other"]),
        ("no_such_form", &["runs/run", "--out", "table.xlsx"]),
    ] {
        let output = compare(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{name}");
        insta::assert_snapshot!(name, errors(&output, folder.path()));
    }
    // As the shell writes `runs/*` out where studies lie beside runs.
    let names = ["runs/run", "runs/run", "empty"];
    let output = compare(folder.path(), &names);
    assert!(
        output.status.success()
            && errors(&output, folder.path()).contains("passed over, since they are no runs: `empty`")
    );
    let output = compare(folder.path(), &["runs/run", "--out", "nowhere/page.html"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output, folder.path()).contains("error: can't write `nowhere/page.html`: No such file"));
}
