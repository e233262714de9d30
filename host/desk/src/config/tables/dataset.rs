//! What the host's own fields of the table `dataset` take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to do about an image that can't be read or decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnBad {
    /// End the run and name the image.
    #[default]
    Stop,
    /// Put another image in its place, by a rule that doesn't depend on the number of workers, and count it.
    Skip,
}

/// Whether the images of training stay in the memory of the device that trains, decoded, where views are made of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnDevice {
    /// Where a GPU trains: on it, if they fit into a quarter of its free memory and the augmentation makes views in batch; in the
    /// process's memory, if the loader threads can be expected to make 20,000 images' views a second of them.
    #[default]
    Auto,
    /// In any case; a set that can't is an error. On the CPU they stay in the process's memory.
    Always,
    /// Each image is read again whenever it is used.
    Never,
}

/// How gray of 16 bits without alpha becomes gray of 8 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Gray16 {
    /// 0 to 65535 become 0 to 255, as in every other 16-bit image.
    #[default]
    Scale,
    /// What is above 255 becomes 255, as Pillow and torchvision do.
    Saturate,
}
