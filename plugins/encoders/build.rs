//! Writes the plugin's manifest.

#[allow(dead_code)]
#[path = "src/config/mod.rs"]
mod config;

use config::resnet::ResNetConfig;

fn main() {
    infomax_manifest::Builder::new()
        .encoder::<ResNetConfig>("resnet18", "ResNet-18, with torchvision's names")
        .encoder::<ResNetConfig>("resnet34", "ResNet-34, with torchvision's names")
        .encoder::<ResNetConfig>("resnet50", "ResNet-50, with torchvision's names")
        .write();
}
