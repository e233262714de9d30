//! `infomax export`, read by pyarrow and pandas.

use super::runs;
use crate::{
    support::{
        binary::{errors, run},
        python::{printed, python_with},
    },
    training::assert_ok,
};
use std::fs;

#[test]
fn pyarrow_and_pandas_read_every_value_of_both_forms_and_shapes() {
    let Some(python) = python_with("pyarrow, pandas") else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    for (file, long) in [("wide.csv", false), ("wide.parquet", false), ("long.csv", true), ("long.parquet", true)] {
        let mut words = vec!["export".to_owned(), "runs/whole".to_owned(), "runs/diverged".to_owned()];
        words.extend(["--out".to_owned(), out(file)]);
        words.extend(long.then(|| "--long".to_owned()));
        assert_ok(&run(runs(), &words));
    }
    for name in ["whole", "diverged"] {
        fs::copy(runs().join("runs").join(name).join("metrics.jsonl"), folder.path().join(format!("{name}.jsonl")))
            .unwrap();
    }
    let told = printed(&python, include_str!("tables.py"), folder.path());
    assert!(told.ends_with("equal\n"), "{told}");
    // To a pipe, the same bytes.
    let output = run(runs(), &["export", "runs/whole", "runs/diverged"]);
    assert!(output.stdout == fs::read(folder.path().join("wide.csv")).unwrap());
}

#[test]
fn what_is_no_run_is_passed_over_or_refused_and_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("metrics.parquet").to_string_lossy().into_owned();
    let output = run(runs(), &["export", "runs/whole", "runs", "--out", &out]);
    assert_ok(&output);
    assert!(errors(&output, runs()).contains("passed over, since they hold no metrics: `runs`"));
    let whole = fs::read(&out).unwrap();
    for (words, code) in
        [(["runs", &out], 2), (["runs/whole", "metrics.json"], 2), (["runs/whole", "/dev/full/x.csv"], 1)]
    {
        let output = run(runs(), &["export", words[0], "--out", words[1]]);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", errors(&output, runs()));
    }
    let damaged = folder.path().join("damaged");
    fs::create_dir(&damaged).unwrap();
    fs::write(damaged.join("metrics.jsonl"), "{\"step\":1}\n{\"stop\":2}\n").unwrap();
    let output = run(runs(), &["export", &damaged.to_string_lossy(), "--out", &out]);
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output, runs()));
    assert!(errors(&output, runs()).contains("line 2 of "));
    assert!(fs::read(&out).unwrap() == whole);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside it");
}
