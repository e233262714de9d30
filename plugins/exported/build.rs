//! Writes the plugin's manifest.

#[allow(dead_code)]
#[path = "src/config/mod.rs"]
mod config;

fn main() {
    infomax_manifest::Builder::new()
        .encoder::<config::ExportedEncoder>("exported", "A network out of a file of torch.export")
        .loss::<config::ExportedLoss>("exported", "An objective out of a file of torch.export", &[])
        .write();
}
