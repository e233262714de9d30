//! Small files that are there whole or not at all.

use crate::error::{Error, Result};
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Files that this process has written.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// Writes a file under another name and renames it: whoever reads it, or comes after a process that was killed, finds the old
/// bytes or the new ones. Of several that write at once, on any machine, one wins and none fails: each has a name of its own.
///
/// # Errors
/// The system's, with the path; nothing is left behind.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    fill_whole(path, |mut file| file.write_all(bytes).map_err(Error::io("write", path)))
}

/// The same where the bytes come one after the other; what filling the file gives.
///
/// # Errors
/// What filling it says, or the system's, with the path; nothing is left behind.
pub fn fill_whole<T>(path: &Path, fill: impl FnOnce(File) -> Result<T>) -> Result<T> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let beside = path.with_file_name(format!(".{name}.{}-{number}-{time}.part", std::process::id()));
    let failed = || Error::io("write", path);
    let filled = File::create(&beside).map_err(failed()).and_then(fill);
    let whole = filled.and_then(|made| fs::rename(&beside, path).map(|()| made).map_err(failed()));
    whole.inspect_err(|_| drop(fs::remove_file(&beside)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn of_many_that_write_at_once_none_fails_and_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shared.json");
        thread::scope(|scope| {
            for writer in 0..8_u8 {
                let path = &path;
                scope.spawn(move || (0..200).for_each(|_| write_whole(path, &[writer; 1000]).unwrap()));
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() == 1000 && bytes.iter().all(|&byte| byte == bytes[0]), "it is whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
