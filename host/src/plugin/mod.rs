//! Plugin libraries: found (`discovery`), read and checked without loading (`elf`, `candidate`), loaded (`load`, from a
//! `private_copy`, in a child first: `probe`), looked up by component (`registry`), locked (`lock`).

mod call;
mod candidate;
mod discovery;
mod elf;
mod error;
mod load;
pub mod lock;
mod operators;
mod private_copy;
mod probe;
mod registry;
mod schemas;
mod services;
mod torch_files;

pub use call::{Component, Origin, request_text};
pub use candidate::{Candidate, LIBTORCH};
pub use discovery::search_folders;
pub use error::{MEMORY_HINT, PluginError, memory_ran_out};
pub use load::{Library, load};
pub use probe::probe_with;
pub use registry::{Kind, Registry};
pub use schemas::Schemas;
pub use services::services;
