//! Vision transformers that other libraries saved give the features here that they give there.

use super::published::encoder_named;
use crate::support::python::{printed, python_with};
use infomax::{checkpoint::read_tensors, encoder::load_weights};
use infomax_sdk::Mode;
use serde_json::json;
use std::fs;
use tch::Kind;

#[test]
fn transformers_of_other_libraries_give_their_features() {
    let Some(python) = python_with("timm, torchvision, transformers, safetensors") else { return };
    let folder = tempfile::tempdir().unwrap();
    printed(&python, include_str!("vits.py"), folder.path());
    let cases = read_tensors(&fs::read(folder.path().join("cases.safetensors")).unwrap()).unwrap().tensors;
    for (name, path, said) in [
        ("timm", "timm.pth", "tensors from"),
        ("dino", "dino.pth", "in `teacher` under `backbone.`"),
        ("timm-larger", "timm-larger.pth", "of 12×12 patches are interpolated to 8×8"),
        ("torchvision", "torchvision.pth", "by the names of torchvision's VisionTransformer"),
        ("huggingface", "huggingface", "by the names of Hugging Face's ViT"),
    ] {
        let mut encoder = encoder_named("vit-tiny", json!({ "depth": 2, "patch": 8 }), 64);
        let told = load_weights(&encoder, &folder.path().join(path), false).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(told.join("\n").contains(said), "{name}: {told:?}");
        let view = cases["view"].shallow_clone();
        let maps =
            tch::no_grad(|| encoder.forward(&[view], Mode::Evaluate)).unwrap_or_else(|e| panic!("{}", e.fault()));
        let (own, expected) = (maps[0][0].flatten(1, -1), &cases[name]);
        let largest = |x: &tch::Tensor| x.abs().max().to_kind(Kind::Double).double_value(&[]);
        let error = largest(&(&own - expected)) / largest(expected);
        assert!(error < 1e-4, "{name}: {error:.1e} of the largest feature");
    }
}
