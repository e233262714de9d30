//! One command line for a first start and for a restart: `--resume auto`.

use super::exact::cut;
use crate::{
    support::binary::{errors, infomax, run},
    training::{arguments, assert_ok, metrics},
};
use std::{fs, path::Path, process::Output};

fn auto(folder: &Path, settings: &[&str]) -> Output {
    run(folder, &[arguments("run", settings), vec!["--resume".to_owned(), "auto".to_owned()]].concat())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_same_command_begins_goes_on_and_finds_the_run_finished() {
    let folder = tempfile::tempdir().unwrap();
    let first = auto(folder.path(), &[]);
    assert_ok(&first);
    assert!(said(&first).contains("beginning a run in runs/run"), "{}", said(&first));
    let directory = folder.path().join("runs/run");
    let whole = fs::read(directory.join("encoder.safetensors")).unwrap();
    cut(&directory, 8);
    let second = auto(folder.path(), &[]);
    assert_ok(&second);
    assert!(said(&second).contains("going on with the run in runs/run"), "{}", said(&second));
    assert!(whole == fs::read(directory.join("encoder.safetensors")).unwrap(), "to the same bytes");
    assert_eq!(metrics(&directory).iter().filter(|row| row.get("loss").is_some()).count(), 14);
    let third = auto(folder.path(), &[]);
    assert_ok(&third);
    assert!(said(&third).contains("this run is finished after 14 steps"), "{}", said(&third));
}

#[test]
fn it_needs_a_name_and_the_settings_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let shapes = crate::support::binary::experiment("shapes-demo");
    let unnamed = run(folder.path(), &["train", &shapes, "--resume", "auto"]);
    assert_eq!(unnamed.status.code(), Some(2));
    assert!(errors(&unnamed, folder.path()).contains("record.name"), "{}", errors(&unnamed, folder.path()));
    let bare = run(folder.path(), &["train", "--resume", "auto"]);
    assert_eq!(bare.status.code(), Some(2), "{}", errors(&bare, folder.path()));
    assert_ok(&auto(folder.path(), &[]));
    cut(&folder.path().join("runs/run"), 8);
    let other = auto(folder.path(), &["optimizer.lr=0.5"]);
    assert_eq!(other.status.code(), Some(5));
    assert!(errors(&other, folder.path()).contains("`optimizer.lr`"), "{}", errors(&other, folder.path()));
}

#[test]
fn a_start_that_never_trained_blocks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("runs/run");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("config.toml"), "not of this run").unwrap();
    fs::write(directory.join("origins.json"), "{}").unwrap();
    assert_ok(&run(folder.path(), &arguments("run", &[])));
    assert!(fs::read_to_string(directory.join("config.toml")).unwrap().contains("[dataset]"));
}

#[test]
fn a_restart_by_a_launcher_that_begins_anew_names_the_run_that_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = arguments("run", &["train.steps=4"]);
    let name = command.iter().position(|argument| argument.starts_with("record.name=")).unwrap();
    command.drain(name - 1..=name);
    assert_ok(&run(folder.path(), &command));
    let first = fs::read_dir(folder.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(first.join("encoder.safetensors")).unwrap();
    for variable in ["TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"] {
        let again = infomax(folder.path(), &command).env(variable, "1").output().unwrap();
        assert_ok(&again);
        let text = said(&again);
        let name = first.file_name().unwrap().to_string_lossy().into_owned();
        assert!(text.contains(variable) && text.contains(&name) && text.contains("--resume auto"), "{text}");
    }
    let fresh = infomax(folder.path(), &command).env("SLURM_RESTART_COUNT", "0").output().unwrap();
    assert!(!said(&fresh).contains("this is a restart"));
}
