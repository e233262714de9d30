//! `report.html` of runs that ended in each way.

use super::page::{page, text, without_figures};
use crate::{
    resume::exact::cut,
    support::{
        binary::{errors, infomax, run},
        image_tree::{ImageTree, PHOTOGRAPHS, fixture},
    },
    training::{arguments, assert_ok, metrics, train},
};
use std::{fs, path::Path, process::Stdio, thread, time::Duration};

/// The command of this description on a run's page, as words; it holds nothing that a shell reads.
fn command(page: &str, what: &str) -> Vec<String> {
    let after = page.split(&format!("<dt>{what}</dt><dd><code>")).nth(1).unwrap_or_else(|| panic!("no `{what}`"));
    let line = after.split("</code>").next().unwrap();
    assert!(!line.contains('\''), "{line}");
    line.split(' ').skip(1).map(str::to_owned).collect()
}

#[test]
fn finished_run_has_a_page_with_everything() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(
        folder.path(),
        "run",
        &["evaluation.untrained=true", "evaluation.collapse=true", "evaluation.every_steps=14"],
    ));
    let path = folder.path().join("runs/run");
    let page = page(&path);
    insta::assert_snapshot!(without_figures(&text(&page, "Results")));
    insta::assert_snapshot!(without_figures(&text(&page, "Again")));
    insta::assert_snapshot!(without_figures(&text(&page, "Data")));
    insta::assert_snapshot!(without_figures(&text(&page, "History")));

    let head = text(&page, "");
    for part in ["run · done", "dataset shapes → augmentation amdim → encoder amdim → loss amdim", "updates of 14 | 14"]
    {
        assert!(head.contains(part), "{part}:\n{head}");
    }
    let settings = text(&page, "Settings");
    for part in [
        "steps | 14 | --set train.steps=14",
        "batch_size | 16 | --set train.batch_size=16 · instead of 64 (",
        "configs/experiments/shapes-demo.toml:",
        "config.clip | true | default",
    ] {
        assert!(settings.contains(part), "{part}:\n{settings}");
    }
    assert_eq!(page.matches("<svg ").count(), page.matches("<figure ").count());
    let charts =
        ["Loss", "g2l_1t5", "lgt_reg", "Learning rate", "Accuracy on the test images", "Pace", "Effective dimensions"];
    for chart in charts {
        assert!(page.contains(&format!("<span class=\"what\">{chart}</span>")), "{chart}");
    }
    let run_json = fs::read_to_string(path.join("run.json")).unwrap();
    let identity: serde_json::Value = serde_json::from_str(&run_json).unwrap();
    let builds = text(&page, "Builds");
    for (name, plugin) in identity["plugins"].as_object().unwrap() {
        let hash = &plugin["sha256"].as_str().unwrap()[..12];
        assert!(builds.contains(name) && builds.contains(hash) && builds.contains(plugin["rustc"].as_str().unwrap()));
    }
    assert!(text(&page, "Machine").contains("processor | "));
    assert!(text(&page, "Checkpoints").lines().count() > 4);
    // The accuracy is the last one of the metrics; on the test images nothing is best.
    let last = metrics(&path).iter().filter_map(|row| row["linear_top1"].as_f64()).next_back().unwrap();
    assert!(text(&page, "Results").contains(&format!("{last:.2} %")));
    assert!(head.contains(&format!("linear_top1, step 14 | {last:.2} %")) && !head.contains("best"), "{head}");
}

#[test]
fn headline_is_the_last_result_and_the_best_where_it_is_chosen_on_held_out_images() {
    let folder = tempfile::tempdir().unwrap();
    let more = [
        "evaluation.holdout_fraction=0.25",
        "evaluation.every_steps=3",
        "checkpoint.keep_best=1",
        "checkpoint.best_metric=mlp_top1",
    ];
    assert_ok(&train(folder.path(), "run", &more));
    let path = folder.path().join("runs/run");
    let rows = metrics(&path);
    let top1: Vec<(u64, f64)> =
        rows.iter().filter_map(|row| Some((row["step"].as_u64()?, row["mlp_top1"].as_f64()?))).collect();
    assert!(top1.len() > 3);
    let (step, best) = top1.iter().copied().rev().max_by(|one, two| one.1.total_cmp(&two.1)).unwrap();
    let page = page(&path);
    let head = text(&page, "");
    let last = format!("mlp_top1, step 14 | {:.2} %", top1[top1.len() - 1].1);
    let best = format!("best on held-out images, step {step} | {best:.2} %");
    assert!(head.contains(&last) && head.contains(&best), "{last}, {best}:\n{head}");
    assert!(text(&page, "Results").contains("| best | at step"));
    assert!(page.contains("<span class=\"what\">Accuracy on held-out images</span>"));
}

