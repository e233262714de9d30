//! Which files may be opened: plain ones, not links, which may lead anywhere, and not pipes, which may never answer.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The most that is read of a small file, such as `config.toml`.
pub const SMALL: u64 = 32 << 20;
/// The longest metrics that are read as a whole.
const METRICS_MOST: u64 = 1 << 30;
/// The most entries of a run directory that are looked at.
const ENTRIES: usize = 100_000;
/// How deep a run directory's folders go: `checkpoints/step-…/shards/…`.
const DEPTH: usize = 6;

/// Whether a path is a plain file of at most so many bytes, or nothing at all.
pub fn is_plain(path: &Path, most: u64) -> bool {
    match fs::symlink_metadata(path) {
        Ok(facts) => facts.is_file() && facts.len() <= most,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// The bytes of a plain file of at most so many bytes.
///
/// # Errors
/// The system's; a path that is something else, or longer.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(io::Error::other(format!("it is longer than {most} bytes"))) } else { Ok(bytes) }
}

/// Opens a plain file.
///
/// # Errors
/// The system's; a path that is something else.
pub fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no plain file")) }
}

/// What keeps a run directory from being shown as a whole; none where it holds plain files and folders alone.
pub fn whole(run: &Path) -> Option<String> {
    let mut seen = 0;
    let mut folders = vec![(run.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => return Some(format!("`{}` can't be read: {error}", below(run, &folder))),
        };
        for entry in entries.flatten() {
            seen += 1;
            let name = || below(run, &entry.path());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < DEPTH => folders.push((entry.path(), depth + 1)),
                Ok(kind) if kind.is_dir() => return Some(format!("its folders go deeper than a run's: `{}`", name())),
                Ok(kind) if kind.is_file() => {
                    if is_too_long(&entry.path()) {
                        return Some(format!("`{}` is too long to be shown", name()));
                    }
                }
                Ok(kind) if kind.is_symlink() => return Some(format!("`{}` is a link, which is not followed", name())),
                _ => return Some(format!("`{}` is no plain file", name())),
            }
            if seen > ENTRIES {
                return Some(format!("it holds more than {ENTRIES} files"));
            }
        }
    }
    None
}

/// Whether a file is longer than what is read of it as a whole: texts are, weights and pictures are not.
fn is_too_long(path: &Path) -> bool {
    let most = match path.extension().and_then(|extension| extension.to_str()) {
        Some("json" | "toml" | "csv") => SMALL,
        Some("jsonl") => METRICS_MOST,
        _ => return false,
    };
    fs::symlink_metadata(path).is_ok_and(|facts| facts.len() > most)
}

fn below(run: &Path, path: &Path) -> String {
    path.strip_prefix(run).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_and_pipes_are_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), "text").unwrap();
        assert!(is_plain(&at("a"), 4) && !is_plain(&at("a"), 3) && is_plain(&at("none"), 0));
        assert_eq!(whole(folder.path()), None);
        symlink(at("a"), at("link")).unwrap();
        let pipe = std::ffi::CString::new(at("pipe").to_str().unwrap()).unwrap();
        // SAFETY: the path is a C string.
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        for name in ["link", "pipe"] {
            assert!(!is_plain(&at(name), 100) && open(&at(name)).is_err(), "{name}");
            fs::create_dir_all(at("b")).unwrap();
            fs::rename(at(name), at("b/x")).unwrap();
            assert!(whole(&at("b")).unwrap().contains("`x` is "), "{name}");
            fs::rename(at("b/x"), at(name)).unwrap();
        }
    }
}
