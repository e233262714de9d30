//! Files as the libraries and programs of the field write them, recorded by `record_weights.py`: each gives the encoder that is
//! in it, whatever stands beside; a larger network's are refused; what can't be read is named for what it is.

use super::published::{encoder_for, encoder_named};
use crate::{
    support::{
        binary::{errors, run},
        workspace::root,
    },
    training::assert_ok,
};
use infomax::{
    checkpoint::{read_tensors, write_tensors},
    encoder::{Choice, ForeignEncoder, load_chosen_weights},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Read,
    path::Path,
};
use tch::{Kind, Tensor};

/// The recorded files, unpacked.
fn unpacked() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let recorded = root().join("tests/recorded/weights");
    for entry in fs::read_dir(recorded).expect("recorded weights") {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(fs::File::open(&path).unwrap()).read_to_end(&mut bytes).unwrap();
        // Files of one folder bear its name before theirs.
        let inside = ["sharded", "dcp"].into_iter().find_map(|f| Some((f, name.strip_prefix(f)?.strip_prefix('-')?)));
        let path = match inside {
            Some((subfolder, name)) => folder.path().join(subfolder).join(name),
            None => folder.path().join(&name),
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn resnet(name: &str) -> ForeignEncoder {
    encoder_named(name, json!({ "width": 8 }), 32)
}

fn tensors(encoder: &ForeignEncoder) -> BTreeMap<String, Tensor> {
    encoder.tensors().unwrap().into_iter().map(|named| (named.name, named.tensor.detach().copy())).collect()
}

/// What an encoder holds after a file, and what is told.
fn loaded(path: &Path, choice: Choice<'_>) -> Result<(BTreeMap<String, Tensor>, String), String> {
    let encoder = resnet("resnet18");
    let told = load_chosen_weights(&encoder, path, choice).map_err(|error| error.to_string())?;
    Ok((tensors(&encoder), told.join("\n")))
}

fn refusal(path: &Path) -> String {
    loaded(path, Choice::default()).map(|(_, told)| told).unwrap_err()
}

fn agree(loaded: &BTreeMap<String, Tensor>, expected: &BTreeMap<String, Tensor>) -> bool {
    loaded.len() == expected.len() && loaded.iter().all(|(name, tensor)| *tensor == expected[name])
}

#[test]
fn files_of_every_library_give_the_encoder_in_them() {
    let folder = unpacked();
    let at = |name: &str| folder.path().join(name);
    let reference = read_tensors(&fs::read(at("reference.safetensors")).unwrap()).unwrap().tensors;
    let cases = [
        ("reference.safetensors", "120 of the encoder's 120 tensors"),
        ("torchvision.pth", "left out, as heads: `fc.bias`, `fc.weight`"),
        ("torchvision-older.pth", "left out, as heads: `fc.bias`, `fc.weight`"),
        ("moco.pth.tar", "in `state_dict` under `module.encoder_q.`"),
        ("simsiam.pth.tar", "in `state_dict` under `module.encoder.`"),
        ("moco-v3.pth.tar", "in `state_dict` under `module.base_encoder.`"),
        ("swav.pth.tar", "left out, as heads: `projection_head.bias`"),
        ("compiled.pth", "in `model`"),
        ("dino.pth", "in `teacher` under `backbone.`"),
        ("barlow-twins.pth", "in `model` under `module.backbone.`"),
        ("vicreg.pth", "in `model` under `module.backbone.`"),
        ("solo-learn.ckpt", "in `state_dict` under `backbone.`"),
        ("lightning.ckpt", "in `state_dict` under `backbone.`"),
        ("lightly.pth", "by the names of lightly's ResNet in a Sequential"),
        ("lightly-torchvision.ckpt", "by the names of torchvision's ResNet in a Sequential"),
        ("simclr-sequential.pth", "by the names of a ResNet in a Sequential without max-pooling"),
        ("mmpretrain.pth", "in `state_dict` under `backbone.`"),
        ("vissl.torch", "in `classy_state_dict.base_model.model.trunk` under `_feature_blocks.`"),
        ("timm-saver.pth.tar", "in `state_dict_ema`"),
        ("huggingface-resnet.safetensors", "by the names of Hugging Face's ResNet"),
        ("sharded/model.safetensors.index.json", "left out, as heads: `fc.bias`, `fc.weight`"),
        ("sharded", "left out, as heads: `fc.bias`, `fc.weight`"),
        ("parameters.pth", "in `model`"),
        ("float8-beside.pth", "in `model`"),
    ];
    for (name, said) in cases {
        let (found, told) = loaded(&at(name), Choice::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(agree(&found, &reference), "{name}: {told}");
        assert!(told.contains(said), "{name}: {told}");
    }
    // Of a file with several encoders the one that is named; its numbers are others.
    for (name, key, prefix, said) in [
        ("moco.pth.tar", None, Some("module.encoder_k."), "under `module.encoder_k.`"),
        ("moco.pth.tar", Some("state_dict"), Some("module.encoder_k"), "under `module.encoder_k.`"),
        ("moco-v3.pth.tar", None, Some("module.momentum_encoder."), "under `module.momentum_encoder.`"),
        ("dino.pth", Some("student"), None, "in `student` under `module.backbone.`"),
        ("solo-learn.ckpt", None, Some("momentum_backbone"), "under `momentum_backbone.`"),
        ("lightly-torchvision.ckpt", None, Some("backbone_momentum."), "under `backbone_momentum.`"),
        ("timm-saver.pth.tar", Some("state_dict"), None, "in `state_dict`"),
    ] {
        let (found, told) = loaded(&at(name), Choice { key, prefix, ..Choice::default() })
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!agree(&found, &reference) && told.contains(said), "{name}: {told}");
    }
    // What is taken by convention is told with how to take the other.
    for (name, said) in [
        (
            "dino.pth",
            "of 2 encoders that fit the teacher, as DINO's evaluation does; `encoder.weights_key = \"student\"`",
        ),
        ("moco.pth.tar", "`encoder.weights_prefix = \"module.encoder_k.\"` takes the other"),
        ("solo-learn.ckpt", "the encoder itself, not a slow copy"),
    ] {
        let (_, told) = loaded(&at(name), Choice::default()).unwrap();
        assert!(told.contains(said), "{name}: {told}");
    }
    let wrong =
        |key, prefix| loaded(&at("dino.pth"), Choice { key, prefix, ..Choice::default() }).map(|_| ()).unwrap_err();
    assert!(wrong(Some("techer"), None).contains("`teacher`"));
    assert!(wrong(None, Some("nothing.")).contains("module.backbone."));
}

#[test]
fn a_larger_network_is_refused_with_the_encoder_that_fits() {
    let folder = unpacked();
    let path = folder.path().join("torchvision-resnet34.pth");
    let text = refusal(&path);
    assert!(
        text.contains("of a larger network than the encoder `resnet18`: 96 of their tensors")
            && text.contains("`layer1.2.bn1.bias`")
            && text.contains("the file's encoder is a ResNet-34: set `encoder.name = \"resnet34\"`"),
        "{text}"
    );
    let told =
        load_chosen_weights(&resnet("resnet34"), &path, Choice::default()).unwrap_or_else(|error| panic!("{error}"));
    assert!(told[0].contains("216 of the encoder's 216 tensors"), "{told:?}");
    let text = refusal(&folder.path().join("torchvision-imagenet-stem.pth"));
    assert!(text.contains("set `encoder.config.stem = \"imagenet\"`") && !text.contains("width"), "{text}");

    // ResNet-101 has every tensor of ResNet-50, by name and shape.
    let of = |name: &str| tensors(&encoder_named(name, json!({ "width": 8 }), 32));
    let mut larger = of("resnet50");
    for block in 6..23 {
        let of_block: Vec<_> = larger
            .iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix("layer3.5.")?.to_owned(), tensor.copy())))
            .collect();
        larger.extend(of_block.into_iter().map(|(name, tensor)| (format!("layer3.{block}.{name}"), tensor)));
    }
    let refused = |encoder: &ForeignEncoder, tensors: BTreeMap<String, Tensor>| {
        let path = folder.path().join("made.safetensors");
        let list: Vec<_> = tensors.into_iter().collect();
        fs::write(&path, write_tensors(&list, HashMap::new()).unwrap()).unwrap();
        load_chosen_weights(encoder, &path, Choice::default()).unwrap_err().to_string()
    };
    let text = refused(&resnet("resnet50"), larger);
    assert!(text.contains("306 of their tensors") && text.contains("a ResNet-101, which no encoder here is"), "{text}");

    // So has a network with something else in its blocks.
    let mut more = of("resnet18");
    more.insert("layer1.0.se.fc1.weight".to_owned(), Tensor::zeros([1, 8, 1, 1], (Kind::Float, tch::Device::Cpu)));
    let text = refused(&resnet("resnet18"), more);
    assert!(text.contains("blocks with `se` in them, which no encoder here is"), "{text}");

    // A transformer with what changes what it computes.
    let vit = || encoder_named("vit-tiny", json!({ "depth": 1 }), 32);
    let float = (Kind::Float, tch::Device::Cpu);
    for (name, size, said) in [
        ("blocks.0.ls1.gamma", vec![192], "with LayerScale, which no encoder here is"),
        ("reg_token", vec![1, 4, 192], "with register tokens"),
        ("norm_pre.weight", vec![192], "with a norm before its blocks"),
        ("fc_norm.weight", vec![192], "set `encoder.config.pool = \"mean\"`"),
        ("blocks.1.attn.qkv.weight", vec![576, 192], "set `encoder.config.depth = 2`"),
    ] {
        let mut more = tensors(&vit());
        more.insert(name.to_owned(), Tensor::zeros(size, float));
        let text = refused(&vit(), more);
        assert!(text.contains(&format!("`{name}`")) && text.contains(said), "{text}");
    }
    let patched = tensors(&encoder_named("vit-tiny", json!({ "depth": 1, "patch": 8 }), 64));
    assert!(refused(&vit(), patched).contains("set `encoder.config.patch = 8`"));
}

