//! Writes the plugin's manifest.

#[allow(dead_code)]
#[path = "src/config/mod.rs"]
mod config;

fn main() {
    infomax_manifest::Builder::new()
        .loss::<config::NtXent>("nt-xent", "SimCLR: a view must pick out its partner among all views", &["row-ranges"])
        .loss::<config::VicReg>("vicreg", "VICReg: invariance with kept variance and no covariance", &[])
        .loss::<config::BarlowTwins>("barlow-twins", "Barlow Twins: the views' cross-correlation is the identity", &[])
        .loss::<config::Byol>("byol", "BYOL: predicts the momentum encoder's projection of the other view", &[])
        .write();
}
