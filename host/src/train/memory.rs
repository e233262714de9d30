//! What a step needs of a device's memory at most, told before there is one: by what the components say of themselves, so that
//! nothing has to be allocated for it. Most is needed as the backward pass begins, when all activations and the maps' gradients are
//! there; or when it has come through the deep layers, which have most of the parameters, and not yet to the early ones, which
//! have most of the activations; or, of small batches, as the optimizer works.

use super::{model::Model, setup::Setup};
use crate::{
    config::{Experiment, OptimizerName, Precision, Stage},
    error::Result,
    native::precision::DeviceMemory,
    report::size,
    tensor::NamedTensor,
};
use infomax_sdk::{Role, Source};
use std::collections::BTreeSet;

const F32: u64 = 4;
/// Of an encoder's activations, the share that its widest layer's input and outputs are, which a pass without a graph holds at once:
/// of a ResNet-18 a sixth.
const LAYERS_AT_ONCE: u64 = 6;

/// Trained numbers, and those of buffers, by what has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    encoder: u64,
    loss: u64,
    loss_buffers: u64,
    classifiers: u64,
}

impl Numbers {
    fn described(setup: &Setup, experiment: &Experiment) -> Self {
        let evaluation = &experiment.evaluation;
        let classes = setup.dataset_description.class_count.map_or(0, |count| count as u64);
        let description = &setup.encoder_description;
        let representation = description.maps.iter().find(|map| map.name == description.representation);
        let channels = representation.map_or(0, |map| u64::from(map.channels) * u64::from(map.height * map.width));
        let linear = if evaluation.linear { channels * classes } else { 0 };
        let mlp = if evaluation.mlp { evaluation.mlp_hidden * (channels + classes) } else { 0 };
        Self {
            encoder: description.parameter_count,
            loss: setup.loss_description.parameter_count,
            loss_buffers: 0,
            classifiers: linear + mlp,
        }
    }

    fn of(model: &Model) -> Result<Self> {
        let count = |list: &[NamedTensor], role| -> u64 {
            list.iter().filter(|named| named.role == role).map(|named| named.tensor.numel() as u64).sum()
        };
        let loss = model.loss.as_ref().map(|loss| loss.tensors()).transpose()?.unwrap_or_default();
        let classifiers = model.classifiers.as_ref().map(|classifiers| classifiers.tensors()).unwrap_or_default();
        Ok(Self {
            encoder: count(&model.encoder.tensors()?, Role::Parameter),
            loss: count(&loss, Role::Parameter),
            loss_buffers: count(&loss, Role::Buffer),
            classifiers: count(&classifiers, Role::Parameter),
        })
    }
}

/// The most bytes of a step, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepMemory {
    /// Parameters, the loss's buffers, a momentum encoder.
    pub parameters: u64,
    /// Room to take back what the loss does after an update.
    pub held: u64,
    pub optimizer: u64,
    /// Those that are there before the encoder's: the loss's and the classifiers'.
    pub gradients: u64,
    pub encoder_gradients: u64,
    /// What the optimizer needs beside while it works.
    pub update: u64,
    pub activations: u64,
    /// What a momentum encoder's pass needs while the encoder's activations are there.
    pub slow_pass: u64,
    /// The maps' gradients, and what a loss makes of the maps.
    pub features: u64,
    /// Views as bytes, of this step and the next, and as numbers; a set that stays on the device.
    pub inputs: u64,
}

impl StepMemory {
    /// Of a model that is there.
    ///
    /// # Errors
    /// What the plugins say.
    pub fn of(model: &Model, setup: &Setup, experiment: &Experiment, processes: u64) -> Result<Self> {
        Ok(Self::new(Numbers::of(model)?, setup, experiment, processes))
    }

    /// Of components that have only described themselves: a loss's buffers are not among it.
    pub fn planned(setup: &Setup, experiment: &Experiment) -> Self {
        Self::new(Numbers::described(setup, experiment), setup, experiment, experiment.distributed.nproc)
    }

