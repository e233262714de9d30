//! Writes the plugin's manifest.

#[allow(dead_code, unused_imports)]
#[path = "src/config/mod.rs"]
mod config;

fn main() {
    infomax_manifest::Builder::new()
        .augmentation::<config::Asymmetric>("asymmetric", "BYOL's pair: blur and solarising differ between the views")
        .augmentation::<config::MultiCrop>("multi-crop", "SwAV's views: two large crops and several small ones")
        .augmentation::<config::NoAugmentation>("none", "Plain views, for control")
        .augmentation::<config::RandAugment>("randaugment", "Two views by RandAugment after crop and flip")
        .augmentation::<config::SimClr>("simclr", "SimCLR's pair: crop, flip, jitter, grayscale, blur, solarising")
        .write();
}
