//! Losses on vectors as a plugin: contrastive, decorrelating, self-distilling and clustering ones, each with its heads.
//!
//! One file per loss; `representation.rs` says what comes in, `mlp.rs` and its neighbours are the heads, `similarity.rs`
//! the products that the contrastive losses share.

mod align_uniform;
mod barlow_twins;
mod byol;
mod config;
mod correlation;
mod dcl;
mod embedding;
mod local_dim;
mod mlp;
mod moco_v2;
mod momentum_mlp;
mod nt_xent;
mod precision;
mod projection;
mod prototypes;
mod queue;
mod representation;
mod similarity;
mod simsiam;
mod supcon;
mod swav;
mod vicreg;

infomax_sdk::export_plugin! {
    losses: {
        "nt-xent" => nt_xent::NtXentLoss,
        "vicreg" => vicreg::VicRegLoss,
        "barlow-twins" => barlow_twins::BarlowTwinsLoss,
        "byol" => byol::ByolLoss,
        "moco-v2" => moco_v2::MocoV2Loss,
        "simsiam" => simsiam::SimSiamLoss,
        "supcon" => supcon::SupConLoss,
        "dcl" => dcl::DclLoss,
        "align-uniform" => align_uniform::AlignUniformLoss,
        "swav" => swav::SwAvLoss,
        "local-dim" => local_dim::LocalDimLoss,
    },
}
