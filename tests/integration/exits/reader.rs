//! `infomax_read.py`: what it says of runs and studies, in a Python of its own.

use super::{runs, write_reader};
use crate::{
    resume::exact::copy,
    support::{
        binary::run,
        python::{printed, python_with},
        workspace::root,
    },
    training::{arguments, assert_ok},
};
use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

fn check(python: &std::ffi::OsString, script: &str, folder: &Path) {
    let told =
        printed(python, &format!("import sys\nsys.path.insert(0, sys.argv[1])\n{script}\nprint('good')"), folder);
    assert!(told.ends_with("good\n"), "{told}");
}

#[test]
fn runs_are_read_with_the_standard_library_alone() {
    let Some(python) = python_with("json") else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = &temporary.path().join("copy");
    copy(runs(), folder);
    let all = folder.join("runs");
    for name in ["torn", "running"] {
        copy(&all.join("whole"), &all.join(name));
        let history = fs::read_to_string(all.join(name).join("history.json")).unwrap();
        let open = history.split(",\n      \"end\"").next().unwrap().to_owned() + "\n    }\n  ]\n}";
        fs::write(all.join(name).join("history.json"), open).unwrap();
    }
    let metrics = all.join("torn/metrics.jsonl");
    let text = fs::read(&metrics).unwrap();
    fs::write(&metrics, &text[..text.len() - 9]).unwrap();
    let lock = File::open(all.join("running/run.lock")).unwrap();
    lock.lock().unwrap();
    check(&python, include_str!("reader.py"), folder);
    drop(lock);
    let damaged = fs::read_to_string(&metrics).unwrap().replacen("{\"step\":3", "{\"stop\":3", 1);
    fs::write(&metrics, damaged).unwrap();
    let words = ["infomax_read.py", "runs", "runs"];
    let output = Command::new(&python).args(words).current_dir(folder).output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("is not a line of metrics"));
    // Without packages: what a tool's client is missing is said in a line.
    let words = ["-S", "infomax_read.py", "trackio", "runs/whole"];
    let output = Command::new(&python).args(words).current_dir(folder).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && told.starts_with("trackio is not to be had in ") && told.lines().count() == 1,
        "{told}"
    );
}

#[test]
fn features_and_weights_are_those_that_were_written_and_frames_are_typed() {
    let Some(python) = python_with("safetensors.numpy, pandas") else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = &temporary.path().join("copy");
    copy(runs(), folder);
    assert_ok(&run(folder, &["embed", "runs/whole"]));
    let script = r#"
from infomax_read import Run
run = Run(sys.argv[1] + "/runs/whole")
found, listed = run.features("test"), run.images("test")
assert found["features"].shape[0] == len(found["labels"]) == len(listed) == 40 and str(found["features"].dtype) == "float32"
assert [int(image["label"]) for image in listed] == found["labels"].tolist(), listed[0]
weights = run.encoder()
assert sum(value.size for value in weights.values()) > 1000 and run.encoder_about()["encoder"]["name"] == "amdim"
frame = run.frame()
assert str(frame["step"].dtype) == "int64" and len(frame) == len(run.rows) and frame["loss"].dropna().tolist() == run.curve("loss")[1]
try:
    run.features("train")
except FileNotFoundError as error:
    assert "infomax embed" in str(error)
else:
    sys.exit("features that are not there")
"#;
    check(&python, script, folder);
}

#[test]
fn a_study_is_a_table_of_its_cells() {
    let Some(python) = python_with("json") else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_reader(folder);
    let set = arguments("x", &[]);
    let mut small = String::new();
    for (key, value) in set.iter().filter_map(|word| word.split_once('=')) {
        let is_of_study = ["train.steps", "record.name", "train.batch_size"].contains(&key);
        let value = if value == "cpu" { "\"cpu\"" } else { value };
        if !is_of_study {
            small += &format!("{key} = {value}\n");
        }
    }
    let base = root().join("configs/experiments/shapes-demo");
    let study = format!(
        "base = [{:?}]\nseeds = [1, 2]\nbudget = {{ steps = 6 }}\n[config]\n{small}[axes]\n\"train.batch_size\" = [8, 16]\n",
        base.to_string_lossy()
    );
    fs::write(folder.join("mine.toml"), study).unwrap();
    let cells = ["--cell", "1", "--cell", "2", "--cell", "3"];
    assert_ok(&run(folder, &[&["ablate", "run", "mine.toml"][..], &cells].concat()));
    let script = r#"
import os
os.chdir(sys.argv[1])
from infomax_read import runs, study
table = study("mine.toml").table()
assert [(row["number"], row["train.batch_size"], row["seed"]) for row in table] == [(1, 8, 1), (2, 16, 1), (3, 8, 2), (4, 16, 2)], table
finished = [row for row in table if row["state"] == "done"]
assert all(0 <= row["linear_top1"] <= 100 for row in finished) and [row["state"] for row in table] == ["done"] * 3 + ["missing"]
assert sorted(run.name for run in runs()) == sorted(row["cell"] for row in finished)
assert all(run.settings["train.seed"] in (1, 2) for run in runs())
assert study("mine").run(finished[0]["number"]).results["linear_top1"] == finished[0]["linear_top1"]
try:
    study("other")
except FileNotFoundError as error:
    assert "there are: mine" in str(error)
else:
    sys.exit("a study that is not there")
"#;
    check(&python, script, folder);
}

/// The README's lines, on another run.
#[test]
fn lines_of_the_readme_read_a_run() {
    let Some(python) = python_with("safetensors.numpy, pandas") else { return };
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = readme.split("```python\n").skip(1).filter_map(|text| text.split("```").next());
    let lines = blocks.into_iter().find(|block| block.contains("infomax_read")).expect("the README's lines");
    let script = format!(
        "import os\nos.chdir(sys.argv[1])\n{}\nassert len(steps) == len(losses) == 14 and len(frame) > 14 and weights",
        lines.replace("shapes-demo-1", "whole")
    );
    let temporary = tempfile::tempdir().unwrap();
    let folder = &temporary.path().join("copy");
    copy(runs(), folder);
    check(&python, &script, folder);
}
