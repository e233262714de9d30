//! Writes the plugin's manifest.

#[allow(dead_code)]
#[path = "src/config/mod.rs"]
mod config;

fn main() {
    infomax_manifest::Builder::new()
        .augmentation::<config::augmentation::AmdimAugmentation>(
            "amdim",
            "AMDIM's two views: flip, crop or translation, colour jitter, grayscale",
        )
        .encoder::<config::encoder::EncoderConfig>("amdim", "AMDIM's encoder for 32, 64 or 128 px")
        .loss::<config::loss::LossConfig>(
            "amdim",
            "AMDIM's multiscale objective across two views",
            &["row-ranges", "forward-backward"],
        )
        .write();
}
