//! The published code's checkpoints: both layouts, read without executing anything, give the weights and the features that were
//! recorded.

use super::pickles::{Saved, archive, pickle, storages, stream};
use crate::support::{
    binary::{errors, run},
    golden_file::{Golden, golden},
    workspace::{component, shared},
};
use infomax::{
    checkpoint::{Published, Weights, read_tensors},
    encoder::{ForeignEncoder, load_weights},
    plugin::Kind,
};
use infomax_sdk::{EncoderInput, Mode, View, requests::Request};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tch::Tensor;

/// Every `.pth` of the golden folder, with the recorded file whose name its own begins with.
fn recorded() -> Vec<(PathBuf, Golden)> {
    let Some(folder) = shared().map(|shared| shared.join("golden")) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "pth"));
    paths.sort();
    if paths.is_empty() {
        eprintln!("SKIPPED: no `.pth` in {}", folder.display());
    }
    let partner = |path: PathBuf| {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let fits = |golden: &Golden| stem.starts_with(golden.name.trim_end_matches(".safetensors"));
        let best = golden("amdim").into_iter().filter(fits).max_by_key(|golden| golden.name.len());
        if best.is_none() {
            eprintln!("SKIPPED: nothing was recorded for {}", path.display());
        }
        best.map(|golden| (path, golden))
    };
    paths.into_iter().filter_map(partner).collect()
}

/// An encoder of the sizes that a checkpoint states.
pub fn encoder(config: Value, side: u32) -> ForeignEncoder {
    encoder_named("amdim", config, side)
}

/// Any encoder, with two views of a side.
pub fn encoder_named(name: &str, config: Value, side: u32) -> ForeignEncoder {
    encoder_for(name, config, [side; 2])
}

/// An encoder of views of a height and a width.
pub fn encoder_for(name: &str, config: Value, [height, width]: [u32; 2]) -> ForeignEncoder {
    let view = |name: &str| View { name: name.to_owned(), height, width, group: 0 };
    let encoder =
        EncoderInput { views: vec![view("one"), view("two")], eval_size: [height, width], ..EncoderInput::default() };
    let request = Request { config, encoder, device: "cpu".into(), ..Request::default() };
    ForeignEncoder::create(&component(Kind::Encoder, name), &request)
        .unwrap_or_else(|error| panic!("{}", error.fault()))
}

fn config(path: &Path) -> (Value, u32) {
    let sizes = Weights::read(path).unwrap_or_else(|error| panic!("{error}")).sizes.expect("a published checkpoint");
    let config = json!({
        "size": sizes.encoder_size, "ndf": sizes.ndf, "n_rkhs": sizes.n_rkhs, "depth": sizes.n_depth, "use_bn": sizes.use_bn,
    });
    (config, sizes.encoder_size as u32)
}

#[test]
fn golden_pth_weights_are_the_recorded_ones() {
    for (path, golden) in recorded() {
        let folder = tempfile::tempdir().unwrap();
        let file = path.display().to_string();
        let output = run(folder.path(), &["checkpoint", "import", &file, "--out", "imported"]);
        assert!(output.status.success(), "{}", errors(&output, folder.path()));
        let read = |name: &str| read_tensors(&fs::read(folder.path().join("imported").join(name)).unwrap()).unwrap();
        let (encoder, classifiers) = (read("encoder.safetensors").tensors, read("classifiers.safetensors").tensors);
        let mut compared = 0;
        for (name, expected) in golden.under("adam/") {
            let found = match (name.strip_prefix("encoder."), name.strip_prefix("evaluator.")) {
                (Some(own), _) => encoder.get(own),
                (_, Some(own)) => classifiers.get(own),
                _ => continue,
            };
            let found = found.unwrap_or_else(|| panic!("{file}: `{name}` is missing"));
            assert_eq!(found, expected, "{file}: {name}");
            compared += 1;
        }
        // Classifiers were trained by other numbers, so not all files recorded theirs.
        assert!(compared >= encoder.len() && compared > 50, "{file}: {compared} of {} compared", encoder.len());
        let source: Value =
            serde_json::from_slice(&fs::read(folder.path().join("imported/source.json")).unwrap()).unwrap();
        let sizes = &source["hyperparams"];
        for key in ["encoder_size", "ndf", "n_rkhs", "n_depth", "n_classes"] {
            assert_eq!(sizes[key].as_i64(), Some(golden.number(key)), "{file}: {key}");
        }
        assert!(!source["counters"].as_object().unwrap().is_empty());
    }
}

