//! Row C10: no name of a run and no link leads out of the folder of runs.

use crate::support::{
    binary::{errors, experiment, run},
    figures::figure,
};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// What makes a run short, should one start.
const SHORT: [&str; 8] = [
    "train.steps=1",
    "train.batch_size=4",
    "train.device=cpu",
    "encoder.config.ndf=4",
    "encoder.config.n_rkhs=8",
    "dataset.config.train_length=10",
    "dataset.config.test_length=10",
    "evaluation.untrained=false",
];

/// Every path below a folder.
fn listing(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                open.push(path.clone());
            }
            found.insert(path);
        }
    }
    found
}

#[test]
fn c10_no_name_of_a_run_leads_out_of_the_folder_of_runs() {
    let folder = tempfile::tempdir().unwrap();
    // Deep inside, so that whatever climbs out is seen.
    let here = folder.path().join("a/b/c");
    fs::create_dir_all(here.join("runs")).unwrap();
    let outside = here.join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, here.join("runs/link")).unwrap();
    symlink(outside.join("nowhere"), here.join("runs/dangling")).unwrap();
    fs::create_dir(here.join("runs/locked")).unwrap();
    symlink(outside.join("lock"), here.join("runs/locked/run.lock")).unwrap();
    let before = listing(folder.path());
    let demo = experiment("shapes-demo");
    let long = "x".repeat(300);
    let absolute = outside.join("x").to_string_lossy().into_owned();
    let names = [
        "..", ".", "", "a/b", "../x", "../../x", &absolute, &long, "-x", ".x", "a\nb", "ä", "link", "dangling",
        "locked",
    ];
    let mut tried = 0;
    let mut refused = |arguments: &[&str]| {
        let mut all = vec!["train", demo.as_str()];
        SHORT.iter().for_each(|setting| all.extend(["--set", setting]));
        all.extend(arguments);
        let output = run(&here, &all);
        let code = output.status.code();
        assert!(code.is_some_and(|code| code != 0), "{arguments:?} was taken: {}", errors(&output, folder.path()));
        assert!(!errors(&output, folder.path()).contains("panicked"), "{arguments:?}");
        tried += 1;
    };
    for name in names {
        refused(&["--run_name", name]);
        refused(&["--set", &format!("record.name={name:?}")]);
    }
    // A NUL can't stand in an argument, but in TOML.
    refused(&["--set", r#"record.name="a\u0000b""#]);
    refused(&["--set", r#"record.name="\u0000""#]);
    let escapes: Vec<_> = listing(folder.path()).difference(&before).cloned().collect();
    assert_eq!(escapes, Vec::<PathBuf>::new());
    assert_eq!(tried, 32);
    figure("C10", "names refused, nothing written", tried - escapes.len(), tried);
}
