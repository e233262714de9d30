//! A run that may not go on is left as it was, to the byte: by whatever it is refused, alone and with several processes.

use super::exact::{copy, cut};
use crate::{
    support::{
        binary::{errors, run},
        figures::figure,
    },
    training::{assert_ok, train},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Every file below a folder with its bytes, and every folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.insert(path.clone(), None);
                left.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                found.insert(path, Some(bytes));
            }
        }
    }
    found
}

/// What is damaged before, what the command line says besides `train --resume runs/run`, the exit code, and a word of the message.
struct Refusal {
    damage: fn(&Path),
    arguments: &'static [&'static str],
    code: i32,
    says: &'static str,
}

fn sound(_: &Path) {}

/// Rewrites a value of `run.json`.
fn identity(run: &Path, change: fn(&mut serde_json::Value)) {
    let path = run.join("run.json");
    let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

const REFUSALS: &[Refusal] = &[
    Refusal { damage: sound, arguments: &["--set", "optimizer.lr=0.5"], code: 5, says: "`optimizer.lr`" },
    Refusal { damage: sound, arguments: &["--set", "train.stepz=3"], code: 2, says: "stepz" },
    Refusal {
        damage: sound,
        arguments: &["--set", "dataset.config.train_length=97", "--override", "dataset.config.train_length"],
        code: 5,
        says: "the dataset changed",
    },
    Refusal {
        damage: sound,
        arguments: &["--set", "encoder.config.n_rkhs=32", "--override", "encoder.config"],
        code: 5,
        says: "does not fit the model",
    },
    Refusal {
        damage: sound,
        arguments: &["--set", "dataset.label_fraction=0.5", "--override", "dataset.label_fraction"],
        code: 0,
        says: "",
    },
    Refusal {
        damage: sound,
        arguments: &["--set", "optimizer.warmup_epochs=500", "--override", "optimizer"],
        code: 2,
        says: "is longer than `train.steps` = 14",
    },
    Refusal {
        damage: sound,
        arguments: &["--set", "train.batch_size=4096", "--override", "train.batch_size"],
        code: 4,
        says: "`train.batch_size` is 4096",
    },
    Refusal {
        damage: |run| identity(run, |value| value["libtorch"] = "2.0.0".into()),
        arguments: &["--set", "train.steps=20"],
        code: 5,
        says: "libtorch changed",
    },
    Refusal {
        damage: |run| identity(run, |value| value["dataset"]["fingerprint"] = "other".into()),
        arguments: &["--set", "train.steps=20"],
        code: 5,
        says: "the dataset changed",
    },
    Refusal {
        damage: |run| fs::remove_file(run.join("run.json")).unwrap(),
        arguments: &["--set", "train.steps=20"],
        code: 1,
        says: "run.json",
    },
    Refusal {
        damage: |run| fs::write(run.join("run.lock"), r#"{"pid":7,"host":"elsewhere","started":"then"}"#).unwrap(),
        arguments: &["--set", "encoder.config.n_rkhs=32", "--override", "encoder.config", "--set", "train.steps=20"],
        code: 5,
        says: "does not fit the model",
    },
];

fn refused(more: &[&str], cases: &[&Refusal]) {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "half", more));
    let (half, run_directory) = (folder.path().join("runs/half"), folder.path().join("runs/run"));
    cut(&half, 8);
    for case in cases {
        copy(&half, &run_directory);
        (case.damage)(&run_directory);
        let before = contents(&run_directory);
        let output = run(folder.path(), &[&["train", "--resume", "runs/run"], case.arguments].concat());
        let text = errors(&output, folder.path());
        let arguments = case.arguments.join(" ");
        assert_eq!(output.status.code(), Some(case.code), "{arguments}: {text}");
        assert!(text.contains(case.says), "{arguments}: {text}");
        let after = contents(&run_directory);
        let differs: Vec<_> = before
            .keys()
            .chain(after.keys())
            .filter(|path| before.get(*path) != after.get(*path))
            .map(|path| path.strip_prefix(&run_directory).unwrap().display().to_string())
            .collect();
        assert_eq!(differs.is_empty(), case.code != 0, "{arguments}: {differs:?}");
        fs::remove_dir_all(&run_directory).unwrap();
    }
}

#[test]
fn k15_a_refused_run_is_left_to_the_byte() {
    let cases: Vec<_> = REFUSALS.iter().collect();
    refused(&[], &cases);
    figure("K15", "refused runs left to the byte", cases.len() - 1, cases.len() - 1);
}

#[test]
fn k15_a_refused_run_of_two_processes_is_left_to_the_byte() {
    let of_ranks = |case: &&Refusal| ["the dataset changed", "does not fit the model"].contains(&case.says);
    let cases: Vec<_> = REFUSALS.iter().filter(of_ranks).collect();
    refused(&["distributed.nproc=2"], &cases);
    figure("K15", "refused runs of two processes left to the byte", cases.len(), cases.len());
}

#[test]
fn what_is_overridden_is_what_the_run_is_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &[]));
    let directory = folder.path().join("runs/run");
    cut(&directory, 8);
    let more = ["--set", "dataset.config.train_length=97", "--override", "dataset", "--set", "train.steps=16"];
    let resume = |more: &[&str]| run(folder.path(), &[&["train", "--resume", "runs/run"], more].concat());
    assert_ok(&resume(&more));
    assert_ok(&resume(&["--set", "train.steps=18"]));
    let count = |file: &str| {
        let value: serde_json::Value = serde_json::from_slice(&fs::read(directory.join(file)).unwrap()).unwrap();
        value["dataset"]["splits"][0]["length"].as_u64().unwrap()
    };
    assert_eq!((count("run-1.json"), count("run.json")), (96, 97), "what it was made with until then is kept");
}