#[test]
fn golden_pth_features_are_those_of_the_recorded_weights() {
    for (path, golden) in recorded() {
        let (config, side) = config(&path);
        let views = [golden.get("x1"), golden.get("x2")];
        let mut loaded = encoder(config.clone(), side);
        load_weights(&loaded, &path, false).unwrap_or_else(|error| panic!("{error}"));
        let mut control = encoder(config, side);
        for named in control.tensors().unwrap() {
            let recorded = golden.get(&format!("adam/encoder.{}", named.name));
            tch::no_grad(|| named.tensor.shallow_clone().copy_(&recorded));
        }
        let features = |encoder: &mut ForeignEncoder| {
            tch::no_grad(|| encoder.forward(&views, Mode::Evaluate)).unwrap_or_else(|error| panic!("{}", error.fault()))
        };
        let (loaded, control) = (features(&mut loaded), features(&mut control));
        for (loaded, control) in loaded.iter().flatten().zip(control.iter().flatten()) {
            assert_eq!(loaded, control, "{}", path.display());
        }
        // Three updates from the start: close to the recorded features of that, and not the same.
        let (trained, start) = (&loaded[0][0], golden.get("eval/r1_x1"));
        let apart = (trained.reshape([-1]) - start.reshape([-1])).abs().max().double_value(&[]);
        assert!(apart > 0.0 && apart < 1.0, "{}: {apart}", path.display());
    }
}

fn tiny() -> Vec<Saved> {
    let ramp = |n: usize| (0..n).map(|i| i as f32 * 0.5 - 1.0).collect::<Vec<_>>();
    vec![
        Saved::new("encoder.module.layer_list.0.conv.weight", &[2, 3, 1, 1], ramp(6)),
        Saved::new("encoder.module.layer_list.1.conv1.weight", &[2, 2, 1, 1], ramp(4)),
        Saved::new("encoder.module.layer_list.2.layer_list.0.conv1.weight", &[4, 2, 1, 1], ramp(8)),
        Saved::new("encoder.module.rkhs_block_7.bn_out.bn.weight", &[8], ramp(8)),
        Saved::new("evaluator.block_glb_lin.block_forward.2.weight", &[10, 8], ramp(80)),
        Saved::new("evaluator.block_bop_lin.block_forward.2.weight", &[1], ramp(1)),
        Saved::new("g2l_loss.masks_r5", &[25], ramp(25)),
    ]
}

#[test]
fn both_containers_strides_and_shared_storages_are_read() {
    let mut tensors = tiny();
    // A transposed view with an offset into a storage that others could use too.
    tensors[1].storage = (0..20).map(|i| i as f32).collect();
    (tensors[1].stride, tensors[1].offset) = (vec![1, 2, 1, 1], 3);
    let zip = archive(&pickle(&tensors), &storages(&tensors));
    for bytes in [zip, stream(&tensors)] {
        let read = Published::read(&bytes).unwrap_or_else(|error| panic!("{error}"));
        let expected = Tensor::from_slice(&[3f32, 5.0, 4.0, 6.0]).view([2, 2, 1, 1]);
        assert_eq!(read.encoder["layer_list.1.conv1.weight"], expected);
        let (sizes, counters) = (read.sizes.as_ref().unwrap(), &read.counters);
        assert_eq!((sizes.encoder_size, sizes.ndf, sizes.n_rkhs, sizes.n_depth), (32, 2, 8, 1));
        assert_eq!((sizes.n_classes, counters["info_steps"]), (Some(10), 1234));
        assert_eq!(read.left_out, ["evaluator.block_bop_lin.block_forward.2.weight", "g2l_loss.masks_r5"]);
    }
}

#[test]
fn what_the_layouts_do_not_have_is_named() {
    let refusal = |tensors: &[Saved]| Published::read(&archive(&pickle(tensors), &storages(tensors))).unwrap_err();
    let mut tensors = tiny();
    tensors.push(Saved::new("decoder.weight", &[1], vec![0.0]));
    assert!(refusal(&tensors).contains("`decoder.weight`, which AMDIM does not have"));
    let mut tensors = tiny();
    tensors[0].size = vec![1 << 40, 3, 1, 1];
    assert!(refusal(&tensors).contains("outside of its storage"));
    let mut tensors = tiny();
    tensors[0].offset = 1;
    assert!(refusal(&tensors).contains("outside of its storage"));
    // A tensor that repeats one number is larger than what is stored.
    let mut tensors = tiny();
    (tensors[0].size, tensors[0].stride) = (vec![1 << 30], vec![0]);
    assert!(refusal(&tensors).contains("outside of its storage"));
    let nothing = [Saved::new("g2l_loss.masks_r5", &[1], vec![0.0])];
    assert!(refusal(&nothing).contains("its model holds no encoder"));
    let other = archive(b"\x80\x02}(X\x05\x00\x00\x00epochK\x03u.", &[]);
    assert!(Published::read(&other).unwrap_err().contains("it holds `epoch`, not one of the two layouts"));
}

#[test]
fn a_config_that_does_not_fit_learns_the_sizes() {
    for (path, _) in recorded().into_iter().take(1) {
        let encoder = encoder(json!({ "size": 32, "ndf": 4, "n_rkhs": 16, "depth": 1 }), 32);
        let error = load_weights(&encoder, &path, false).unwrap_err();
        assert_eq!(error.exit_code(), 5);
        let text = error.to_string();
        assert!(
            text.contains("`encoder.config = { size = 32, ndf = 8, n_rkhs = 64, depth = 2, use_bn = false }`"),
            "{text}"
        );
    }
}
