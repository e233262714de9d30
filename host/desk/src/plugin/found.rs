//! The plugins that a config can use.

use super::{Registry, lock::Lock, search_folders};
use crate::{config::Sources, error::Result};
use std::path::{Path, PathBuf};

/// The plugins that an experiment can use: those beside its first file, and in the folders that it adds. `locked`: there must be a
/// `plugins.lock`.
///
/// # Errors
/// A lock file that can't be read.
pub fn found_beside(file: Option<&Path>, said: &Sources, locked: bool) -> Result<Registry> {
    let folder = file.and_then(Path::parent).map(Path::to_owned);
    let folder = folder.map(|folder| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder });
    let lock = match &folder {
        Some(folder) => match Lock::read(folder, false)? {
            Some(_) => Lock::read(folder, locked)?,
            None => Lock::read(Path::new("."), locked)?,
        },
        None => Lock::read(Path::new("."), locked)?,
    };
    let added: Vec<PathBuf> = said.plugins("search").into_iter().map(PathBuf::from).collect();
    let folders = search_folders(&added, folder.as_deref());
    Ok(Registry::search(folders, &said.plugins("allow_torch_skew"), lock))
}

/// The plugins that are found in the working directory, without an experiment.
///
/// # Errors
/// A lock file that can't be read.
pub fn found_here() -> Result<Registry> {
    found_beside(None, &Sources::default().with_process_environment(), false)
}
