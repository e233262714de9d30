//! Losses on vectors as a plugin: contrastive, decorrelating, self-distilling and clustering ones, each with its heads.
//!
//! One file per loss, most of them an objective on projections of two views, or on targets without gradient;
//! `similarity.rs` is what the contrastive ones share.

mod align_uniform;
mod barlow_twins;
mod byol;
mod config;
mod correlation;
mod cosine;
mod dcl;
mod dino;
mod embedding;
mod lejepa;
mod local_dim;
mod mmcr;
mod moco_v2;
mod nt_xent;
mod prototypes;
mod queue;
mod similarity;
mod simsiam;
mod supcon;
mod swav;
mod vicreg;
mod w_mse;

use infomax_sdk::{projected::Projected, targets::Targeted};

infomax_sdk::export_plugin! {
    losses: {
        "nt-xent" => Projected<config::NtXent>,
        "vicreg" => Projected<config::VicReg>,
        "barlow-twins" => Projected<config::BarlowTwins>,
        "byol" => Targeted<config::Byol>,
        "moco-v2" => Targeted<config::MocoV2>,
        "simsiam" => Targeted<config::SimSiam>,
        "supcon" => Projected<config::SupCon>,
        "dcl" => Projected<config::Dcl>,
        "align-uniform" => Projected<config::AlignUniform>,
        "swav" => Targeted<config::SwAv>,
        "local-dim" => local_dim::LocalDimLoss,
        "w-mse" => Projected<config::WMse>,
        "mmcr" => Projected<config::Mmcr>,
        "dino" => Targeted<config::Dino>,
        "lejepa" => Projected<config::LeJepa>,
    },
}
