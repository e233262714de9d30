//! Writes the plugin's manifest.

#[allow(dead_code)]
#[path = "src/config.rs"]
mod config;

fn main() {
    infomax_manifest::Builder::new()
        .loss::<config::CosineConfig>("cosine", "One minus the cosine between two views", &[])
        .write();
}
