//! What `plan` shows and refuses, and what makes cells the same.

use super::small::{ablate, cells, counts, planned, results, run, states, study, times_finished, write};
use crate::support::{binary::experiment, faulty::fixture, workspace::built};
use std::{fs, path::Path};

const LOSSES: &str = "[axes]\nloss = [\"amdim\", \"nt-xent\"]\n";

#[test]
fn a_study_trains_what_is_missing_and_nothing_twice() {
    let folder = study("seeds = [1, 2]", LOSSES);
    let folder = folder.path();
    assert_eq!(states(folder), counts(&[("missing", 4)]));
    let out = run(folder, &["--workers", "2"]);
    assert!(out.contains("4 cells are done, 4 of them trained now"), "{out}");
    assert_eq!(states(folder), counts(&[("done", 4)]));
    assert!(planned(folder).iter().all(|cell| cell["seconds"].as_f64().unwrap() > 0.0));
    let out = run(folder, &[]);
    assert!(out.contains("4 cells are done, 0 of them trained now"), "{out}");
    assert!(cells(folder).iter().all(|cell| times_finished(cell) == 1));
    // Another study has two of the same cells, and one of its own.
    let text = fs::read_to_string(folder.join("small.toml")).unwrap();
    fs::write(folder.join("other.toml"), text.replace("[1, 2]", "[2]").replace("\"nt-xent\"", "\"nt-xent\", \"dcl\""))
        .unwrap();
    let other = crate::support::ended::infomax(folder, &["ablate", "run", "other.toml"]);
    assert!(other.out.contains("3 cells are done, 1 of them trained now"), "{}", other.seen());
    // A cell is what `train` makes of the same config.
    let cell = &cells(folder)[0];
    let config = cell.join("config.toml").to_string_lossy().into_owned();
    let alone = crate::support::ended::infomax(folder, &["train", &config, "--set", "record.name=alone"]);
    assert_eq!(alone.code, 0, "{}", alone.seen());
    let same = |file: &str| {
        fs::read(cell.join("run").join(file)).unwrap() == fs::read(folder.join("runs/alone").join(file)).unwrap()
    };
    assert!(same("encoder.safetensors"));
}

#[test]
fn the_plan_shows_every_cell_with_what_is_wrong() {
    let axes = "[axes]\nloss = [\"amdim\", \"nt-xent\", \"nt-xnt\"]\n[axes.encoder]\nsmall = {}\nresnet = { encoder = { name = \"resnet18\", config = { width = 8 } } }\n";
    let folder = study("exclude = [{ loss = \"nt-xnt\", encoder = \"resnet\" }]", axes);
    let ended = ablate(folder.path(), "plan", &[]);
    assert_eq!(ended.code, 0, "{}", ended.seen());
    let root = crate::support::workspace::built().to_string_lossy().into_owned();
    let ids = planned(folder.path()).into_iter().filter_map(|cell| cell["id"].as_str().map(str::to_owned));
    let seen = ids.fold(ended.seen(), |text, id| text.replace(&id, "[id]            ")).replace(&root, "[built]");
    insta::assert_snapshot!(seen);
}

#[test]
fn plugins_are_found_in_folders_that_the_study_or_what_it_extends_adds() {
    let folder = study("", "[axes]\nloss = [\"faulty\"]\n");
    let folder = folder.path();
    fs::create_dir(folder.join("more")).unwrap();
    fs::copy(fixture("faulty"), folder.join("more/libfaulty.so")).unwrap();
    let file = folder.join("small.toml");
    let text = fs::read_to_string(&file).unwrap();
    let missing = ablate(folder, "plan", &[]);
    assert_eq!(missing.code, 2, "{}", missing.seen());
    fs::write(&file, text.replace("[config]\n", "[config]\nplugins.search = [\"more\"]\n")).unwrap();
    let out = run(folder, &[]);
    assert!(out.contains("1 cell is done, 1 of them trained now"), "{out}");
    // A base that extends another config has the other's folders too.
    let base = experiment("shapes-demo");
    fs::write(folder.join("lower.toml"), format!("extends = [\"{base}\"]\nplugins.search = [\"more\"]\n")).unwrap();
    fs::write(folder.join("base.toml"), "extends = [\"lower.toml\"]\n").unwrap();
    fs::write(&file, text.replace(&base, "base.toml")).unwrap();
    assert_eq!(states(folder), counts(&[("done", 1)]));
}

