//! `encoder.weights`: files with the names of torchvision and timm make the recorded networks; others are refused in words.

use super::small::{assert_ok, train};
use crate::{
    recorded::encoders::Case,
    support::{binary::errors, workspace::root},
};
use infomax::{
    checkpoint::{read_tensors, write_tensors},
    encoder::load_weights,
};
use std::{collections::HashMap, fs, path::Path};
use tch::{Device, Kind, Tensor};

/// The library's tensors of a recorded network, filled as they were recorded: its names and shapes come from `names.txt`,
/// not from the encoder, but for the shapes that depend on stem or patch.
fn library(component: &str, reshaped: &[(&str, &[i64])]) -> Vec<(String, Tensor)> {
    let text = fs::read_to_string(root().join("tests/recorded/encoders/names.txt")).expect("the recorded names");
    let lines = text.lines().filter_map(|line| line.strip_prefix(component)?.strip_prefix(' '));
    let tensor = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next().expect("a name");
        let recorded: Vec<i64> = words.map(|side| side.parse().expect("a side")).collect();
        let shape = reshaped.iter().find(|(reshaped, _)| *reshaped == name).map_or(&recorded[..], |(_, shape)| shape);
        let tensor = if name.ends_with("num_batches_tracked") {
            Tensor::zeros(shape, (Kind::Int64, Device::Cpu))
        } else {
            crate::recorded::fill::filled(name, shape)
        };
        (name.to_owned(), tensor)
    };
    lines.map(tensor).collect()
}

/// Writes a file of weights.
fn write(path: &Path, tensors: &[(String, Tensor)]) {
    let list: Vec<_> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
    fs::write(path, write_tensors(&list, HashMap::new()).unwrap()).unwrap();
}

/// Loads a file into a recorded network with fresh weights, and compares every number that was recorded.
fn agrees(case: &'static str, tensors: &[(String, Tensor)]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    write(&path, tensors);
    let case = Case::fresh(case);
    load_weights(&case.encoder, &path, false).unwrap_or_else(|error| panic!("{error}"));
    case.agrees();
}

/// A classifier, which libraries' files have and encoders don't.
fn classifier(name: &str, channels: i64) -> Vec<(String, Tensor)> {
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    vec![(format!("{name}.weight"), zeros(&[1000, channels])), (format!("{name}.bias"), zeros(&[1000]))]
}

#[test]
fn weights_with_the_names_of_torchvision_make_its_resnet18() {
    let mut tensors = library("resnet18", &[]);
    assert_eq!(tensors.len(), 120, "62 tensors less the classifier's two, and three buffers for each of 20 norms");
    tensors.extend(classifier("fc", 512));
    agrees("resnet18_imagenet", &tensors);
    tensors.retain(|(name, _)| !name.ends_with("num_batches_tracked"));
    agrees("resnet18_imagenet", &tensors);
    agrees("resnet18", &library("resnet18", &[("conv1.weight", &[64, 3, 3, 3])]));
}

#[test]
fn weights_with_the_names_of_timm_make_its_vit_tiny() {
    let patches = 1 + 8 * 8;
    let small: [(&str, &[i64]); 2] = [("patch_embed.proj.weight", &[192, 3, 4, 4]), ("pos_embed", &[1, patches, 192])];
    let mut tensors = library("vit-tiny", &small);
    tensors.extend(classifier("head", 192));
    agrees("vit_tiny", &tensors);
}

#[test]
fn weights_in_half_precision_are_widened_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let halved = |(name, tensor): (String, Tensor)| {
        let kind = if tensor.kind() == Kind::Float { Kind::Half } else { tensor.kind() };
        (name, tensor.to_kind(kind))
    };
    let tensors: Vec<_> = library("resnet18", &[]).into_iter().map(halved).collect();
    write(&path, &tensors);
    let case = Case::fresh("resnet18_imagenet");
    load_weights(&case.encoder, &path, true).unwrap_or_else(|error| panic!("{error}"));
    for named in case.encoder.tensors().unwrap() {
        let (_, saved) = tensors.iter().find(|(name, _)| *name == named.name).expect("a tensor of the file");
        assert_eq!(named.tensor.detach(), saved.to_kind(named.tensor.kind()), "{}", named.name);
    }
}

#[test]
fn training_starts_from_the_weights_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = library("resnet18", &[("conv1.weight", &[64, 3, 3, 3])]);
    write(&folder.path().join("weights.safetensors"), &tensors);
    let settings = [
        "encoder.weights=weights.safetensors",
        "loss.config={ projector_hidden = 32, projector_dim = 16 }",
        "train.steps=1",
        "optimizer.lr=0",
    ];
    assert_ok(&train(folder.path(), "run", "nt-xent", &settings), folder.path());
    let end = read_tensors(&fs::read(folder.path().join("runs/run/encoder.safetensors")).unwrap()).unwrap().tensors;
    for (name, tensor) in tensors.iter().filter(|(name, _)| !name.contains("running") && !name.contains("batches")) {
        assert_eq!(end[name], *tensor, "{name}");
    }
}

/// What the binary says to a file of weights.
fn refusal(settings: &[&str], tensors: &[(String, Tensor)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("weights.safetensors"), tensors);
    let output = train(folder.path(), "run", "nt-xent", &[settings, &["encoder.weights=weights.safetensors"]].concat());
    assert_eq!(output.status.code(), Some(5), "{}", errors(&output, folder.path()));
    errors(&output, folder.path())
}

#[test]
fn weights_of_other_names_are_refused_with_both_sets() {
    let renamed = |(name, tensor): (String, Tensor)| (format!("module.{}", name.replace("layer", "stage")), tensor);
    let tensors: Vec<_> = library("resnet18", &[]).into_iter().map(renamed).collect();
    insta::assert_snapshot!(refusal(&["encoder.config={ stem = \"imagenet\" }"], &tensors));
}

#[test]
fn weights_of_other_shapes_are_refused_with_both_shapes() {
    insta::assert_snapshot!(refusal(&["encoder.name=vit-tiny"], &library("vit-tiny", &[])));
    insta::assert_snapshot!(refusal(&["encoder.config={ width = 16 }"], &library("resnet18", &[])));
}
