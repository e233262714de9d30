//! The table `train`: how long, on what, from which seed.

use super::LossScale;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How long, on what, from which seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// What is trained: an encoder without labels, classifiers on a frozen one, or both with labels.
    pub stage: Stage,
    /// How long to train, in passes over the dataset. One of `epochs`, `steps`, `images`, `seconds` is given; 300 epochs
    /// where none is.
    #[schemars(range(min = 1, max = 1_000_000), extend("unit" = "epochs"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// How long to train, in optimizer updates.
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64), extend("unit" = "updates"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// How long to train, in images.
    #[schemars(range(min = 1, max = 1_000_000_000_000_000_i64), extend("unit" = "images"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<u64>,
    /// How long to train, in seconds of wall-clock time.
    #[schemars(range(min = 1, max = 1_000_000_000), extend("unit" = "seconds"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Images per update, over all devices. At least 2: a contrastive loss needs another image.
    #[schemars(range(min = 2, max = 1_048_576), extend("unit" = "images"))]
    pub batch_size: u64,
    /// Passes through the encoder that make up one update, each over as many images: a batch larger than memory. The loss
    /// still sees the whole batch.
    #[schemars(range(min = 1, max = 65_536), extend("unit" = "passes"))]
    pub accumulation_steps: u64,
    /// Where all randomness comes from.
    #[schemars(range(min = 0, max = 9_223_372_036_854_775_807_i64), extend("unit" = "dimensionless"))]
    pub seed: u64,
    /// The number format of the encoder's and the loss's arithmetic; parameters stay f32 in each.
    pub precision: Precision,
    /// How losses are scaled under `precision = "f16"`.
    pub loss_scale: LossScale,
    /// Use only operations that repeat their results to the bit, also on a GPU, where that is slower. On a CPU they always
    /// do.
    pub deterministic: bool,
    /// Captures a step's forward and backward pass once and replays it as CUDA graphs, which costs the processor next to
    /// nothing: faster where a GPU waits for it. Results are the same. Where it can't be done the run goes on without, and says
    /// why.
    pub cuda_graphs: bool,
    /// `auto` (the first GPU if there is one), `cpu`, `cuda` or `cuda:N`.
    #[schemars(with = "String", regex(pattern = r"^(auto|cpu|cuda(:[0-9]{1,3})?)$"))]
    #[schemars(extend("examples" = ["auto", "cpu", "cuda", "cuda:0"]))]
    pub device: Device,
    /// Threads that load and augment images; 0: the training thread does it. One less than the machine has cores, at
    /// least 1, where not given. Results don't depend on it.
    #[schemars(range(min = 0, max = 1024), extend("unit" = "threads"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,
    /// Threads inside one tensor operation on the CPU; 0: as many as there are cores.
    #[schemars(range(min = 0, max = 1024), extend("unit" = "threads"))]
    pub threads: u32,
    /// Which library multiplies matrices of f32 numbers on the CPU. `auto`: oneDNN where the processor has AVX-512 and is not
    /// Intel's, on which MKL reaches half of oneDNN's rate; MKL otherwise. With either, convolutions are made of fewer products where
    /// that is faster (Winograd).
    #[serde(skip_serializing_if = "Products::is_auto")]
    pub products: Products,
    /// Batches that may lie ready.
    #[schemars(range(min = 1, max = 256), extend("unit" = "batches"))]
    pub prefetch: u32,
    /// Consecutive steps with a loss or gradient that is not finite before the run ends. Such a step updates nothing.
    #[schemars(range(min = 0, max = 1_000_000), extend("unit" = "updates"))]
    pub max_skipped_steps_in_a_row: u64,
    /// Steps between two lines of metrics, of which the first update has one in any case. On a GPU values are read only then, and before a test or a checkpoint.
    #[schemars(range(min = 1, max = 1_000_000), extend("unit" = "updates"))]
    pub log_every_steps: u64,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            stage: Stage::Pretrain,
            epochs: None,
            steps: None,
            images: None,
            seconds: None,
            batch_size: 200, // the published script's default
            accumulation_steps: 1,
            seed: 1, // the published script's default
            precision: Precision::F32,
            loss_scale: LossScale::default(),
            deterministic: false,
            cuda_graphs: false,
            device: Device::Auto,
            workers: None,
            threads: 0,
            products: Products::Auto,
            prefetch: 4,
            max_skipped_steps_in_a_row: 10,
            log_every_steps: 50,
        }
    }
}

/// What is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The encoder, by the loss; classifiers beside it, on what it gives.
    #[default]
    Pretrain,
    /// Classifiers alone, on an encoder that stays as it is: the published "fine-tuning". One view of each image.
    Classifiers,
    /// Encoder and linear classifier together, by cross-entropy on labels. One view of each image.
    Finetune,
}

/// How long to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Passes over the dataset.
    Epochs(u64),
    /// Optimizer updates.
    Steps(u64),
    /// Images.
    Images(u64),
    /// Seconds of wall-clock time.
    Seconds(u64),
}

impl Train {
    /// Passes over the dataset where no budget is given.
    pub const DEFAULT_EPOCHS: u64 = 300; // AMDIM on CIFAR and STL-10

    /// How long to train; resolving made sure that one is given.
    pub fn budget(&self) -> Budget {
        let steps = self.steps.map(Budget::Steps);
        let others = steps.or(self.images.map(Budget::Images)).or(self.seconds.map(Budget::Seconds));
        others.unwrap_or(Budget::Epochs(self.epochs.unwrap_or(Self::DEFAULT_EPOCHS)))
    }

    /// Threads that load and augment images in a process that has some cores for itself.
    pub fn worker_count(&self, cores: usize) -> usize {
        self.workers.map_or_else(|| cores.saturating_sub(1).max(1), |n| n as usize)
    }

    /// Threads inside one operation in a process that has some cores for itself.
    pub fn thread_count(&self, cores: usize) -> usize {
        if self.threads == 0 { cores.max(1) } else { self.threads as usize }
    }
}

/// A library that multiplies matrices, and with them 3×3 convolutions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Products {
    /// The faster one on this processor.
    #[default]
    Auto,
    /// The one that libtorch takes.
    Mkl,
    /// Needs AVX-512.
    Onednn,
}

impl Products {
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

impl fmt::Display for Products {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Mkl => "mkl",
            Self::Onednn => "onednn",
        })
    }
}

/// The number format of the encoder's and the loss's arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point throughout.
    #[default]
    F32,
    /// 32-bit numbers whose products round their factors to 10 bits of mantissa (NVIDIA, from Ampere on).
    Tf32,
    /// 16-bit floating point with loss scaling; slow on a CPU.
    F16,
    /// bfloat16.
    Bf16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

/// Where tensors live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The first GPU if there is one.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU, the first where no number is given.
    Cuda(Option<usize>),
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |n: &str| n.parse().ok().map(|n| Self::Cuda(Some(n)));
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(None)),
            other => other.strip_prefix("cuda:").and_then(number).ok_or_else(|| format!("unknown device `{text}`")),
        }
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(number)) => write!(f, "cuda:{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_text_round_trips() {
        for text in ["auto", "cpu", "cuda", "cuda:3"] {
            assert_eq!(String::from(Device::try_from(text.to_owned()).unwrap()), text);
        }
        assert!(Device::try_from("gpu".to_owned()).is_err());
    }

    #[test]
    fn budget_prefers_what_is_given() {
        assert_eq!(Train::default().budget(), Budget::Epochs(300));
        assert_eq!(Train { steps: Some(7), ..Train::default() }.budget(), Budget::Steps(7));
    }
}
