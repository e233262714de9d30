//! Small files that are there whole or not at all.

use crate::error::{Error, Result};
use std::{fs, path::Path};

/// Writes a file under another name and renames it: whoever reads it, or comes after a process that was killed, finds the old
/// bytes or the new ones.
///
/// # Errors
/// The system's, with the path; nothing is left behind.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.part"));
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&beside);
        Error::io("write", path)(error)
    })
}
