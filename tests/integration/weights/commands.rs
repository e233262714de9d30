//! `infomax checkpoint`, and `encoder.weights` from each of its sources, through the real binary.

use super::published::encoder_named;
use crate::{
    support::{
        binary::{errors, run},
        figures::figure,
        python::python_with,
        workspace::{root, shared},
    },
    training::{assert_ok, train},
};
use infomax::{
    checkpoint::{read_tensors, write_tensors},
    encoder::load_weights,
};
use infomax_sdk::Mode;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::{Command, Output},
};
use tch::Kind;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn encoder_file(run: &Path) -> Vec<u8> {
    fs::read(run.join("encoder.safetensors")).unwrap()
}

#[test]
fn checkpoints_are_listed_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &["evaluation.every_steps=4"]));
    let checkpoints = folder.path().join("runs/run/checkpoints");
    fs::write(checkpoints.join("step-000000008/encoder.safetensors"), b"damaged").unwrap();
    fs::create_dir(checkpoints.join("step-5.bak")).unwrap();
    fs::create_dir(checkpoints.join(".writing-step-000000099")).unwrap();
    let output = run(folder.path(), &["checkpoint", "list", "runs/run"]);
    assert_ok(&output);
    let text = out(&output);
    let line =
        |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    assert!(line("step-000000004").contains("whole: linear_top1 "), "{text}");
    assert!(line("step-000000008").contains("`encoder.safetensors` has 7 bytes"), "{text}");
    assert!(line("step-5.bak").contains("not named like a checkpoint"), "{text}");
    assert!(line(".writing-step-000000099").contains("half written"), "{text}");
    let output = run(folder.path(), &["checkpoint", "verify", "runs/run"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(out(&output).contains("whole    runs/run/checkpoints/step-000000004 (3 files)"), "{}", out(&output));
    insta::assert_snapshot!(errors(&output, folder.path()));
    assert_ok(&run(folder.path(), &["checkpoint", "verify", "runs/run/checkpoints/step-000000012"]));
    let output = run(folder.path(), &["checkpoint", "verify", "nowhere"]);
    assert_eq!(output.status.code(), Some(5));
    insta::assert_snapshot!(errors(&output, folder.path()));
}

#[test]
fn an_encoder_starts_from_a_run_a_checkpoint_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "first", &[]));
    let runs = folder.path().join("runs");
    let newest = runs.join("first/checkpoints/step-000000014");
    // The stage that trains classifiers leaves the encoder as it came.
    let start = |name: &str, weights: &str| {
        train(folder.path(), name, &["train.stage=classifiers", "train.steps=3", &format!("encoder.weights={weights}")])
    };
    for (name, weights) in [
        ("of-run", "runs/first"),
        ("of-checkpoint", "runs/first/checkpoints/step-000000014"),
        ("of-file", "runs/first/encoder.safetensors"),
    ] {
        assert_ok(&start(name, weights));
        assert!(encoder_file(&runs.join(name)) == encoder_file(&runs.join("first")), "{weights}");
    }
    // A damaged checkpoint is passed over in a run, and refused where it is named.
    fs::write(newest.join("state.json"), b"{}").unwrap();
    let output = start("of-older", "runs/first");
    assert_ok(&output);
    assert!(errors(&output, folder.path()).contains("checkpoint passed over"), "{}", errors(&output, folder.path()));
    let older = fs::read(runs.join("first/checkpoints/step-000000012/encoder.safetensors")).unwrap();
    assert!(encoder_file(&runs.join("of-older")) == older);
    let output = start("of-damaged", "runs/first/checkpoints/step-000000014");
    assert_eq!(output.status.code(), Some(5), "{}", errors(&output, folder.path()));
    let output = start("of-nothing", "runs");
    assert_eq!(output.status.code(), Some(5));
    assert!(
        errors(&output, folder.path()).contains("neither a checkpoint nor a run"),
        "{}",
        errors(&output, folder.path())
    );
}

