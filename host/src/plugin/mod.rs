//! Plugin libraries at work: loaded (`load`, from a `private_copy`, in a child first: `probe`), their calls watched (`under_way`,
//! `watchdog`, `process_wide`, `crash`), and what they draw of keys (`draws`). What is done with their files alone is the desk's.

mod call;
mod crash;
pub(crate) mod draws;
mod load;
mod load_component;
mod operators;
mod private_copy;
mod probe;
mod process_wide;
mod read_files;
mod services;
mod torch_files;
mod under_way;
mod watchdog;

pub use call::{Component, Origin, request_text};
pub use crash::tell_of_crashes;
pub use infomax_desk::plugin::*;
pub use load::{Library, load};
pub use load_component::LoadComponent;
pub use probe::{LOADED, REFUSED, probe_with};
pub(crate) use process_wide::tell;
pub(crate) use read_files::read_files;
pub use services::services;
pub use under_way::{UnderWay, Watch, enter, spent_in};