#[test]
fn numbers_that_are_not_finite_are_refused_before_anything_is_loaded() {
    let folder = unpacked();
    let mut file = read_tensors(&fs::read(folder.path().join("reference.safetensors")).unwrap()).unwrap().tensors;
    let _ = file.get_mut("layer2.0.conv1.weight").unwrap().view([-1]).get(3).fill_(f64::NAN);
    let path = folder.path().join("nan.safetensors");
    fs::write(&path, write_tensors(&file.into_iter().collect::<Vec<_>>(), HashMap::new()).unwrap()).unwrap();
    let encoder = resnet("resnet18");
    let before = tensors(&encoder);
    let text = load_chosen_weights(&encoder, &path, Choice::default()).unwrap_err().to_string();
    assert!(text.contains("not finite: `layer2.0.conv1.weight` (1 of 1152)"), "{text}");
    assert!(agree(&tensors(&encoder), &before), "nothing was loaded");
}

#[test]
fn position_embeddings_of_another_grid_are_interpolated_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let of = |side| encoder_named("vit-tiny", json!({ "depth": 1 }), side);
    let larger = tensors(&of(64));
    let path = folder.path().join("larger.safetensors");
    let list: Vec<_> = larger.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
    fs::write(&path, write_tensors(&list, HashMap::new()).unwrap()).unwrap();
    let encoder = of(32);
    let told = load_chosen_weights(&encoder, &path, Choice::default()).unwrap_or_else(|error| panic!("{error}"));
    assert!(
        told.iter().any(|line| line.contains("position embeddings of 16×16 patches are interpolated to 8×8")),
        "{told:?}"
    );
    let (small, large) = (&tensors(&encoder)["pos_embed"], &larger["pos_embed"]);
    assert_eq!(small.size(), [1, 65, 192]);
    assert_eq!(small.narrow(1, 0, 1), large.narrow(1, 0, 1), "the class token's");
    // Averaging nearly keeps the mean of a field of independent numbers.
    let mean = |x: &Tensor| x.narrow(1, 1, x.size()[1] - 1).mean(Kind::Double).double_value(&[]);
    assert!((mean(small) - mean(large)).abs() < 1e-3);
}

