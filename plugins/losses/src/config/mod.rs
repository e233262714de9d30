//! The components' `config` tables. The build script compiles this module too, for the schemas in the manifest.

mod align_uniform;
mod barlow_twins;
mod byol;
mod dcl;
mod dino;
mod lejepa;
pub mod local_dim;
mod mmcr;
mod moco_v2;
mod nt_xent;
mod simsiam;
mod supcon;
mod swav;
mod vicreg;
mod w_mse;

pub use align_uniform::AlignUniform;
pub use barlow_twins::BarlowTwins;
pub use byol::Byol;
pub use dcl::Dcl;
pub use dino::Dino;
pub use lejepa::LeJepa;
pub use local_dim::LocalDim;
pub use mmcr::Mmcr;
pub use moco_v2::MocoV2;
pub use nt_xent::NtXent;
pub use simsiam::SimSiam;
pub use supcon::SupCon;
pub use swav::SwAv;
pub use vicreg::VicReg;
pub use w_mse::WMse;