#[test]
fn curves_begin_at_the_first_step_however_seldom_values_are_written() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "often", &[]));
    assert_ok(&train(folder.path(), "seldom", &["train.log_every_steps=6", "record.tensorboard=true"]));
    let losses = |name: &str| -> Vec<(u64, f64)> {
        let rows = metrics(&folder.path().join("runs").join(name));
        rows.iter().filter_map(|row| Some((row["step"].as_u64()?, row["loss"].as_f64()?))).collect()
    };
    let (often, seldom) = (losses("often"), losses("seldom"));
    assert_eq!(seldom.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1, 6, 12, 14]);
    assert!(seldom.iter().all(|point| often.contains(point)), "{seldom:?} of {often:?}");
    let path = folder.path().join("runs/seldom");
    let page = page(&path);
    assert!(page.contains(&format!("<title>loss {} at step 1</title>", infomax::report::number(seldom[0].1))));
    // Gone on with from before the second row, nothing is written twice.
    let whole = metrics(&path);
    cut(&path, 4);
    assert_ok(&run(folder.path(), &["train", "--resume", "runs/seldom"]));
    assert_eq!(metrics(&path), whole);
}

#[test]
fn page_needs_nothing_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &[]));
    let page = page(&folder.path().join("runs/run"));
    assert!(page.contains("src=\"data:image/png;base64,"), "the views are in it");
    for way_out in [
        "http://",
        "https://",
        "href",
        "url(",
        "@import",
        "<script",
        "<link",
        "<iframe",
        "<object",
        "javascript:",
        "onload",
        "srcset",
    ] {
        assert!(!page.contains(way_out), "{way_out}");
    }
    assert_eq!(page.matches("src=").count(), page.matches("src=\"data:").count());
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\""));
    assert!(page.len() < 3 << 20, "{} bytes", page.len());
}

#[test]
fn page_is_not_written_where_it_is_not_wanted() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &["record.report=false"]));
    let path = folder.path().join("runs/run");
    assert!(!path.join("report.html").exists());
    let output = run(folder.path(), &["report", "runs/run", "--out", "elsewhere.html"]);
    assert_ok(&output);
    assert!(folder.path().join("elsewhere.html").exists() && !path.join("report.html").exists());
    let output = run(folder.path(), &["report", "runs/run"]);
    assert_ok(&output);
    assert!(text(&page(&path), "").contains("run · done"));
}

#[test]
fn commands_of_the_page_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &["record.contact_sheet=false"]));
    let runs = folder.path().join("runs");
    let page = page(&runs.join("run"));
    assert_ok(&run(folder.path(), &command(&page, "Repeat the run under another name")));
    assert_eq!(metrics(&runs.join("run")), metrics(&runs.join("run-again")));
    assert_ok(&run(folder.path(), &command(&page, "The same with another seed")));
    assert_ne!(metrics(&runs.join("run")), metrics(&runs.join("run-seed2")));
    assert_ok(&run(folder.path(), &command(&page, "Train twice as long")));
    assert_eq!(metrics(&runs.join("run")).last().unwrap()["step"], 28);
}

#[test]
fn diverged_run_has_a_page_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let more = [
        "optimizer.lr=1000",
        "optimizer.warmup_steps=0",
        "train.max_skipped_steps_in_a_row=2",
        "checkpoint.every_steps=100",
        "evaluation.every_steps=100",
    ];
    let output = train(folder.path(), "run", &more);
    assert_eq!(output.status.code(), Some(6), "{}", errors(&output, folder.path()));
    let page = page(&folder.path().join("runs/run"));
    let head = text(&page, "");
    assert!(head.contains("run · diverged at step ") && head.contains("was not finite in 3 steps in a row"), "{head}");
    assert!(head.contains("Hint: lower optimizer.lr") && head.contains("steps without an update | "), "{head}");
    assert!(text(&page, "History").contains("| diverged"));
    assert!(page.contains("is not finite at step "), "the curves mark it");
    let again = command(&page, "Begin again with a tenth of the learning rate");
    assert!(again.contains(&"optimizer.lr=100".to_owned()), "{again:?}");
}