/// Grids that are no squares: told by the file, by a setting, or by the ratio of the encoder's; guessed never.
#[test]
fn position_embeddings_of_a_grid_that_is_no_square_are_interpolated_too() {
    let folder = tempfile::tempdir().unwrap();
    let of = |sides| encoder_for("vit-tiny", json!({ "depth": 1 }), sides);
    // One channel of each embedding says how far down its patch lies.
    let source = tensors(&of([32, 64]));
    let down = Tensor::arange(8, (Kind::Float, tch::Device::Cpu)).view([8, 1]).expand([8, 16], false).reshape([128]);
    source["pos_embed"].get(0).narrow(0, 1, 128).select(1, 0).copy_(&down);
    let list: Vec<_> = source.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
    let write = |name: &str, metadata| {
        let path = folder.path().join(name);
        fs::write(&path, write_tensors(&list, metadata).unwrap()).unwrap();
        path
    };
    let plain = write("plain.safetensors", HashMap::new());
    let about = json!({ "view": { "size": [32, 64] } }).to_string();
    let told_by_itself = write("told.safetensors", HashMap::from([("infomax".to_owned(), about)]));

    let square = of([32, 32]);
    let text = load_chosen_weights(&square, &plain, Choice::default()).unwrap_err().to_string();
    assert!(text.contains("say which with `encoder.weights_grid = [DOWN, ACROSS]`"), "{text}");
    for (sides, path, grid, said) in [
        ([32, 32], &told_by_itself, None, "8×16 patches are interpolated to 8×8"),
        ([32, 32], &plain, Some([8, 16]), "8×16 patches are interpolated to 8×8"),
        ([16, 32], &plain, None, "8×16 patches are interpolated to 4×8"),
        ([64, 32], &told_by_itself, None, "8×16 patches are interpolated to 16×8"),
    ] {
        let encoder = of(sides);
        let choice = Choice { grid, ..Choice::default() };
        let told = load_chosen_weights(&encoder, path, choice).unwrap_or_else(|error| panic!("{error}")).join("\n");
        assert!(told.contains(said), "{told}");
        let [h, w] = sides.map(|side| i64::from(side) / 4);
        let rows = tensors(&encoder)["pos_embed"].narrow(1, 1, h * w).select(2, 0).view([h, w]);
        let spread = (rows.amax(1, false) - rows.amin(1, false)).max().double_value(&[]);
        assert!(spread < 1e-4, "what lay in a row lies in one: {rows}");
        assert!(rows.double_value(&[h - 1, 0]) > rows.double_value(&[0, 0]) + 5.0, "from top to bottom: {rows}");
    }
}