#[test]
fn faults_of_a_study_are_told_with_their_places() {
    let told = |head: &str, axes: &str| {
        let folder = study(head, axes);
        let ended = ablate(folder.path(), "plan", &[]);
        assert_eq!(ended.code, 2, "{}", ended.seen());
        ended.err.replace(&*crate::support::workspace::root().to_string_lossy(), "[workspace]")
    };
    let cases = [
        ("seedz = [1]", LOSSES),
        ("exclude = [{ loss = \"byol\" }]", LOSSES),
        ("baseline = { encoder = \"amdim\" }", LOSSES),
        ("", "[axes]\n\"optimizer.lr\" = { min = 1e-4, max = 1e-2 }\n"),
        ("", "[axes]\n\"optimizer.lrr\" = [1e-4, 1e-2]\n"),
        ("", "[axes]\n\"optimizer.lr, train.batch_size\" = [[1e-4, 4], [1e-3]]\n"),
        ("", "[axes]\nloss = [\"methods/nothing\"]\n"),
        ("search = { kind = \"random\", samples = 2 }", LOSSES),
        ("budget = { steps = 3, epochs = 1 }", LOSSES),
    ];
    let all: Vec<String> = cases.iter().map(|(head, axes)| told(head, axes)).collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn the_seed_the_budget_and_the_build_make_a_cell_and_threads_do_not() {
    let ids = |folder: &Path, more: &[&str]| {
        let ended = ablate(folder, "plan", &[&["--format", "json"], more].concat());
        let cells: Vec<serde_json::Value> =
            serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{}", ended.seen()));
        cells.iter().map(|cell| cell["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let folder = study("", LOSSES);
    let folder = folder.path();
    let first = ids(folder, &[]);
    for same in ["train.threads=2", "train.workers=3", "record.plot=true", "checkpoint.keep=5", "train.device=cpu"] {
        assert_eq!(ids(folder, &["--set", same]), first, "{same}");
    }
    for other in [
        "train.seed=3",
        "train.steps=3",
        "dataset.config.seed=2",
        "evaluation.knn=true",
        "dataset.config.train_length=41",
    ] {
        assert!(ids(folder, &["--set", other]).iter().zip(&first).all(|(a, b)| a != b), "{other}");
    }
    // Two builds of a component stand in one study.
    let library = |name: &str| {
        let path = folder.join(name);
        let mut bytes = fs::read(built().join("libinfomax_losses.so")).unwrap();
        // A byte of the version's text that nothing else reads: another build.
        let version =
            bytes.windows(7).rposition(|window| window == b"rustc 1").expect("the compiler's name stands in it");
        bytes[version] = if name.contains('b') { b'R' } else { b'r' };
        fs::write(&path, bytes).unwrap();
        path.to_string_lossy().into_owned()
    };
    let (a, b) = (library("a.so"), library("b.so"));
    write(
        folder,
        "",
        &format!(
            "[axes]\nloss = [{{ name = \"nt-xent\", path = \"{a}\" }}, {{ name = \"nt-xent\", path = \"{b}\" }}]\n"
        ),
    );
    let ids = ids(folder, &[]);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0], first[1], "the same build from another place");
    let out = run(folder, &[]);
    assert!(out.contains("2 cells are done, 2 of them trained now"), "{out}");
    let results: Vec<_> = cells(folder).iter().map(|cell| results(cell)).collect();
    assert_eq!(results[0], results[1], "the builds compute alike");
}

#[test]
fn measuring_begins_cells_that_go_on() {
    let folder = study("seeds = [1, 2]\nbudget = { steps = 300 }", LOSSES);
    let folder = folder.path();
    assert!(planned(folder).iter().all(|cell| cell["seconds"].is_null()));
    let plan = ablate(folder, "plan", &["--measure", "1"]);
    assert_eq!(plan.code, 0, "{}", plan.seen());
    assert_eq!(plan.err.matches("measuring cell").count(), 2, "one of each point: {}", plan.seen());
    let cells = planned(folder);
    for cell in &cells {
        assert!(cell["seconds"].as_f64().unwrap() > 0.0 && cell["bytes"].as_f64().unwrap() > 1e7, "{cell}");
    }
    assert_eq!(states(folder), counts(&[("interrupted", 2), ("missing", 2)]), "{}", plan.seen());
    assert_eq!(ablate(folder, "plan", &["--measure", "1"]).err.matches("measuring cell").count(), 0, "it is known");
    run(folder, &[]);
    assert!(crate::studies::small::cells(folder).iter().all(|cell| times_finished(cell) == 1));
}

#[test]
fn a_batch_larger_than_the_data_and_a_warm_up_longer_than_the_run_are_told_before_anything_trains() {
    let axes = "[axes.size]\nfits = {}\nbatch = { train.batch_size = 64 }\nwarmup = { optimizer.warmup_epochs = 3 }\n";
    let folder = study("budget = { steps = 20 }", axes);
    let cells = planned(folder.path());
    let reason = |size: &str| {
        let cell = cells.iter().find(|cell| cell.to_string().contains(size)).unwrap();
        (cell["state"].as_str().unwrap().to_owned(), cell.to_string())
    };
    assert_eq!(reason("fits").0, "missing");
    let (state, told) = reason("batch\"");
    assert!(state == "impossible" && told.contains("the dataset has 40 images to train on"), "{told}");
    let (state, told) = reason("warmup\"");
    assert!(state == "impossible" && told.contains("`optimizer.warmup_epochs` = 3 (30 updates)"), "{told}");
}