#[test]
fn k14_weights_of_another_number_format_are_cast_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "first", &[]));
    let runs = folder.path().join("runs");
    let whole = read_tensors(&encoder_file(&runs.join("first"))).unwrap().tensors;
    let halved: Vec<_> = whole
        .iter()
        .map(|(name, tensor)| {
            let is_float = tensor.is_floating_point();
            (name.clone(), if is_float { tensor.to_kind(Kind::BFloat16) } else { tensor.shallow_clone() })
        })
        .collect();
    fs::write(folder.path().join("half.safetensors"), write_tensors(&halved, HashMap::new()).unwrap()).unwrap();
    let settings = ["train.stage=classifiers", "train.steps=3", "encoder.weights=half.safetensors"];
    let output = train(folder.path(), "refused", &settings);
    assert_eq!(output.status.code(), Some(5));
    let text = errors(&output, folder.path());
    assert!(text.contains("BFloat16, expected Float") && text.contains("`encoder.cast_weights = true`"), "{text}");
    let cast = [settings.as_slice(), &["encoder.cast_weights=true"]].concat();
    assert_ok(&train(folder.path(), "cast", &cast));
    let after = read_tensors(&encoder_file(&runs.join("cast"))).unwrap().tensors;
    for (name, tensor) in &after {
        assert_eq!(tensor.kind(), whole[name].kind(), "{name}");
    }
    let name = "layer_list.0.conv.weight";
    assert_eq!(after[name], whole[name].to_kind(Kind::BFloat16).to_kind(Kind::Float));
    figure("K14", "number formats kept", after.len(), after.len());
}

#[test]
fn export_under_published_names_and_import_give_equal_tensors() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &[]));
    let export = |source: &str, out: &str, layout: &str| {
        assert_ok(&run(folder.path(), &["checkpoint", "export", source, "--out", out, "--layout", layout]));
        read_tensors(&fs::read(folder.path().join(out)).unwrap()).unwrap()
    };
    let own = export("runs/run", "own.safetensors", "infomax");
    let published = export("runs/run", "published.safetensors", "published");
    // What a user of the file needs is in either, as in the run's own, and in an export of an export.
    let left = read_tensors(&fs::read(folder.path().join("runs/run/encoder.safetensors")).unwrap()).unwrap().metadata;
    let again = [("own", "infomax"), ("published", "published")]
        .map(|(name, layout)| export(&format!("{name}.safetensors"), &format!("{name}-2.safetensors"), layout));
    for file in [&own, &published].into_iter().chain(&again) {
        assert_eq!(file.metadata.get("infomax"), left.get("infomax"));
    }
    assert!(left["infomax"].contains("\"view\":{\"size\":[32,32]"), "{left:?}");
    let (own, published) = (own.tensors, published.tensors);
    for (name, tensor) in &own {
        assert_eq!(&published[&format!("encoder.module.{name}")], tensor, "{name}");
    }
    assert!(published.contains_key("evaluator.block_glb_lin.block_forward.2.weight"));
    assert!(
        published.keys().all(|name| name.starts_with("encoder.module.") || name.starts_with("evaluator.block_glb_"))
    );
    let output = run(folder.path(), &["checkpoint", "export", "runs/run", "--out", "own.safetensors"]);
    assert_eq!(output.status.code(), Some(2), "what exists is not replaced");

    let Some(shared) = shared() else { return };
    for entry in fs::read_dir(shared.join("golden")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "pth") {
            continue;
        }
        let (file, stem) = (path.display().to_string(), path.file_stem().unwrap().to_string_lossy().into_owned());
        let again = export(&file, &format!("{stem}.safetensors"), "published");
        assert_ok(&run(folder.path(), &["checkpoint", "import", &file, "--out", &stem]));
        let encoder = read_tensors(&fs::read(folder.path().join(&stem).join("encoder.safetensors")).unwrap()).unwrap();
        for (name, tensor) in &encoder.tensors {
            assert_eq!(&again.tensors[&format!("encoder.module.{name}")], tensor, "{stem}: {name}");
        }
        assert!(again.metadata["hyperparams"].contains("\"ndf\""));
    }
}

#[test]
fn paths_that_hold_no_weights_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["nowhere", "/dev/zero"] {
        for command in ["export", "import"] {
            let output = run(folder.path(), &["checkpoint", command, path, "--out", "out"]);
            let text = errors(&output, folder.path());
            assert_eq!(output.status.code(), Some(5), "{command} {path}: {text}");
            assert!(
                text.contains(&format!("weights can't be read from `{path}`")) && text.contains("hint: "),
                "{text}"
            );
        }
    }
    assert!(!folder.path().join("out").exists());
}