#[test]
fn what_can_not_be_read_is_named_with_what_makes_it_readable() {
    let folder = unpacked();
    let at = |name: &str| folder.path().join(name);
    for (name, what, hint) in [
        ("whole-model.pth", "an object of `torchvision.models.resnet.ResNet`", "weights_only=False).state_dict()"),
        ("torchscript.pt", "a TorchScript program", "torch.jit.load("),
        ("dcp", "torch.distributed.checkpoint (DCP)", "dcp_to_torch_save("),
        ("fsdp2.pth", "`DTensor`s, pieces of which", "full_state_dict=True"),
    ] {
        let text = refusal(&at(name));
        assert!(text.contains(what) && text.contains(hint) && text.contains("hint: "), "{name}: {text}");
    }
    fs::remove_file(at("sharded/model-00002-of-00003.safetensors")).unwrap();
    assert!(
        refusal(&at("sharded")).contains("the shard `model-00002-of-00003.safetensors` can't be read: no such file")
    );
    for (map, said) in [
        ("{\"weight_map\":{\"a\":\"../reference.safetensors\"}}", "no safetensors file beside it"),
        ("{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "no safetensors file beside it"),
        ("{\"weight_map\":{}}", "it names no tensor"),
        ("{", "is no index"),
        ("{\"weight_map\":{\"a\":\"model-00001-of-00003.safetensors\"}}", "where it is not"),
    ] {
        fs::write(at("sharded/model.safetensors.index.json"), map).unwrap();
        assert!(refusal(&at("sharded")).contains(said), "{map}: {}", refusal(&at("sharded")));
    }
}

/// Through the binary: what is loaded stands on the console, and `checkpoint import` says what to do with a file.
#[test]
fn a_run_says_what_it_loaded_and_import_what_a_file_is() {
    let folder = unpacked();
    let settings = [
        "dataset.name=shapes",
        "dataset.config.train_length=32",
        "dataset.config.test_length=16",
        "train.steps=1",
        "optimizer.warmup_steps=0",
        "train.batch_size=16",
        "train.device=cpu",
        "train.threads=1",
        "evaluation.untrained=false",
        "encoder.name=resnet18",
        "encoder.config.width=8",
        "record.name=run",
        "encoder.weights=dino.pth",
        "loss.config.projector_hidden=16",
    ];
    let config = root().join("configs/methods/nt-xent.toml").display().to_string();
    fs::write(folder.path().join("a.toml"), format!("extends = [{config:?}]\n")).unwrap();
    let mut arguments = vec!["train", "a.toml"];
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    let output = run(folder.path(), &arguments);
    assert_ok(&output);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for said in
        ["encoder.weights: 120 of the encoder's 120 tensors from `dino.pth`", "the teacher, as DINO's evaluation does"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    for (name, said) in [
        (
            "torchvision-resnet34.pth",
            "a ResNet-34, which needs no import: set `encoder.weights = \"torchvision-resnet34.pth\"`, `encoder.name = \"resnet34\"`, `encoder.config.stem = \"small\"`, `encoder.config.width = 8`",
        ),
        ("lightly.pth", "a ResNet-18, which needs no import"),
    ] {
        let output = run(folder.path(), &["checkpoint", "import", name, "--out", "out"]);
        let text = errors(&output, folder.path());
        assert_eq!(output.status.code(), Some(5));
        assert!(text.contains(said), "{name}: {text}");
    }
    let exported = run(folder.path(), &["checkpoint", "export", "torchvision.pth", "--out", "flat.safetensors"]);
    assert_ok(&exported);
    assert_eq!(read_tensors(&fs::read(folder.path().join("flat.safetensors")).unwrap()).unwrap().tensors.len(), 122);
    let several = run(folder.path(), &["checkpoint", "export", "dino.pth", "--out", "none.safetensors"]);
    assert_eq!(several.status.code(), Some(5));
    assert!(errors(&several, folder.path()).contains("encoder.weights_key"), "{}", errors(&several, folder.path()));
}
