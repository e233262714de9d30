//! Exports under the published names are weights like any other: they come back through `encoder.weights` and
//! `infomax checkpoint import`, with the sizes that they state.

use crate::{
    support::{binary::errors, binary::run},
    training::{assert_ok, train},
};
use infomax::checkpoint::{TensorFile, read_tensors, write_tensors};
use serde_json::{Value, json};
use std::{collections::HashMap, fs, path::Path};
use tch::Tensor;

fn read(path: &Path) -> TensorFile {
    read_tensors(&fs::read(path).unwrap()).unwrap()
}

fn write(path: &Path, file: TensorFile) {
    let tensors: Vec<_> = file.tensors.into_iter().collect();
    fs::write(path, write_tensors(&tensors, file.metadata).unwrap()).unwrap();
}

#[test]
fn an_export_under_published_names_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert_ok(&train(folder.path(), "run", &["encoder.config.use_bn=true", "loss.config.tclip=7.5"]));
    for (layout, out) in [("infomax", "own.safetensors"), ("published", "published.safetensors")] {
        assert_ok(&run(folder.path(), &["checkpoint", "export", "runs/run", "--out", out, "--layout", layout]));
        let sizes: Value = serde_json::from_str(&read(&at(out)).metadata["hyperparams"]).unwrap();
        let expected = json!({
            "encoder_size": 32, "ndf": 4, "n_rkhs": 16, "n_depth": 1, "use_bn": true, "n_classes": 10, "tclip": 7.5,
        });
        assert_eq!(sizes, expected, "{layout}");
    }
    let own = read(&at("own.safetensors")).tensors;
    assert_ok(&run(folder.path(), &["checkpoint", "import", "published.safetensors", "--out", "imported"]));
    assert_eq!(read(&at("imported/encoder.safetensors")).tensors, own);
    assert!(read(&at("imported/classifiers.safetensors")).tensors.len() >= 10);
    let counter = "layer_list.1.bn1.bn.num_batches_tracked";
    assert_eq!((own[counter].size(), own[counter].int64_value(&[])), (vec![], 28), "two views in 14 updates");
    let source: Value = serde_json::from_slice(&fs::read(at("imported/source.json")).unwrap()).unwrap();
    assert_eq!(source["hyperparams"]["tclip"], 7.5);

    // The same encoder whichever way it comes, and exported again.
    let start = |name: &str, weights: &str| {
        let settings = ["encoder.config.use_bn=true", "train.stage=classifiers", "train.steps=3"];
        train(folder.path(), name, &[&settings[..], &[&format!("encoder.weights={weights}")]].concat())
    };
    for (name, weights) in [("again", "published.safetensors"), ("imported-run", "imported/encoder.safetensors")] {
        assert_ok(&start(name, weights));
        assert_eq!(read(&at("runs").join(name).join("encoder.safetensors")).tensors, own, "{weights}");
    }
    let again =
        ["checkpoint", "export", "published.safetensors", "--out", "again.safetensors", "--layout", "published"];
    assert_ok(&run(folder.path(), &again));
    assert!(fs::read(at("again.safetensors")).unwrap() == fs::read(at("published.safetensors")).unwrap());
    let plain = run(folder.path(), &["checkpoint", "import", "own.safetensors", "--out", "none"]);
    assert_eq!(plain.status.code(), Some(5));

    // What contradicts itself, or is not AMDIM's, is refused by name.
    let mut told = vec![errors(&plain, folder.path())];
    type Change = fn(&mut TensorFile);
    let changes: [(&str, Change); 5] = [
        ("wider", |file| {
            let text = file.metadata["hyperparams"].replace("\"ndf\":4", "\"ndf\":8");
            file.metadata.insert("hyperparams".to_owned(), text);
        }),
        ("lacking", |file| {
            file.metadata.insert("hyperparams".to_owned(), "{\"ndf\":4}".to_owned());
        }),
        ("broken", |file| {
            file.metadata.insert("hyperparams".to_owned(), "{".to_owned());
        }),
        ("another-layer", |file| {
            file.tensors.insert("encoder.module.layer_list.40.conv.weight".to_owned(), Tensor::from(1.0f32));
        }),
        ("another-classifier", |file| {
            file.tensors.insert("evaluator.block_glb_lin.gain".to_owned(), Tensor::from(1.0f32));
        }),
    ];
    for (name, change) in changes {
        let mut file = read(&at("published.safetensors"));
        change(&mut file);
        let path = format!("{name}.safetensors");
        write(&at(&path), file);
        let output = run(folder.path(), &["checkpoint", "import", &path, "--out", "none"]);
        assert_eq!(output.status.code(), Some(5), "{name}");
        let said = errors(&output, folder.path());
        assert_eq!(start("none", &path).status.code(), Some(5), "{name}");
        told.push(said);
    }
    assert!(!at("none").exists());
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn another_encoder_under_published_names_comes_back_without_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let named = [
        ("encoder.module.conv1.weight".to_owned(), Tensor::from_slice(&[1f32, 2.0])),
        ("evaluator.block_glb_lin.block_forward.2.weight".to_owned(), Tensor::from_slice(&[3f32])),
    ];
    fs::write(folder.path().join("other.safetensors"), write_tensors(&named, HashMap::new()).unwrap()).unwrap();
    assert_ok(&run(folder.path(), &["checkpoint", "import", "other.safetensors", "--out", "imported"]));
    let imported = read(&folder.path().join("imported/encoder.safetensors")).tensors;
    assert_eq!(imported.keys().collect::<Vec<_>>(), ["conv1.weight"]);
    assert_ok(&run(folder.path(), &["checkpoint", "export", "other.safetensors", "--out", "own.safetensors"]));
    let own = read(&folder.path().join("own.safetensors"));
    assert!(own.tensors == imported && !own.metadata.contains_key("hyperparams"));
}

#[test]
fn k13_weights_that_do_not_fit_are_listed_with_the_nearest_names() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &[]));
    let mut file = read(&folder.path().join("runs/run/encoder.safetensors"));
    for (name, other) in [
        ("layer_list.0.conv.weight", "layer_list.0.convolution.weight"),
        ("rkhs_block_5.shortcut.bias", "rkhs_block_5.short_cut.bias"),
    ] {
        let tensor = file.tensors.remove(name).unwrap();
        file.tensors.insert(other.to_owned(), tensor);
    }
    file.tensors.insert("head.weight".to_owned(), Tensor::from_slice(&[1f32]));
    drop(file.tensors.remove("rkhs_block_7.shortcut.weight").unwrap());
    write(&folder.path().join("renamed.safetensors"), file);
    let output = train(folder.path(), "other", &["encoder.weights=renamed.safetensors"]);
    assert_eq!(output.status.code(), Some(5));
    insta::assert_snapshot!(errors(&output, folder.path()));
}
