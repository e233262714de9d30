//! What stands in a checkpoint: formats of older and newer programs, tensors that don't fit the model, values that are not saved.

use super::small::{checkpoints, resume, train};
use crate::{
    support::{binary::errors, faulty::fixture, figures::figure, workspace::root},
    training::assert_ok,
};
use infomax::{
    checkpoint::{CheckpointSet, RunState, TensorFile, read_tensors, snapshot, write_tensors},
    config::Experiment,
    plugin::Registry,
    train::{Model, Setup},
};
use serde_json::{Value, json};
use std::{collections::HashMap, fs};
use tch::Kind;

/// A checkpoint of each format that a program ever wrote, as it wrote it.
#[test]
fn k11_checkpoints_of_every_older_format_are_read() {
    let formats = ["format-1", "format-2"];
    for (number, format) in formats.iter().enumerate() {
        let set = CheckpointSet::new(root().join("tests/fixtures/checkpoints").join(format));
        let (newest, skipped) = set.newest();
        let newest = newest.unwrap_or_else(|| panic!("{format}: {skipped:?}"));
        assert_eq!((newest.manifest.format, newest.manifest.step), (number as u32 + 1, 2));
        let state: RunState = serde_json::from_slice(&newest.files["state.json"]).unwrap();
        assert_eq!(state.step, 2);
        let encoder = read_tensors(&newest.files["encoder.safetensors"]).unwrap();
        assert_eq!(encoder.tensors["layer_list.0.conv.weight"].size(), [1, 3, 3, 3]);
        let training = read_tensors(&newest.files["training.safetensors"]).unwrap();
        assert!(training.tensors.contains_key("optimizer.encoder.layer_list.0.conv.weight.mean"));
    }
    figure("K11", "formats read", formats.len(), formats.len());
}

#[test]
fn k11_a_newer_format_and_unknown_fields_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_ok(&train(folder, "run", &[]));
    let path = checkpoints(folder, "run").join("step-000000009/manifest.json");
    let whole: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let set = CheckpointSet::new(checkpoints(folder, "run"));
    let reason = |change: &dyn Fn(&mut Value)| {
        let mut value = whole.clone();
        change(&mut value);
        fs::write(&path, value.to_string()).unwrap();
        let (newest, skipped) = set.newest();
        assert_eq!(newest.unwrap().manifest.step, 6);
        skipped[0].clone()
    };
    let newer = reason(&|value| {
        value["format"] = json!(99);
        value["compression"] = json!("zstd");
    });
    assert!(newer.contains("its format 99 is newer than this program's"), "{newer}");
    let unknown = reason(&|value| value["compression"] = json!("zstd"));
    assert!(unknown.contains("unknown field `compression`"), "{unknown}");
}

/// Writes a finished run's last checkpoint anew with other tensors; what going on with it says.
fn with_tensors(file: &str, change: impl Fn(&mut TensorFile)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_ok(&train(folder, "run", &[]));
    fs::remove_file(folder.join("runs/run/encoder.safetensors")).unwrap();
    let set = CheckpointSet::new(checkpoints(folder, "run"));
    let newest = set.newest().0.unwrap();
    let mut files: Vec<(&str, Vec<u8>)> = Vec::new();
    for (name, bytes) in &newest.files {
        let mut bytes = bytes.clone();
        if name == file {
            let mut tensors = read_tensors(&bytes).unwrap();
            change(&mut tensors);
            let list: Vec<_> = tensors.tensors.into_iter().collect();
            bytes = write_tensors(&list, HashMap::new()).unwrap();
        }
        files.push((name, bytes));
    }
    fs::remove_dir_all(&newest.path).unwrap();
    set.write(newest.manifest, &files, true).unwrap();
    let output = resume(folder, "run");
    assert_eq!(output.status.code(), Some(5), "{}", errors(&output, folder));
    errors(&output, folder)
}

#[test]
fn k13_missing_extra_and_renamed_tensors_are_both_listed() {
    let text = with_tensors("encoder.safetensors", |file| {
        let weight = file.tensors.remove("layer_list.0.conv.weight").unwrap();
        file.tensors.insert("layer_list.0.convolution.weight".to_owned(), weight);
    });
    insta::assert_snapshot!(text);
    let text = with_tensors("training.safetensors", |file| {
        let lost = "optimizer.encoder.layer_list.0.conv.weight.square";
        drop(file.tensors.remove(lost).unwrap());
    });
    assert!(text.contains("encoder.layer_list.0.conv.weight: a part of its state is missing"), "{text}");
}

#[test]
fn k14_another_shape_or_number_format_is_refused_and_the_model_keeps_its_own() {
    let text = with_tensors("encoder.safetensors", |file| {
        let weight = file.tensors.get_mut("layer_list.0.conv.weight").unwrap();
        *weight = weight.to_kind(Kind::BFloat16);
    });
    insta::assert_snapshot!(text);
    let text = with_tensors("training.safetensors", |file| {
        let weight = file.tensors.get_mut("evaluator.block_glb_lin.block_forward.2.weight").unwrap();
        *weight = weight.transpose(0, 1).contiguous();
    });
    assert!(text.contains("[16, 10], expected Float [10, 16]"), "{text}");
}

#[test]
fn k19_parameters_that_are_not_finite_are_never_saved() {
    let library = fixture("faulty");
    let table = || json!({ "name": "faulty", "path": library, "config": { "callback": "nowhere" } });
    let experiment = json!({
        "dataset": table(), "augmentation": table(), "encoder": table(), "loss": table(), "train": { "batch_size": 8 },
    });
    let experiment: Experiment = serde_json::from_value(experiment).unwrap();
    let registry = Registry::search(vec![root().join("no-such-folder")], &[], None);
    let setup = Setup::new(&experiment, &registry, "cpu").unwrap_or_else(|error| panic!("{error}"));
    let model = Model::new(&setup, &experiment, Some(4)).unwrap_or_else(|error| panic!("{error}"));
    assert!(snapshot(&model, &RunState::default()).unwrap().files().is_ok());
    let parameters = model.parameters().unwrap();
    for (name, tensor) in &parameters {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let kept = tensor.detach().copy();
            let _ = tch::no_grad(|| tensor.shallow_clone().view(-1).get(0).fill_(value));
            let error = snapshot(&model, &RunState::default()).unwrap().files().unwrap_err();
            assert_eq!(error.exit_code(), 6);
            assert!(error.to_string().contains(&format!("`{name}` is not finite")), "{error}");
            tch::no_grad(|| tensor.shallow_clone().copy_(&kept));
        }
    }
    figure("K19", "parameters refused", parameters.len() * 3, parameters.len() * 3);
}
