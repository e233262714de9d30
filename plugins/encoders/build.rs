//! Writes the plugin's manifest.

#[allow(dead_code)]
#[path = "src/config/mod.rs"]
mod config;

use config::{resnet::ResNetConfig, vit::VitConfig, wide_resnet::WideResNetConfig};

fn main() {
    infomax_manifest::Builder::new()
        .encoder::<ResNetConfig>("resnet18", "ResNet-18, with torchvision's names")
        .encoder::<ResNetConfig>("resnet34", "ResNet-34, with torchvision's names")
        .encoder::<ResNetConfig>("resnet50", "ResNet-50, with torchvision's names")
        .encoder::<VitConfig>("vit-tiny", "The vision transformer ViT-Ti, with timm's names")
        .encoder::<WideResNetConfig>("wide-resnet", "Zagoruyko's wide ResNet for small images")
        .write();
}