    fn new(numbers: Numbers, setup: &Setup, experiment: &Experiment, processes: u64) -> Self {
        let (train, rule) = (&experiment.train, &experiment.optimizer);
        let views = &setup.augmentation_description.views;
        let used = if train.stage == Stage::Finetune { &views[..1] } else { &views[..] };
        let (is_pretraining, processes) = (train.stage == Stage::Pretrain, processes.max(1));
        let rows = train.batch_size / processes;
        let loss = if is_pretraining { numbers.loss } else { 0 };
        let trained_encoder = if train.stage == Stage::Classifiers { 0 } else { numbers.encoder };
        let trained = trained_encoder + loss + numbers.classifiers;
        let is_momentum = is_pretraining && setup.loss_description.momentum.is_some();
        let momentum = if is_momentum { numbers.encoder } else { 0 };
        let of_loss = if is_pretraining { numbers.loss + numbers.loss_buffers } else { 0 };
        let states = match rule.name {
            OptimizerName::Adam | OptimizerName::Adamw => 2,
            _ => u64::from(rule.momentum > 0.0),
        };
        let (share, casts) = match train.precision {
            Precision::F16 | Precision::Bf16 => (0.5, trained_encoder / 2),
            _ => (1.0, 0),
        };
        let images = rows / train.accumulation_steps.max(1) * used.len() as u64;
        let kept = (images * setup.encoder_description.activation_bytes) as f64 * share;
        let pixels: u64 = used.iter().map(|view| u64::from(view.height) * u64::from(view.width) * 3).sum();
        Self {
            parameters: F32 * (numbers.encoder + momentum + of_loss + numbers.classifiers),
            held: F32 * of_loss,
            optimizer: F32 * states * trained,
            gradients: F32 * (trained - trained_encoder),
            encoder_gradients: F32 * trained_encoder,
            update: if rule.name == OptimizerName::Lars { F32 * trained } else { 0 },
            activations: if trained_encoder == 0 { 0 } else { kept as u64 + F32 * casts },
            features: if is_pretraining { ((train.batch_size * of_features(setup)) as f64 * share) as u64 } else { 0 },
            slow_pass: if is_momentum {
                kept as u64 * slow_views(setup) / used.len() as u64 / LAYERS_AT_ONCE
            } else {
                0
            },
            // Side by side, and one after the other for the encoder.
            inputs: rows * pixels * (2 + 2 * F32),
        }
    }

    /// The same where the device holds so much before the first step: the model, and what is not among its numbers, such as a set
    /// of images that stays there.
    #[must_use]
    pub fn beside(self, allocated: u64) -> Self {
        Self { inputs: self.inputs + allocated.saturating_sub(self.parameters + self.optimizer), ..self }
    }

    /// All that is needed at once.
    pub fn peak(&self) -> u64 {
        let always = self.parameters + self.held + self.optimizer + self.gradients + self.inputs;
        let backward = self.activations + self.features.max(self.encoder_gradients);
        let forward = self.activations + self.slow_pass;
        // The first gradients come after the forward passes.
        (always + backward.max(self.encoder_gradients + self.update)).max(always - self.gradients + forward)
    }

    /// In a line: the sum and what it is for, the largest first.
    pub fn told(&self) -> String {
        let mut parts = [
            ("activations", self.activations),
            ("parameters", self.parameters + self.held),
            ("optimizer", self.optimizer),
            ("gradients", self.gradients + self.encoder_gradients),
            ("features", self.features),
            ("images", self.inputs),
        ];
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let parts: Vec<String> = parts.iter().map(|(name, bytes)| format!("{name} {}", size(*bytes))).collect();
        format!("memory of a step: about {} · {}", size(self.peak()), parts.join(" · "))
    }

