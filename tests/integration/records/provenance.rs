//! How a run was started, as `run.json` and `history.json` say, and the log of its course.

use super::page::{page, text};
use crate::{
    support::{
        binary::{infomax, run},
        workspace::root,
    },
    training::{arguments, assert_ok, train},
};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let author = ["-c", "user.name=a", "-c", "user.email=a@b"];
    let output = Command::new("git").arg("-C").arg(folder).args(author).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A config of one's own in a repository of one's own.
fn own_config(folder: &Path) {
    fs::create_dir(folder.join("mine")).unwrap();
    let base = root().join("configs/experiments/shapes-demo");
    fs::write(folder.join("mine/own.toml"), format!("extends = [{:?}]\n", base.to_string_lossy())).unwrap();
    git(&folder.join("mine"), &["init", "-q"]);
    git(&folder.join("mine"), &["add", "own.toml"]);
    git(&folder.join("mine"), &["commit", "-qm", "own"]);
}

fn own_run(name: &str) -> Vec<String> {
    let mut words = arguments(name, &[]);
    words[1] = "mine/own.toml".to_owned();
    words
}

#[test]
fn command_commit_and_environment_are_told_and_no_secret() {
    if Command::new("git").arg("--version").output().is_err() {
        eprintln!("SKIPPED: git is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    own_config(folder);
    let commit = git(&folder.join("mine"), &["rev-parse", "HEAD"]);
    let mut command = infomax(folder, &own_run("clean"));
    command.env("OMP_NUM_THREADS", "1").env("NCCL_TOKEN", "abc-secret").env("SOMETHING_ELSE", "x");
    assert_ok(&command.output().unwrap());
    let path = folder.join("runs/clean");
    let provenance = json(&path.join("run.json"))["provenance"].clone();
    let words: Vec<&str> =
        provenance["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(words[1..], own_run("clean"));
    assert_eq!(provenance["git"], serde_json::json!({ "commit": commit, "dirty": false }));
    let environment = provenance["environment"].as_object().unwrap();
    assert_eq!((&environment["OMP_NUM_THREADS"], &environment["NCCL_TOKEN"]), (&"1".into(), &"<hidden>".into()));
    assert!(!environment.contains_key("SOMETHING_ELSE") && !environment.contains_key("HOME"));
    let builds = text(&page(&path), "Builds");
    for part in [&commit[..12], "train mine/own.toml", "OMP_NUM_THREADS=1"] {
        assert!(builds.contains(part), "{part}:\n{builds}");
    }
    // A config that differs from the commit; and what resumed the run is told of its part, not of the run.
    fs::write(folder.join("mine/own.toml"), fs::read_to_string(folder.join("mine/own.toml")).unwrap() + "# more\n")
        .unwrap();
    assert_ok(&run(folder, &own_run("dirty")));
    assert_eq!(json(&folder.join("runs/dirty/run.json"))["provenance"]["git"]["dirty"], true);
    // A fragment that is extended and not committed.
    git(&folder.join("mine"), &["checkout", "-q", "own.toml"]);
    fs::write(folder.join("mine/more.toml"), "extends = [\"own.toml\"]\ntrain.prefetch = 3\n").unwrap();
    fs::write(folder.join("mine/last.toml"), "extends = [\"more.toml\"]\n").unwrap();
    git(&folder.join("mine"), &["add", "last.toml"]);
    git(&folder.join("mine"), &["commit", "-qm", "last"]);
    let mut words = own_run("fragment");
    words[1] = "mine/last.toml".to_owned();
    assert_ok(&run(folder, &words));
    assert_eq!(json(&folder.join("runs/fragment/run.json"))["provenance"]["git"]["dirty"], true);
    let before = fs::read(path.join("run.json")).unwrap();
    assert_ok(&run(folder, &["train", "--resume", "runs/clean", "--set", "train.steps=16"]));
    assert_eq!(fs::read(path.join("run.json")).unwrap(), before);
    let parts = json(&path.join("history.json"))["parts"].clone();
    let word = |part: usize, word: usize| parts[part]["command"][word].as_str().unwrap().to_owned();
    assert_eq!((word(0, 2).as_str(), word(1, 2).as_str()), ("mine/own.toml", "--resume"));
}

#[test]
fn processes_and_cells_name_the_command_that_started_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut words = arguments("two", &["distributed.nproc=2"]);
    assert_ok(&run(folder, &words));
    words.insert(0, "infomax".to_owned());
    let told = json(&folder.join("runs/two/run.json"))["provenance"]["command"].clone();
    assert_eq!(told.as_array().unwrap()[1..], words[1..]);

    let base = words[2].clone();
    let small: String = words.iter().filter(|word| word.contains('=') && !word.starts_with("record.")).fold(
        String::new(),
        |text, set| {
            let (key, value) = set.split_once('=').unwrap();
            let value =
                if value.parse::<f64>().is_ok() || value == "false" { value.to_owned() } else { format!("{value:?}") };
            if key == "train.steps" || key == "distributed.nproc" { text } else { text + &format!("{key} = {value}\n") }
        },
    );
    let study = format!(
        "base = [{base:?}]\nseeds = [1]\nbudget = {{ steps = 6 }}\n[config]\n{small}[axes]\nloss = [\"amdim\"]\n"
    );
    fs::write(folder.join("study.toml"), study).unwrap();
    assert_ok(&run(folder, &["ablate", "run", "study.toml", "--workers", "1"]));
    let cells: Vec<_> = fs::read_dir(folder.join("runs/cells")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(cells.len(), 1);
    let command = json(&cells[0].join("run/run.json"))["provenance"]["command"].clone();
    assert_eq!(command.as_array().unwrap()[1..], ["ablate", "run", "study.toml", "--workers", "1"]);
    assert!(!fs::read_to_string(cells[0].join("cell.json")).unwrap().contains("provenance"));
}

/// Without git, and with one that never answers.
#[test]
fn a_run_does_without_git_and_waits_for_none_that_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let programs = folder.join("bin");
    fs::create_dir(&programs).unwrap();
    let mut command = infomax(folder, &arguments("none", &[]));
    assert_ok(&command.env("PATH", &programs).output().unwrap());
    let unknown =
        |name: &str| json(&folder.join("runs").join(name).join("run.json"))["provenance"]["git"]["unknown"].clone();
    assert_eq!(unknown("none"), "git is not installed");
    fs::write(programs.join("git"), "#!/bin/sh\n/bin/sleep 977 & /bin/sleep 978\n").unwrap();
    fs::set_permissions(programs.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    let began = Instant::now();
    let mut command = infomax(folder, &arguments("hangs", &[]));
    assert_ok(&command.env("PATH", &programs).output().unwrap());
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!(unknown("hangs"), "git did not answer within 2 s");
    let still_there = fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.starts_with(b"/bin/sleep\x00977\x00") || line.starts_with(b"/bin/sleep\x00978\x00")
    });
    assert!(!still_there, "what git has started is left behind");
}

#[test]
fn log_tells_the_course_of_a_run_with_times() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &[]));
    let log = fs::read_to_string(folder.path().join("runs/run/infomax.log")).unwrap();
    let mut last = String::new();
    for line in log.lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        let is_time = time.len() == 20 && time.starts_with("20") && &time[10..11] == "T" && time.ends_with('Z');
        assert!(is_time && !rest.is_empty(), "{line}");
        assert!(*time >= *last, "times go on: {line}");
        time.clone_into(&mut last);
    }
    for part in [
        "note: data: train 96 images",
        "the run begins: infomax ",
        "started by: ",
        "plugin infomax-plugin-amdim ",
        "cpu, 1 thread, f32",
        "checkpoint of step 4 written: ",
        "step 5: linear_top1 ",
        "step 14: linear_top1 ",
        "checkpoint of step 14 written: ",
        "linear_top1: ",
    ] {
        assert_eq!(log.matches(part).count(), 1, "{part}:\n{log}");
    }
    assert!(log.lines().count() < 25 && !log.contains("images/s"), "no line for a step:\n{log}");
    let output = run(folder.path(), &["train", "--resume", "runs/run", "--set", "train.steps=16"]);
    assert_ok(&output);
    let longer = fs::read_to_string(folder.path().join("runs/run/infomax.log")).unwrap();
    assert!(longer.starts_with(&log) && longer.contains("the run goes on from step 14"), "{longer}");
    assert!(longer.contains("`train.steps` was 14, is 16 from here on"), "{longer}");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr).matches("the run goes on").count(),
        0,
        "the console is as it was"
    );
}
