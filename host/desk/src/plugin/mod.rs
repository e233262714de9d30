//! Plugin libraries as files: found (`discovery`, `found`), read and checked without loading (`elf`, `candidate`), looked up by component
//! (`registry`), locked (`lock`), handed on as archives (`package`); and files of torch.export (`exported_file`).

mod candidate;
mod discovery;
mod elf;
mod error;
mod exported_file;
mod found;
pub mod lock;
pub mod package;
mod registry;
mod schemas;

pub use candidate::{Candidate, LIBTORCH};
pub use discovery::{data_folder, library_files, search_folders};
pub use error::{MEMORY_HINT, PluginError, memory_ran_out};
pub use exported_file::{ExportedFile, is_exported};
pub use found::{found_beside, found_here};
pub use registry::{Kind, Registry};
pub use schemas::Schemas;
