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
        .loss::<config::MocoV2>(
            "moco-v2",
            "MoCo v2: a view must pick out its key among a queue of keys",
            &["row-ranges"],
        )
        .loss::<config::SimSiam>(
            "simsiam",
            "SimSiam: predicts the other view's projection, without momentum encoder",
            &["stop-gradient"],
        )
        .loss::<config::SupCon>("supcon", "SupCon: images of a class attract each other", &["row-ranges"])
        .loss::<config::Dcl>("dcl", "DCL: SimCLR's loss without the positive in the denominator", &["row-ranges"])
        .loss::<config::AlignUniform>("align-uniform", "Views lie close together, images spread over the sphere", &[])
        .loss::<config::SwAv>("swav", "SwAV: views predict each other's assignment to prototypes", &["stop-gradient"])
        .loss::<config::LocalDim>("local-dim", "Deep InfoMax: a global feature knows its image's local features", &[])
        .loss::<config::WMse>("w-mse", "W-MSE: views agree in a whitened space", &[])
        .loss::<config::Mmcr>("mmcr", "MMCR: the centroids of images span as much as they can", &[])
        .loss::<config::Dino>("dino", "DINO: views predict the momentum encoder's assignment to prototypes", &[])
        .loss::<config::LeJepa>("lejepa", "LeJEPA: views agree, projections become an isotropic Gaussian", &[])
        .write();
}
