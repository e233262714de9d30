//! Losses on vectors as a plugin: contrastive, decorrelating, self-distilling and clustering ones, each with its heads.
//!
//! One file per loss; `representation.rs` says what comes in, `mlp.rs` and its neighbours are the heads, `similarity.rs`
//! the products that the contrastive losses share.

mod barlow_twins;
mod byol;
mod config;
mod correlation;
mod mlp;
mod momentum_mlp;
mod nt_xent;
mod precision;
mod projection;
mod representation;
mod similarity;
mod vicreg;

infomax_sdk::export_plugin! {
    losses: {
        "nt-xent" => nt_xent::NtXentLoss,
        "vicreg" => vicreg::VicRegLoss,
        "barlow-twins" => barlow_twins::BarlowTwinsLoss,
        "byol" => byol::ByolLoss,
    },
}
