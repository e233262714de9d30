//! Looking at finished encoders: `infomax evaluate` and `infomax embed`, through the real binary; and scikit-learn's word on them.

use crate::{
    support::{
        binary::{errors, run},
        python::python_with,
        workspace::root,
    },
    training::{assert_ok, train},
};
use infomax::{checkpoint::read_tensors, evaluator::LogisticRegression};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use tch::Kind;

const SETTINGS: [&str; 3] = ["dataset.config.train_length=200", "dataset.config.test_length=100", "train.device=cpu"];

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn rows(folder: &Path) -> Vec<Value> {
    serde_json::from_slice(&fs::read(folder.join("evaluation.json")).unwrap()).unwrap()
}

#[test]
fn runs_are_measured_with_shares_of_labels_and_written_three_ways() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        let seed = format!("train.seed={}", name.len() + usize::from(name == "two"));
        assert_ok(&train(folder.path(), name, &[SETTINGS.as_slice(), &[&seed]].concat()));
    }
    let list =
        ["evaluate", "runs/one", "runs/two", "--label-fraction", "0.1", "--label-fraction", "0.5", "--out", "out"];
    let output = run(folder.path(), &list);
    assert_ok(&output);
    let rows = rows(&folder.path().join("out"));
    assert_eq!(rows.len(), 6);
    for (row, labels) in rows.iter().zip(["all", "0.1", "0.5", "all", "0.1", "0.5"]) {
        assert_eq!((row["labels"].as_str(), row["step"].as_u64()), (Some(labels), Some(14)));
        let images = match labels {
            "all" => 200,
            "0.1" => 20,
            _ => 100,
        };
        assert_eq!((row["train_images"].as_i64(), row["test_images"].as_i64()), (Some(images), Some(100)));
        for name in ["linear_top1", "knn_top1", "rankme"] {
            let value = row[name].as_f64().unwrap();
            assert!((0.0..=100.0).contains(&value), "{name}: {value}");
        }
    }
    let csv = fs::read_to_string(folder.path().join("out/evaluation.csv")).unwrap();
    assert_eq!(csv.lines().count(), 7);
    assert!(csv.starts_with("run,step,dataset,labels,train_images,"));
    let text = out(&output);
    assert!(text.lines().next().unwrap().starts_with("run       step  dataset  labels"), "{text}");

    // A second time from the features that were kept, to the same numbers; damaged ones are taken anew.
    let features = folder.path().join("runs/one/features");
    let kept: Vec<_> = fs::read_dir(&features).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 2);
    fs::write(&kept[0], b"damaged").unwrap();
    assert_ok(&run(folder.path(), &["evaluate", "runs/one"]));
    let again = self::rows(&folder.path().join("runs/one"));
    assert_eq!(again[0], rows[0]);
    assert!(fs::metadata(&kept[0]).unwrap().len() > 100, "they were taken anew");
}

#[test]
fn an_encoder_is_judged_on_other_data_and_at_another_step() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &SETTINGS));
    // Other data: the same component under other settings, in a file of its own.
    let other = "[dataset]\nname = \"shapes\"\nconfig = { train_length = 80, test_length = 40, seed = 9 }\n";
    fs::write(folder.path().join("other.toml"), other).unwrap();
    assert_ok(&run(folder.path(), &["evaluate", "runs/run", "--dataset", "other.toml", "--checkpoint", "8"]));
    let row = &rows(&folder.path().join("runs/run"))[0];
    assert_eq!((row["train_images"].as_i64(), row["step"].as_u64()), (Some(80), Some(8)));

    // A damaged checkpoint is passed over; one that is asked for is refused.
    let newest = folder.path().join("runs/run/checkpoints/step-000000014");
    fs::write(newest.join("encoder.safetensors"), b"damaged").unwrap();
    let output = run(folder.path(), &["evaluate", "runs/run"]);
    assert_ok(&output);
    assert!(errors(&output, folder.path()).contains("checkpoint passed over"));
    assert_eq!(rows(&folder.path().join("runs/run"))[0]["step"], 12);
    for (arguments, code) in [
        (vec!["evaluate", "runs/run", "--checkpoint", "14"], 5),
        (vec!["evaluate", "runs/run", "--checkpoint", "best"], 5),
        (vec!["evaluate", "runs"], 2),
        (vec!["evaluate", "runs/run", "--set", "evaluation.knn_k=20"], 2),
        (vec!["evaluate", "runs/run", "--label-fraction", "2"], 2),
        (vec!["evaluate", "runs/run", "--checkpoint", "newest"], 2),
    ] {
        let output = run(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", errors(&output, folder.path()));
    }
    // What is wrong with a setting is said, not that other builds lie beside the run's.
    let output = run(folder.path(), &["evaluate", "runs/run", "--set", "evaluation.knn_k=20"]);
    assert!(errors(&output, folder.path()).contains("`evaluation.knn_k` has no effect"));
    let both = ["evaluate", "runs/run", "--set", "evaluation.knn=true", "--set", "evaluation.knn_k=20"];
    assert_ok(&run(folder.path(), &both));
    fs::write(folder.path().join("names.txt"), "nothing.png\n").unwrap();
    let output = run(folder.path(), &["evaluate", "runs/run", "--label-list", "names.txt"]);
    assert_eq!(output.status.code(), Some(4));
    insta::assert_snapshot!(errors(&output, folder.path()));
}