    /// Why it will not fit into a device's memory, and what to do about it; none where it will. What this process holds already
    /// counts as room.
    pub fn lacks(&self, device: &str, memory: DeviceMemory, experiment: &Experiment) -> Option<String> {
        let room = memory.free + memory.reserved.max(memory.allocated);
        if self.peak() <= room {
            return None;
        }
        let without = Self { activations: 0, features: 0, inputs: 0, ..*self };
        let least = without.peak();
        let what = if least > room {
            "even without images: choose a smaller encoder in `encoder.config`".to_owned()
        } else {
            let passes = experiment.train.accumulation_steps;
            let mut what = format!("raise `train.accumulation_steps` (now {passes}) or lower `train.batch_size`");
            if matches!(experiment.train.precision, Precision::F32 | Precision::Tf32) {
                what += ", or take `train.precision = \"bf16\"`";
            }
            what
        };
        Some(format!("a step needs about {}, but {device} has {}: {what}", size(self.peak()), size(room)))
    }
}

/// How many views go through the momentum encoder.
fn slow_views(setup: &Setup) -> u64 {
    let needs = setup.loss_description.needs.iter().filter(|need| need.source == Source::MomentumEncoder);
    needs.map(|need| need.view).collect::<BTreeSet<_>>().len() as u64
}

/// Bytes of an image of the batch: the gradient of each map that the loss reads, and two copies of it in the loss's own order; a
/// map of the momentum encoder has no gradient.
fn of_features(setup: &Setup) -> u64 {
    let map = |name: &String| setup.encoder_description.maps.iter().find(|map| map.name == *name);
    let numbers =
        |name: &String| map(name).map_or(0, |map| u64::from(map.channels) * u64::from(map.height * map.width));
    let needs = setup.loss_description.needs.iter();
    let of_need = |need: &infomax_sdk::Need| {
        let times = if need.source == Source::Encoder { 3 } else { 1 };
        times * need.maps.iter().map(numbers).sum::<u64>()
    };
    F32 * needs.map(of_need).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MIB: u64 = 1 << 20;

    fn step() -> StepMemory {
        StepMemory {
            parameters: MIB,
            held: 0,
            optimizer: 2 * MIB,
            gradients: MIB,
            encoder_gradients: 3 * MIB,
            update: MIB,
            activations: 10 * MIB,
            slow_pass: 0,
            features: MIB,
            inputs: MIB,
        }
    }

    #[test]
    fn the_backward_pass_or_the_update_needs_most() {
        assert_eq!(step().peak(), 18 * MIB);
        assert_eq!(StepMemory { features: 4 * MIB, ..step() }.peak(), 19 * MIB, "before the encoder's gradients");
        assert_eq!(StepMemory { slow_pass: 6 * MIB, ..step() }.peak(), 20 * MIB, "before the loss's gradients");
        assert_eq!(StepMemory { update: 20 * MIB, ..step() }.peak(), 28 * MIB);
        assert_eq!(step().beside(5 * MIB).peak(), 20 * MIB, "2 more than the model");
        let told = step().told();
        assert!(
            told.starts_with("memory of a step: about 18.0 MiB · activations 10.0 MiB · gradients 4.0 MiB"),
            "{told}"
        );
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_to_lower() {
        let memory = |free| DeviceMemory { allocated: 3 * MIB, peak: 0, reserved: 4 * MIB, free, total: 0 };
        let parts = ["dataset", "augmentation", "encoder", "loss"].map(|kind| (kind, json!({"name": "any"})));
        let experiment: Experiment = serde_json::from_value(parts.into_iter().collect()).unwrap();
        let lacks = |free| step().lacks("cuda:0", memory(free), &experiment);
        assert_eq!(lacks(14 * MIB), None);
        let told = lacks(13 * MIB).unwrap();
        assert!(told.contains("about 18.0 MiB, but cuda:0 has 17.0 MiB: raise `train.accumulation_steps`"), "{told}");
        assert!(told.contains("bf16"), "{told}");
        let told = StepMemory { parameters: 30 * MIB, ..step() }.lacks("cuda:0", memory(0), &experiment).unwrap();
        assert!(told.contains("smaller encoder"), "{told}");
    }
}
