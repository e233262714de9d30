//! TensorBoard's files, read by TensorBoard.

use crate::{
    resume::exact::{copy, cut},
    support::{
        binary::{errors, run},
        python::{printed, python_with},
    },
    training::{assert_ok, train},
};
use serde_json::Value;
use std::{ffi::OsString, fs, path::Path};

/// Every scalar as a line `tag step value`, the value to the last bit.
const READ: &str = r"
import sys, numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0})
events.Reload()
for tag in events.Tags()['scalars']:
    for event in events.Scalars(tag):
        print(tag, event.step, numpy.float32(event.value).view(numpy.uint32), repr(event.wall_time))
";

/// A number as a reader of TensorBoard finds it: tag, step, bits, and the order of its wall time.
type Told = (String, u64, u32);

fn told(python: &OsString, run: &Path) -> Vec<Told> {
    let text = printed(python, READ, &run.join("tensorboard"));
    let mut wall = std::collections::BTreeMap::new();
    let mut all: Vec<Told> = text
        .lines()
        .map(|line| {
            let mut words = line.rsplitn(4, ' ');
            let time: f64 = words.next().unwrap().parse().unwrap();
            let (bits, step) = (words.next().unwrap().parse().unwrap(), words.next().unwrap().parse().unwrap());
            wall.insert(step, time);
            (words.next().unwrap().to_owned(), step, bits)
        })
        .collect();
    assert!(wall.values().is_sorted(), "wall times follow the steps");
    all.sort();
    all
}

/// The same of `metrics.jsonl`.
fn expected(run: &Path) -> Vec<Told> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let mut all = Vec::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let step = row["step"].as_u64().unwrap();
        for (key, value) in row.as_object().unwrap() {
            if key != "step" && key != "nonfinite" {
                let number = value.as_f64().map_or(f32::NAN, |value| value as f32);
                all.push((key.clone(), step, number.to_bits()));
            }
        }
    }
    all.sort();
    all
}

fn assert_told(python: &OsString, run: &Path) {
    let (told, expected) = (told(python, run), expected(run));
    assert!(expected.len() > 50, "{} numbers", expected.len());
    assert_eq!(told, expected);
}

#[test]
fn tensorboard_reads_every_number_of_a_run_and_of_one_that_goes_on() {
    let Some(python) = python_with("tensorboard") else { return };
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &["record.tensorboard=true", "evaluation.untrained=true"]));
    let path = folder.path().join("runs/run");
    assert_told(&python, &path);
    // Taken back to a checkpoint: what came after it is told anew, in a new file, and once.
    let old = folder.path().join("old");
    copy(&path.join("tensorboard"), &old);
    cut(&path, 8);
    assert_ok(&run(folder.path(), &["train", "--resume", "runs/run"]));
    assert_told(&python, &path);
    // A reader that has seen the earlier file too forgets it.
    for entry in fs::read_dir(&old).unwrap() {
        let file = entry.unwrap().path();
        let to = path.join("tensorboard").join(file.file_name().unwrap());
        assert!(!to.exists(), "the file is another");
        fs::copy(&file, to).unwrap();
    }
    assert_eq!(fs::read_dir(path.join("tensorboard")).unwrap().count(), 2);
    assert_told(&python, &path);
}

#[test]
fn tensorboard_reads_what_a_killed_process_left_and_numbers_that_are_not_finite() {
    let Some(python) = python_with("tensorboard") else { return };
    let folder = tempfile::tempdir().unwrap();
    let more = [
        "record.tensorboard=true",
        "optimizer.lr=1000",
        "optimizer.warmup_steps=0",
        "train.max_skipped_steps_in_a_row=9",
    ];
    assert_eq!(train(folder.path(), "run", &more).status.code(), Some(6));
    let path = folder.path().join("runs/run");
    assert_told(&python, &path);
    assert!(expected(&path).iter().any(|(.., bits)| f32::from_bits(*bits).is_nan()));
    let file = fs::read_dir(path.join("tensorboard")).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    let last = expected(&path).iter().map(|(_, step, _)| *step).max().unwrap();
    let mut whole = expected(&path);
    whole.retain(|(_, step, _)| *step < last);
    assert_eq!(told(&python, &path), whole, "all but the torn record");
}

#[test]
fn event_files_of_a_run_without_them_are_made_from_its_metrics() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &[]));
    let path = folder.path().join("runs/run");
    assert!(!path.join("tensorboard").exists());
    for _ in 0..2 {
        assert_ok(&run(folder.path(), &["report", "runs/run", "--tensorboard"]));
        assert_eq!(fs::read_dir(path.join("tensorboard")).unwrap().count(), 1);
    }
    if let Some(python) = python_with("tensorboard") {
        assert_told(&python, &path);
    }
    // Not from metrics that are damaged.
    let metrics = fs::read_to_string(path.join("metrics.jsonl")).unwrap();
    fs::write(path.join("metrics.jsonl"), metrics.replacen("{\"step\":3", "{\"stop\":3", 1)).unwrap();
    let output = run(folder.path(), &["report", "runs/run", "--tensorboard"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(errors(&output, folder.path()));
}
