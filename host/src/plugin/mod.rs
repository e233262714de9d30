//! Plugin libraries: found (`discovery`), read and checked without loading (`elf`, `candidate`), loaded (`load`, from a
//! `private_copy`, in a child first: `probe`), looked up by component (`registry`), locked (`lock`); their calls watched
//! (`under_way`, `watchdog`, `process_wide`), and what they draw of keys (`draws`); handed on as archives (`package`).

mod call;
mod candidate;
mod discovery;
pub(crate) mod draws;
mod elf;
mod error;
mod load;
pub mod lock;
mod operators;
pub mod package;
mod private_copy;
mod probe;
mod process_wide;
mod registry;
mod schemas;
mod services;
mod torch_files;
mod under_way;
mod watchdog;

pub use call::{Component, Origin, request_text};
pub use candidate::{Candidate, LIBTORCH};
pub use discovery::{data_folder, library_files, search_folders};
pub use error::{MEMORY_HINT, PluginError, memory_ran_out};
pub use load::{Library, load};
pub use probe::{LOADED, REFUSED, probe_with};
pub(crate) use process_wide::tell;
pub use registry::{Kind, Registry};
pub use schemas::Schemas;
pub use services::services;
pub use under_way::{UnderWay, Watch, enter, spent_in};
