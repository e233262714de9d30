//! What a method keeps beside the encoder survives an interruption to the byte: momentum encoder, momentum projector, queue,
//! predictor.

use super::small::{assert_ok, metrics, train};
use crate::{resume::exact::cut, support::binary::run};
use infomax::checkpoint::{TensorFile, read_tensors};
use std::{fs, path::Path};

const STEPS: u64 = 6;
const CUTS: [u64; 2] = [2, 4];

/// The encoder and all other tensors of the last checkpoint, as bytes.
fn last_tensors(run: &Path) -> [Vec<u8>; 3] {
    let checkpoint = run.join(format!("checkpoints/step-{STEPS:09}"));
    let paths = [run.join("encoder.safetensors"), checkpoint.join("encoder.safetensors")];
    let [end, encoder] = paths.map(|path| fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
    [end, encoder, fs::read(checkpoint.join("training.safetensors")).unwrap()]
}

/// Trains in one go and with interruptions, which must end alike; gives what the training state holds in the end.
fn resumes(method: &str, settings: &[&str]) -> TensorFile {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let steps = format!("train.steps={STEPS}");
    let settings = [settings, &[steps.as_str(), "encoder.config={ width = 8 }"]].concat();
    assert_ok(&train(folder.path(), "whole", method, &settings), folder.path());
    let whole = last_tensors(&runs.join("whole"));
    for step in CUTS {
        let name = format!("cut-{step}");
        assert_ok(&train(folder.path(), &name, method, &settings), folder.path());
        cut(&runs.join(&name), step);
        assert_ok(&run(folder.path(), &["train", "--resume", &format!("runs/{name}")]), folder.path());
        assert_eq!(metrics(&runs.join("whole")), metrics(&runs.join(&name)), "{method} from step {step}");
        let files = ["the run's encoder", "the last checkpoint's encoder", "the last checkpoint's other tensors"];
        for ((what, whole), resumed) in files.iter().zip(&whole).zip(&last_tensors(&runs.join(&name))) {
            assert!(whole == resumed, "{method} from step {step}: {what} differs");
        }
    }
    read_tensors(&whole[2]).unwrap()
}

/// How far the slow copies are from what they follow: a resumed run that started them anew would show in every number.
fn distance(state: &TensorFile, slow: &str, fast: &str) -> f64 {
    let [slow, fast] = [slow, fast].map(|name| state.tensors.get(name).unwrap_or_else(|| panic!("no `{name}`")));
    (slow - fast).abs().max().double_value(&[])
}

#[test]
fn moco_v2_resumes_bit_exactly_with_its_queue_and_slow_copies() {
    let head = "projector_hidden = 32, projector_dim = 16";
    let state = resumes("moco-v2", &[&format!("loss.config={{ {head}, queue_size = 40 }}")]);
    // Six pushes of sixteen keys into forty places: it has gone round twice, and stands in between.
    assert_eq!(state.tensors["loss.queue_position"].int64_value(&[]), 6 * 16 % 40);
    assert!(distance(&state, "loss.momentum_projector.0.weight", "loss.projector.0.weight") > 0.0);
}

#[test]
fn byol_resumes_bit_exactly_with_its_predictor_and_slow_copies() {
    let head = "projector_hidden = 32, projector_dim = 16";
    let state = resumes("byol", &[&format!("loss.config={{ {head}, predictor_hidden = 32 }}")]);
    assert!(distance(&state, "loss.momentum_projector.0.weight", "loss.projector.0.weight") > 0.0);
    for part in ["loss.predictor.0.weight", "momentum_encoder.conv1.weight", "momentum_encoder.bn1.running_mean"] {
        assert!(state.tensors.contains_key(part), "`{part}` is not saved");
    }
}

#[test]
fn dino_resumes_bit_exactly_with_its_centre_and_slow_copies() {
    let head = "projector_hidden = 32, projector_dim = 16, prototypes = 12";
    let warmup = "freeze_prototypes_steps = 1, teacher_temperature_warmup_steps = 5";
    let state = resumes("dino", &[&format!("loss.config={{ {head}, {warmup} }}")]);
    assert!(state.tensors["loss.centre"].abs().min().double_value(&[]) > 0.0);
    for part in ["projector.0.weight", "prototypes.weight"] {
        assert!(distance(&state, &format!("loss.momentum_{part}"), &format!("loss.{part}")) > 0.0, "{part}");
    }
}

#[test]
fn byol_keeps_its_momentums_place_under_milestones_or_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let heads = "loss.config={ projector_hidden = 32, projector_dim = 16, predictor_hidden = 32 }";
    let milestones = ["optimizer.schedule=milestones", "optimizer.milestones=[]"];
    let settings = [&["train.steps=6", "encoder.config={ width = 8 }", heads], &milestones[..]].concat();
    assert_ok(&train(folder, "run", "byol", &settings), folder);
    let directory = folder.join("runs/run");
    let momenta = || metrics(&directory).iter().filter_map(|row| row["momentum"].as_f64()).collect::<Vec<_>>();
    let first = momenta();
    assert_eq!(first.len(), 6);
    assert!(first.is_sorted() && first[0] == 0.99, "{first:?}");
    let longer = ["train", "--resume", "runs/run", "--set", "train.steps=12"];
    let refused = run(folder, &longer);
    assert_eq!(refused.status.code(), Some(5));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("goes from 0.99 to 1 over the run") && said.contains("--override train.steps"), "{said}");
    assert_eq!(momenta(), first, "nothing has changed");
    assert_ok(&run(folder, &[&longer[..], &["--override", "train.steps"]].concat()), folder);
    assert_eq!(momenta().len(), 12);
}
