//! AMDIM as a plugin: encoder, loss and views of Bachman, Hjelm and Buchwalter 2019.

mod augmentation;
mod config;
mod encoder;
mod loss;

pub use config::{encoder::EncoderConfig, loss::LossConfig};
pub use encoder::AmdimEncoder;
pub use loss::AmdimLoss;

infomax_sdk::export_plugin! {
    augmentations: { "amdim" => augmentation::Amdim },
    encoders: { "amdim" => encoder::AmdimEncoder },
    losses: { "amdim" => loss::AmdimLoss },
}