/// On the same exported features: the objective, the accuracy, and the neighbours' votes.
#[test]
fn scikit_learn_agrees_on_exported_features() {
    let Some(python) = python_with("sklearn, safetensors, numpy") else { return };
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &SETTINGS));
    for split in ["train", "test"] {
        let file = format!("{split}.safetensors");
        let output = run(folder.path(), &["embed", "runs/run", "--split", split, "--out", &file, "--map", "map.png"]);
        assert_ok(&output);
    }
    assert!(fs::read(folder.path().join("map.png")).unwrap().starts_with(b"\x89PNG"));
    let read = |split: &str| {
        let bytes = fs::read(folder.path().join(format!("{split}.safetensors"))).unwrap();
        let mut tensors = read_tensors(&bytes).unwrap().tensors;
        (tensors.remove("features").unwrap().to_kind(Kind::Double), tensors.remove("labels").unwrap())
    };
    let ((x, y), (x_test, y_test)) = (read("train"), read("test"));
    let script = root().join("tests/integration/evaluation_sklearn.py").display().to_string();
    let output = Command::new(&python).arg(&script).current_dir(folder.path()).output().unwrap();
    assert_ok(&output);
    let peer: Value = serde_json::from_slice(&output.stdout).unwrap();
    for fit in peer["linear"].as_array().unwrap() {
        let c = fit["c"].as_f64().unwrap();
        let own = LogisticRegression::fit(&x, &y, 10, c, 2000, None).unwrap();
        let theirs = fit["objective"].as_f64().unwrap();
        assert!((own.objective / theirs - 1.0).abs() < 1e-4, "C = {c}: {} and {theirs}", own.objective);
        let right = own.classify(&x_test).unwrap().eq_tensor(&y_test).sum(Kind::Int64).int64_value(&[]);
        let top1 = 100.0 * right as f64 / y_test.numel() as f64;
        // One image of a hundred may lie on the border.
        assert!((top1 - fit["top1"].as_f64().unwrap()).abs() <= 1.0, "C = {c}: {top1} and {}", fit["top1"]);
    }
    let neighbours = infomax::evaluator::Neighbours::new(&x.to_kind(Kind::Float), &y, 10, 20, 0.1).unwrap();
    let own = Vec::<i64>::try_from(neighbours.classify(&x_test.to_kind(Kind::Float)).unwrap()).unwrap();
    let theirs: Vec<i64> = serde_json::from_value(peer["knn"].clone()).unwrap();
    let differ = own.iter().zip(&theirs).filter(|(a, b)| a != b).count();
    assert!(differ <= 1, "{differ} of {} votes differ, but for ties", own.len());
}

#[test]
fn features_in_a_file_are_the_ones_of_the_encoder() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &SETTINGS));
    assert_ok(&run(folder.path(), &["embed", "runs/run"]));
    let bytes = fs::read(folder.path().join("runs/run/embedding-test.safetensors")).unwrap();
    let file = read_tensors(&bytes).unwrap().tensors;
    assert_eq!((file["features"].size(), file["labels"].size()), (vec![100, 16], vec![100]));
    // The same images in the same order, whatever the number of threads.
    let output = run(folder.path(), &["embed", "runs/run", "--out", "again.safetensors", "--set", "train.workers=0"]);
    assert_ok(&output);
    let again = read_tensors(&fs::read(folder.path().join("again.safetensors")).unwrap()).unwrap().tensors;
    assert_eq!(file["features"], again["features"]);
    let output = run(folder.path(), &["embed", "nowhere"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(errors(&output, folder.path()));
}
