//! Paths in configs: `~`, and relative ones, which a file gives as seen from itself.

use crate::support::{
    binary::infomax,
    image_tree::{ImageTree, fixture},
};
use serde_json::Value;
use std::{fs, path::Path, process::Output};

fn text(output: &Output) -> (String, String) {
    let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (of(&output.stdout), of(&output.stderr))
}

/// A command in a folder, with a home folder of its own.
fn at(folder: &Path, home: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = infomax(folder, arguments).env("HOME", home).output().unwrap();
    let (out, err) = text(&output);
    (output.status.code(), out, err)
}

fn images(path: &Path, count: usize) {
    for n in 0..count {
        let file = path.join(format!("train/{}/{n}.jpg", ["a", "b"][n % 2]));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, fixture("baseline.jpg")).unwrap();
    }
}

#[test]
fn a_files_relative_root_is_seen_from_the_file_and_told_where_that_could_be_another() {
    let tree = ImageTree::empty();
    let (project, elsewhere) = (tree.path("project"), tree.path("elsewhere"));
    fs::create_dir_all(project.join("configs/datasets")).unwrap();
    fs::create_dir_all(&elsewhere).unwrap();
    images(&project.join("photos"), 8);
    tree.experiment("photos");
    let config = project.join("configs/mine.toml");
    fs::copy(tree.path("experiment.toml"), &config).unwrap();
    let scan = |folder: &Path, more: &[&str]| {
        let (code, out, err) =
            at(folder, &tree.path(""), &[&["data", "scan", config.to_str().unwrap()], more].concat());
        (code, out.lines().next().unwrap_or_default().split(' ').next().unwrap_or_default().to_owned(), err)
    };
    // Where the two agree nothing is told.
    let (code, count, err) = scan(&project, &[]);
    assert!((code, count.as_str()) == (Some(0), "8") && !err.contains("root"), "{err}");
    let (code, count, err) = scan(&elsewhere, &[]);
    let told =
        format!("`dataset.config.root` = \"photos\" ({}:4) is {}", config.display(), project.join("photos").display());
    assert!((code, count.as_str()) == (Some(0), "8"), "{err}");
    assert!(!err.contains("another one"), "{err}");
    // Another folder of that name in the working directory is not taken, and told.
    images(&elsewhere.join("photos"), 4);
    let (_, count, err) = scan(&elsewhere, &[]);
    assert!(
        count == "8" && err.contains(&format!("{told}; `photos` in the working directory is another one")),
        "{err}"
    );
    // What is not there beside the file is taken from the working directory, and told.
    fs::rename(project.join("photos"), project.join("moved")).unwrap();
    let (_, count, err) = scan(&elsewhere, &[]);
    assert!(count == "4" && err.contains("is that of the working directory: there is no"), "{err}");
    // `--set` and the environment are seen from the working directory.
    let (_, count, err) = scan(&elsewhere, &["--set", "dataset.config.root=../project/moved"]);
    assert!(count == "8" && !err.contains("`dataset.config.root`"), "{err}");
    fs::remove_dir_all(elsewhere.join("photos")).unwrap();
    let (code, _, err) = scan(&elsewhere, &[]);
    assert!(
        code == Some(4) && err.contains(&format!("there is no folder `{}`", project.join("photos").display())),
        "{err}"
    );
}

#[test]
fn a_run_is_read_from_anywhere() {
    let tree = ImageTree::sound(8);
    let ended = tree.run(&["train"], &["--set", "checkpoint.every_steps=1"]);
    assert_eq!(ended.code, 0, "{}", ended.seen());
    let kept: Value = toml::from_str(&fs::read_to_string(tree.path("runs/run/config.toml")).unwrap()).unwrap();
    assert_eq!(kept["dataset"]["config"]["root"].as_str(), tree.path("tree").to_str());
    let run = tree.path("runs/run");
    let elsewhere = tempfile::tempdir().unwrap();
    for arguments in [
        vec!["embed", run.to_str().unwrap(), "--split", "train"],
        vec!["train", "--resume", run.to_str().unwrap(), "--set", "train.steps=5"],
    ] {
        let (code, _, err) = at(elsewhere.path(), &tree.path(""), &arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {err}");
    }
    // From where it began, with the original file beside it: the same settings.
    let again = ["train", "--resume", "runs/run", "experiment.toml", "--set", "train.steps=6"];
    let (code, _, err) = at(&tree.path(""), &tree.path(""), &[&again[..], &["--set", "record.name=run"]].concat());
    assert_eq!(code, Some(0), "{err}");
    // A run of before paths were kept whole counts from the working directory.
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    let old = config.replace(tree.path("tree").to_str().unwrap(), "tree");
    assert_ne!(config, old);
    fs::write(run.join("config.toml"), old).unwrap();
    let (code, _, err) = at(&tree.path(""), &tree.path(""), &["embed", "runs/run", "--split", "train"]);
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn a_leading_tilde_is_the_home_folder_in_every_path() {
    let tree = ImageTree::sound(8);
    let home = tree.path("");
    let elsewhere = tempfile::tempdir().unwrap();
    tree.experiment("~/tree");
    let config = tree.path("experiment.toml");
    let config = config.to_str().unwrap();
    let train = ["train", config, "--set", "record.run_directory=~/kept"];
    let (code, _, err) = at(elsewhere.path(), &home, &train);
    assert_eq!(code, Some(0), "{err}");
    assert!(tree.path("kept/run/config.toml").is_file() && !elsewhere.path().join("~").exists());
    fs::write(tree.path("few.txt"), "00.jpg\n02.jpg\n04.jpg\n06.jpg\n01.jpg\n").unwrap();
    let more = [
        ["--set", "record.name=second"],
        ["--set", "evaluation.linear=true"],
        ["--set", "record.run_directory=~/kept"],
        ["--set", "encoder.weights=~/kept/run"],
        ["--set", "dataset.label_list=~/few.txt"],
        ["--set", "plugins.search=[\"~/plugins\"]"],
        ["--set", "dataset.config.root=~/tree"],
    ];
    let (code, _, err) = at(elsewhere.path(), &home, &[&["train", config], more.as_flattened()].concat());
    assert_eq!(code, Some(0), "{err}");
    let output = infomax(elsewhere.path(), &["data", "scan", config]).env_remove("HOME").output().unwrap();
    let (_, err) = text(&output);
    assert!(output.status.code() == Some(2) && err.contains("begins at the home folder, but HOME is not set"), "{err}");
}
