//! Files that the real `torch.save` writes, in its protocols, containers and number formats: read without libtorch, they give
//! the features that PyTorch gives.

use super::published::encoder;
use crate::support::{
    ended::infomax,
    python::python_with,
    workspace::{root, shared},
};
use infomax::{
    checkpoint::{Published, read_tensors},
    encoder::load_weights,
};
use infomax_sdk::Mode;
use serde_json::json;
use std::{fs, process::Command};
use tch::Kind;

#[test]
fn files_of_the_real_torch_save_give_the_features_of_pytorch() {
    let (Some(python), Some(shared)) = (python_with("torch, safetensors"), shared()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = root().join("tests/integration/weights/variants.py");
    let made = Command::new(python).arg(script).arg(shared.join("reference")).arg(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let expected = read_tensors(&fs::read(folder.path().join("expected.safetensors")).unwrap()).unwrap().tensors;
    let config = json!({"size": 32, "ndf": 4, "n_rkhs": 16, "depth": 2, "use_bn": true});
    let mut variants = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "pth") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let read = Published::read(&fs::read(&path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let sizes = read.sizes.unwrap();
        let is_older = name.starts_with("older-layout") || name.starts_with("older-both");
        assert_eq!((sizes.ndf, sizes.n_depth, sizes.n_classes, sizes.use_bn), (4, 2, Some(10), true), "{name}");
        assert_eq!(sizes.tclip, (!is_older).then_some(20.0), "{name}");
        // A counter has no axes, and counts.
        let counter = &read.encoder["layer_list.1.bn1.bn.num_batches_tracked"];
        assert_eq!((counter.size(), counter.kind(), counter.int64_value(&[])), (vec![], Kind::Int64, 3), "{name}");
        let mut encoder = encoder(config.clone(), 32);
        let is_rounded = ["f64", "f16", "bf16"].contains(&name.as_str());
        assert_eq!(
            load_weights(&encoder, &path, false).is_err(),
            is_rounded,
            "{name}: other formats are cast when asked"
        );
        load_weights(&encoder, &path, true).unwrap_or_else(|error| panic!("{name}: {error}"));
        let views = [expected["views"].shallow_clone()];
        let maps = tch::no_grad(|| encoder.forward(&views, Mode::Evaluate)).unwrap_or_else(|e| panic!("{}", e.fault()));
        for (map, own) in encoder.description().maps.iter().zip(&maps[0]) {
            let theirs = &expected[&format!("{name}/{}", map.name)];
            let apart = (own - theirs).abs().max().double_value(&[]) / theirs.abs().max().double_value(&[]);
            assert!(apart < 1e-5, "{name}: {} is {apart} apart", map.name);
        }
        variants += 1;
    }
    assert_eq!(variants, 14);
    for file in ["text.txt", "text-older.txt"] {
        let ended = infomax(folder.path(), &["checkpoint", "import", file, "--out", "imported"]);
        assert!(ended.code == 5 && ended.err.contains("written in the text protocol (0 or 1)"), "{}", ended.seen());
    }
}