#[test]
fn page_follows_a_run_through_its_life() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs/run");
    let more = ["train.steps=100000", "evaluation.every_steps=100000", "checkpoint.every_steps=100000"];
    let start = |arguments: &[String]| {
        let rows = fs::metadata(path.join("metrics.jsonl")).map_or(0, |file| file.len());
        let mut command = infomax(folder.path(), arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !path.join("metrics.jsonl").metadata().is_ok_and(|file| file.len() > rows) {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            thread::sleep(Duration::from_millis(5));
        }
        child
    };
    let told = || {
        assert_ok(&run(folder.path(), &["report", "runs/run"]));
        text(&page(&path), "")
    };
    // Under way.
    let mut child = start(&arguments("run", &more));
    assert!(told().contains("run · training at step "), "{}", told());
    // Interrupted: the page is written without asking.
    fs::remove_file(path.join("report.html")).unwrap();
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let head = text(&page(&path), "");
    assert!(
        head.contains("run · interrupted at step ") && head.contains("Hint: continue with infomax train --resume"),
        "{head}"
    );
    // Gone on with, and killed.
    let go_on = command(&page(&path), "Go on from the last checkpoint");
    let mut child = start(&go_on);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(told().contains("run · ended without a word at step "), "{}", told());
    // Brought to its end under changed settings.
    let step = last_checkpoint(&path) + 2;
    let (steps, warm) = (format!("train.steps={step}"), "train.workers=0".to_owned());
    let more = ["--set".to_owned(), steps.clone(), "--set".to_owned(), warm];
    assert_ok(&run(folder.path(), &[go_on.as_slice(), &more].concat()));
    let page = page(&path);
    assert!(text(&page, "").contains("run · done"), "{}", text(&page, ""));
    let history = text(&page, "History");
    let ways: Vec<&str> = history.lines().skip(1).map(|line| line.rsplit(" | ").next().unwrap()).collect();
    assert_eq!(ways, ["interrupted", "ended without a word", "done"], "{history}");
    let settings = text(&page, "Settings");
    let expected =
        format!("steps | {step} | --set {steps}, on resuming · instead of 100000 (--set train.steps=100000)");
    assert!(settings.contains(&expected), "{settings}");
    assert!(page.contains("data:image/png"), "the views are made at the end of a run that was resumed too");
    // Asked once more, it stays as it is.
    let before = fs::read_to_string(path.join("history.json")).unwrap();
    assert_ok(&run(folder.path(), &go_on));
    assert_eq!(fs::read_to_string(path.join("history.json")).unwrap(), before);
}

fn last_checkpoint(run: &Path) -> u64 {
    let names = fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name());
    let steps = names.filter_map(|name| name.to_string_lossy().strip_prefix("step-")?.parse().ok());
    steps.max().unwrap()
}

#[test]
fn refused_resume_does_not_change_how_a_run_ended() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &[]));
    let path = folder.path().join("runs/run");
    cut(&path, 8);
    fs::write(path.join("run.json"), "{}").unwrap();
    let output = run(folder.path(), &["train", "--resume", "runs/run"]);
    assert_eq!(output.status.code(), Some(5), "{}", errors(&output, folder.path()));
    assert!(text(&page(&path), "").contains("run · done"));
}

#[test]
fn several_processes_leave_one_page() {
    let folder = tempfile::tempdir().unwrap();
    let mut list = arguments("run", &["record.tensorboard=true"]);
    list.extend(["--nproc".to_owned(), "2".to_owned()]);
    assert_ok(&run(folder.path(), &list));
    let page = page(&folder.path().join("runs/run"));
    assert!(text(&page, "").contains("run · done") && page.contains("data:image/png"));
    let settings = text(&page, "Settings");
    assert!(settings.contains("nproc | 2 | --set distributed.nproc=2"), "{settings}");
    assert_eq!(fs::read_dir(folder.path().join("runs/run/tensorboard")).unwrap().count(), 1);
}

#[test]
fn class_named_like_a_tag_stays_a_name() {
    let tree = ImageTree::empty();
    for (index, file) in PHOTOGRAPHS.iter().enumerate() {
        let class = ["<script>alert(1)<", "b&\"b"][index % 2];
        tree.put(format!("train/{class}/{index}.jpg"), &fixture(file));
    }
    let ended = tree.run(&["train"], &["--set", "record.contact_sheet=true"]);
    assert_eq!(ended.code, 0, "{}", ended.seen());
    let page = page(&tree.path("runs/run"));
    assert!(!page.contains("<script"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;") && page.contains("b&amp;&quot;b"));
}
