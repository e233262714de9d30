//! Writes the plugin's manifest.

#[allow(dead_code)]
#[path = "src/config.rs"]
mod config;

use config::FaultyConfig;

fn main() {
    let builder = infomax_manifest::Builder::new()
        .dataset::<FaultyConfig>("faulty", "Random pixels of two classes")
        .augmentation::<FaultyConfig>("faulty", "Two copies of an image")
        .encoder::<FaultyConfig>("faulty", "The mean colour through one linear layer")
        .loss::<FaultyConfig>("faulty", "The distance between two views", &["forward-backward"]);
    let bound = std::env::var_os("CARGO_FEATURE_LIBTORCH").is_some();
    if bound { builder.built_against_libtorch() } else { builder }.write();
}
