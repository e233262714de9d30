//! The components' `config` tables. The build script compiles this module too, for the schemas in the manifest.

mod barlow_twins;
mod byol;
mod nt_xent;
mod vicreg;

pub use barlow_twins::BarlowTwins;
pub use byol::Byol;
pub use nt_xent::NtXent;
pub use vicreg::VicReg;
