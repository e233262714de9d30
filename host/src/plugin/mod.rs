//! Plugin libraries: found (`discovery`), read and checked without loading (`elf`, `candidate`), loaded (`load`), looked
//! up by component (`registry`), locked (`lock`).

mod call;
mod candidate;
mod discovery;
mod elf;
mod error;
mod load;
pub mod lock;
mod registry;
mod services;

pub use call::{Component, Origin, request_text};
pub use candidate::{Candidate, LIBTORCH};
pub use discovery::search_folders;
pub use error::PluginError;
pub use load::{Library, load};
pub use registry::{Kind, Registry};
