//! `infomax reproduce`: the same bits again, and what it says where they are others.

use crate::{
    support::{
        binary::{errors, run},
        image_tree::{ImageTree, fixture as photograph},
    },
    training::{assert_ok, train},
};
use std::{fs, path::Path};

fn again(folder: &Path, name: &str) -> (Option<i32>, String, String) {
    let output = run(folder, &["reproduce", name]);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), errors(&output, folder))
}

#[test]
fn a_run_is_repeated_with_its_own_threads_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, threads) in [("one", "train.threads=1"), ("two", "train.threads=2")] {
        assert_ok(&train(folder, name, &[threads]));
        let (code, out, err) = again(folder, &format!("runs/{name}"));
        assert_eq!(code, Some(0), "{out}\n{err}");
        assert!(out.contains("identical: ") && out.contains(" rows of metrics and "), "{out}");
        assert!(folder.join(format!("runs/{name}-again-1/encoder.safetensors")).is_file());
    }
    // A second time it has a name of its own; what stands in the environment has no say.
    let mut command = crate::support::binary::infomax(folder, &["reproduce", "runs/one"]);
    let output = command.env("INFOMAX__TRAIN__SEED", "7").output().unwrap();
    assert_ok(&output);
    assert!(folder.join("runs/one-again-2").is_dir());
}

#[test]
fn the_first_difference_is_told_with_an_exit_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_ok(&train(folder, "run", &[]));
    let metrics = folder.join("runs/run/metrics.jsonl");
    let text = fs::read_to_string(&metrics).unwrap();
    let line = text.lines().find(|line| line.starts_with("{\"step\":9,")).unwrap();
    let mut row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
    let loss = row["loss"].as_f64().unwrap();
    let next = f64::from_bits(loss.to_bits() + 1);
    row["loss"] = next.into();
    let changed = text.replace(line, &serde_json::Value::Object(row).to_string());
    assert_ne!(changed, text);
    fs::write(&metrics, changed).unwrap();
    let (code, out, err) = again(folder, "runs/run");
    assert_eq!(code, Some(10), "{out}\n{err}");
    let expected = format!("the repetition differs from the run: step 9: `loss` was {next}, is {loss}");
    assert!(err.contains(&expected), "{expected}\n{err}");
    // One bit of one weight.
    fs::write(&metrics, &text).unwrap();
    let encoder = folder.join("runs/run/encoder.safetensors");
    let mut bytes = fs::read(&encoder).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&encoder, bytes).unwrap();
    let (code, out, err) = again(folder, "runs/run");
    assert_eq!(code, Some(10), "{out}\n{err}");
    assert!(err.contains("`encoder.safetensors`: 1 tensors differ, the first is `"), "{err}");
}

#[test]
fn what_cannot_be_repeated_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (code, _, err) = again(folder, "nothing");
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("is no run that trained"), "{err}");
    assert_ok(&train(folder, "clock", &[]));
    let config = folder.join("runs/clock/config.toml");
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("\nsteps = 14", "\nseconds = 14")).unwrap();
    let (code, _, err) = again(folder, "runs/clock");
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("`train.seconds`"), "{err}");
    // Changed on the way.
    assert_ok(&train(folder, "changed", &[]));
    assert_ok(&run(folder, &["train", "--resume", "runs/changed", "--set", "train.steps=16"]));
    let (code, _, err) = again(folder, "runs/changed");
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("`config-1.toml`"), "{err}");
    // On another machine, with another version.
    assert_ok(&train(folder, "older", &["train.steps=2", "optimizer.warmup_steps=0"]));
    let path = folder.join("runs/older/run.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replace("\"libtorch\": \"2.11.0\"", "\"libtorch\": \"2.10.0\"").replace("\"Cpu\"", "\"Cuda(0)\""),
    )
    .unwrap();
    let (code, out, err) = again(folder, "runs/older");
    assert_eq!(code, Some(0), "{out}\n{err}");
    assert!(err.contains("note: the same bits are not promised: libtorch: 2.10.0 then, 2.11.0 now"), "{err}");
    assert!(err.contains("it ran on Cuda(0): only a CPU gives the same bits again"), "{err}");
    // In another environment, where the number of threads has no say.
    let mut command = crate::support::binary::infomax(folder, &["reproduce", "runs/older"]);
    let output = command.env("INFOMAX_WINOGRAD", "0").env("OMP_NUM_THREADS", "1").output().unwrap();
    let err = errors(&output, folder);
    assert!(err.contains("INFOMAX_WINOGRAD: not set then, 0 now"), "{err}");
    assert!(!err.contains("OMP_NUM_THREADS"), "{err}");
}

#[test]
fn other_data_are_told_before_anything_is_trained() {
    let tree = ImageTree::sound(12);
    let ended = tree.run(&["train"], &[]);
    assert_eq!(ended.code, 0, "{}", ended.seen());
    let folder = tree.path("");
    let (code, out, err) = again(&folder, "runs/run");
    assert_eq!(code, Some(0), "{out}\n{err}");
    tree.put("train/a/99.jpg", &photograph("baseline.jpg"));
    let (code, out, err) = again(&folder, "runs/run");
    assert_eq!(code, Some(4), "{out}\n{err}");
    assert!(err.contains("the data changed since the run: 12 images then, 13 now"), "{err}");
    assert!(!folder.join("runs/run-again-2").exists());
}