/// The lines that the README gives, for the networks of torchvision and timm: the same numbers there as here.
#[test]
fn lines_of_the_readme_make_the_encoder_in_python() {
    let Some(python) = python_with("safetensors, torch, torchvision, timm") else { return };
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = readme.split("```python\n").skip(1).filter_map(|text| text.split("```").next());
    let lines = blocks.into_iter().find(|block| block.contains("safe_open")).expect("the README's lines");
    let folder = tempfile::tempdir().unwrap();
    let config = root().join("configs/methods/nt-xent.toml").display().to_string();
    fs::write(folder.path().join("a.toml"), format!("extends = [{config:?}]\n")).unwrap();
    let small = [
        "dataset.name=shapes",
        "dataset.config.train_length=32",
        "dataset.config.test_length=16",
        "train.steps=1",
        "train.batch_size=16",
        "train.device=cpu",
        "train.threads=1",
        "evaluation.untrained=false",
        "loss.config.projector_hidden=16",
        "optimizer.warmup_epochs=0",
    ];
    for (encoder, settings) in
        [("resnet18", "{}"), ("vit-tiny", "{ depth = 1, pool = \"mean\" }"), ("vit-tiny", "{ depth = 1 }")]
    {
        let (name, config) = (format!("encoder.name={encoder}"), format!("encoder.config={settings}"));
        let run_name = format!("run-{}", settings.len());
        let record = format!("record.name={run_name}");
        let mut arguments = vec!["train", "a.toml"];
        arguments.extend(small.iter().chain(&[name.as_str(), &config, &record]).flat_map(|setting| ["--set", setting]));
        assert_ok(&run(folder.path(), &arguments));
        let file = folder.path().join("runs").join(&run_name).join("encoder.safetensors");
        let about: Value =
            serde_json::from_str(&read_tensors(&fs::read(&file).unwrap()).unwrap().metadata["infomax"]).unwrap();
        assert_eq!(about["encoder"]["name"], encoder);
        assert_eq!((&about["view"]["size"], about["view"]["mean"].as_array().unwrap().len()), (&json!([32, 32]), 3));
        let mut own = encoder_named(encoder, about["encoder"]["config"].clone(), 32);
        load_weights(&own, &file, false).unwrap_or_else(|error| panic!("{error}"));
        tch::manual_seed(4);
        let view = tch::Tensor::randn([3, 3, 32, 32], (Kind::Float, tch::Device::Cpu));
        let maps = tch::no_grad(|| own.forward(&[view.shallow_clone()], Mode::Evaluate))
            .unwrap_or_else(|e| panic!("{}", e.fault()));
        let list = [("view".to_owned(), view), ("expected".to_owned(), maps[0][0].flatten(1, -1))];
        fs::write(folder.path().join("case.safetensors"), write_tensors(&list, HashMap::new()).unwrap()).unwrap();
        let script = format!(
            "{}\nfrom safetensors.torch import load_file\ncase = load_file('case.safetensors')\nwith torch.no_grad():\n    \
             features = encoder(case['view'])\nprint(float((features - case['expected']).abs().max() / case['expected'].abs().max()))",
            lines.replace("runs/shapes-demo-1", &format!("runs/{run_name}"))
        );
        let output = Command::new(&python).args(["-c", &script]).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{encoder} {settings}: {}", String::from_utf8_lossy(&output.stderr));
        let error: f64 = out(&output).trim().parse().unwrap();
        assert!(error < 1e-4, "{encoder} {settings}: {error}");
    }
}

#[test]
fn encoder_file_is_usable_alone_from_python() {
    let Some(python) = python_with("safetensors, torch") else { return };
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &[]));
    let script = "from safetensors.torch import load_file\n\
                  state = load_file('runs/run/encoder.safetensors')\n\
                  print(len(state), float(state['layer_list.0.conv.weight'].double().sum()))";
    let output = Command::new(&python).args(["-c", script]).current_dir(folder.path()).output().unwrap();
    assert_ok(&output);
    let own = read_tensors(&encoder_file(&folder.path().join("runs/run"))).unwrap().tensors;
    let sum = own["layer_list.0.conv.weight"].sum(Kind::Double).double_value(&[]);
    let text = out(&output);
    let (count, total) = text.trim().split_once(' ').unwrap();
    assert_eq!(count.parse::<usize>().unwrap(), own.len());
    assert!((total.parse::<f64>().unwrap() - sum).abs() < 1e-9, "{total} and {sum}");
    let Some(reference) = shared().map(|shared| shared.join("reference")) else { return };
    let script = format!(
        "import sys; sys.path.insert(0, {:?})\n\
         from amdim_torch import Encoder\n\
         from safetensors.torch import load_file\n\
         encoder = Encoder(32, 4, 16, 1)\n\
         print(encoder.load_state_dict(load_file('runs/run/encoder.safetensors')))",
        reference.display().to_string()
    );
    let output = Command::new(&python).args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    assert_ok(&output);
    assert!(out(&output).contains("All keys matched"), "{}", out(&output));
}
