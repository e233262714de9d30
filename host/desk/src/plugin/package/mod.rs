//! A plugin as a file to hand on: one archive a target, with library, manifest, licence and README (`archive`); a static folder or
//! URL of them (`index`); putting one where the host looks for plugins, and taking it away (`installed`).

mod archive;
mod index;
mod installed;
mod remote;

pub use archive::{Contents, LICENCE_NAMES, pack, unpack};
pub use index::{Entry, Index};
pub use installed::{Place, install, uninstall};

/// The triple that this host is built for.
pub const TARGET: &str =
    if cfg!(target_arch = "x86_64") { "x86_64-unknown-linux-gnu" } else { "aarch64-unknown-linux-gnu" };

use crate::error::{Error, Fault};

/// A package that is damaged, foreign or not to be trusted (exit code 3).
fn refused(from: &str, reason: impl Into<String>, hint: &str) -> Error {
    super::PluginError::refused(from, reason, hint).into()
}

/// Nothing that a name is asked for has it.
fn not_found(message: String, hint: String) -> Error {
    Error::config(Fault::new(message).hint(hint))
}
