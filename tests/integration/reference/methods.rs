//! Methods end to end through the real binary: more than two views, queues, momentum encoders, labels, other encoders.

use super::small::{assert_ok, losses, metrics, train};
use infomax::checkpoint::read_tensors;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

const RESNET: &str = "encoder.config={ width = 8 }";
const SMALL_VIT: &str = "encoder.config={ patch = 8, depth = 2 }";
const HEAD: &str = "projector_hidden = 32, projector_dim = 16";

/// A finished run.
struct Trained {
    folder: TempDir,
}

impl Trained {
    fn new(method: &str, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        assert_ok(&train(folder.path(), "run", method, settings), folder.path());
        let trained = Self { folder };
        let losses = losses(&trained.run());
        assert!(losses.len() == 4 && losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
        trained
    }

    fn run(&self) -> PathBuf {
        self.folder.path().join("runs/run")
    }

    /// The tensors of a checkpoint's file at a step.
    fn tensors(&self, step: u64, file: &str) -> Vec<(String, tch::Tensor)> {
        let path = self.run().join(format!("checkpoints/step-{step:09}")).join(file);
        tensors(&path)
    }

    /// Whether a tensor of the training state has changed from step 2 to step 4.
    fn moved(&self, name: &str) -> bool {
        let find = |step| self.training(step).into_iter().find(|(own, _)| own == name).map(|(_, tensor)| tensor);
        let names = || self.training(4).into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
        let (Some(before), Some(after)) = (find(2), find(4)) else { panic!("no `{name}` among {}", names()) };
        before != after
    }

    fn training(&self, step: u64) -> Vec<(String, tch::Tensor)> {
        self.tensors(step, "training.safetensors")
    }

    fn term(&self, name: &str) -> Vec<f64> {
        let key = format!("loss/{name}");
        metrics(&self.run()).iter().filter_map(|row| row.get(&key)).filter_map(Value::as_f64).collect()
    }
}

fn tensors(path: &Path) -> Vec<(String, tch::Tensor)> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    read_tensors(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display())).tensors.into_iter().collect()
}

#[test]
fn swav_with_multi_crop_trains_a_resnet_on_views_of_two_sizes() {
    let run = Trained::new(
        "swav",
        &[
            "augmentation.name=multi-crop",
            "augmentation.config={ local_crops = 3, local_size = 16 }",
            RESNET,
            &format!("loss.config={{ {HEAD}, prototypes = 12, freeze_prototypes_steps = 2 }}"),
        ],
    );
    let used = run.term("prototypes_used");
    assert!(used.len() == 4 && used.iter().all(|&used| (1.0..=12.0).contains(&used)), "{used:?}");
    assert!(run.moved("loss.prototypes.weight"), "they are frozen for the first two updates only");
}

#[test]
fn dino_with_multi_crop_trains_a_resnet_on_views_of_two_sizes() {
    let run = Trained::new(
        "dino",
        &[
            "augmentation.name=multi-crop",
            "augmentation.config={ local_crops = 3, local_size = 16 }",
            RESNET,
            &format!("loss.config={{ {HEAD}, prototypes = 12, freeze_prototypes_steps = 2 }}"),
        ],
    );
    for (term, most) in [("prototypes_used", 12.0), ("target_entropy", f64::ln(12.0))] {
        let values = run.term(term);
        assert!(values.len() == 4 && values.iter().all(|&value| (0.0..=most).contains(&value)), "{term}: {values:?}");
    }
    for part in ["prototypes.weight", "momentum_prototypes.weight", "momentum_projector.0.weight", "centre"] {
        assert!(run.moved(&format!("loss.{part}")), "`{part}` stands still");
    }
}

#[test]
fn moco_v2_trains_a_resnet_with_its_queue_and_slow_copies() {
    let run = Trained::new("moco-v2", &[RESNET, &format!("loss.config={{ {HEAD}, queue_size = 64 }}")]);
    let names: Vec<String> = run.training(4).into_iter().map(|(name, _)| name).collect();
    let momentum: Vec<_> = names.iter().filter(|name| name.starts_with("momentum_encoder.")).collect();
    assert_eq!(
        momentum.len(),
        run.tensors(4, "encoder.safetensors").len(),
        "one slow tensor for each of the encoder's"
    );
    for name in
        ["momentum_encoder.conv1.weight", "loss.momentum_projector.0.weight", "loss.queue", "loss.queue_position"]
    {
        assert!(run.moved(name), "`{name}` stands still");
    }
}

#[test]
fn byol_trains_on_asymmetric_views() {
    let run = Trained::new("byol", &[RESNET, &format!("loss.config={{ {HEAD}, predictor_hidden = 32 }}")]);
    let losses = losses(&run.run());
    assert!(losses.iter().all(|loss| (0.0..=8.0).contains(loss)), "two distances of unit vectors: {losses:?}");
    assert!(run.moved("momentum_encoder.conv1.weight"), "the slow copy follows");
}

#[test]
fn supcon_trains_with_the_labels_of_the_dataset() {
    let run = Trained::new("supcon", &[RESNET, &format!("loss.config={{ {HEAD} }}")]);
    let other = tempfile::tempdir().unwrap();
    let settings = [RESNET, &format!("loss.config={{ {HEAD}, temperature = 0.2 }}"), "loss.name=nt-xent"];
    assert_ok(&train(other.path(), "run", "supcon", &settings), other.path());
    // The same seed gives the same views and weights: only the labels tell the two losses apart.
    assert_ne!(losses(&run.run())[0], losses(&other.path().join("runs/run"))[0]);
}

#[test]
fn nt_xent_trains_a_vision_transformer() {
    let run = Trained::new("nt-xent", &["encoder.name=vit-tiny", SMALL_VIT, &format!("loss.config={{ {HEAD} }}")]);
    let shapes: Vec<_> = tensors(&run.run().join("encoder.safetensors")).into_iter().collect();
    let (_, position) = shapes.iter().find(|(name, _)| name == "pos_embed").expect("timm's name");
    assert_eq!(position.size(), [1, 17, 192], "4 × 4 patches of 8 pixels and the class token");
}
