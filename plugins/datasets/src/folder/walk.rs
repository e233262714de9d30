//! A bounded walk over one class folder: regular image files only, in bytewise order of their relative paths. Folders
//! count once (device and inode), so links can't loop; pipes, sockets and devices are never opened.

use crate::names;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::Path,
};

const DEEPEST: usize = 16;
/// Of files that are taken; the host decodes by content all the same.
const EXTENSIONS: [&str; 7] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "jfif"];

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Path relative to the class folder, and size in bytes.
    pub files: Vec<(Vec<u8>, u64)>,
    /// Entries that were passed over, with the reason.
    pub passed_over: Vec<(&'static str, String)>,
}

/// Device and inode.
pub(super) type Identity = (u64, u64);

/// What a folder is, whatever its name.
pub(super) fn identity(folder: &Path) -> Option<Identity> {
    fs::metadata(folder).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Walks over one class folder; `outside` are folders that no link may lead back to: images there are of other classes.
pub(super) fn walk(class: &Path, outside: &BTreeSet<Identity>) -> Found {
    let mut found = Found::default();
    let mut seen = outside.clone();
    identity(class).map(|own| seen.remove(&own));
    let mut folders = vec![(class.to_owned(), Vec::new(), 0)];
    while let Some((folder, relative, depth)) = folders.pop() {
        let pass_over = |found: &mut Found, why, path: &Path| found.passed_over.push((why, names::path(path)));
        if !identity(&folder).is_some_and(|identity| seen.insert(identity)) {
            pass_over(&mut found, "a folder that was seen already", &folder);
            continue;
        }
        let Ok(entries) = fs::read_dir(&folder) else {
            pass_over(&mut found, "a folder that can't be read", &folder);
            continue;
        };
        for entry in entries {
            let Ok(entry) = entry else {
                pass_over(&mut found, "a folder that can't be read to its end", &folder);
                break;
            };
            let (path, name) = (entry.path(), entry.file_name());
            if name.as_bytes().starts_with(b".") {
                continue;
            }
            let of_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            let metadata = if of_link { fs::metadata(&path) } else { entry.metadata() };
            let Ok(metadata) = metadata else {
                pass_over(&mut found, if of_link { "a dangling link" } else { "unreadable" }, &path);
                continue;
            };
            let mut relative: Vec<u8> = relative.clone();
            if !relative.is_empty() {
                relative.push(b'/');
            }
            relative.extend_from_slice(name.as_bytes());
            let kind = metadata.file_type();
            if kind.is_dir() {
                if depth < DEEPEST {
                    folders.push((path, relative, depth + 1));
                } else {
                    pass_over(&mut found, "too deep", &path);
                }
            } else if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
                pass_over(&mut found, "a pipe, socket or device", &path);
            } else if is_image(name.as_bytes()) {
                found.files.push((relative, metadata.len()));
            } else {
                pass_over(&mut found, "no image by its name", &path);
            }
        }
    }
    found.files.sort_unstable();
    found.passed_over.sort();
    found
}

fn is_image(name: &[u8]) -> bool {
    let extension = name.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    extension.len() < name.len() && EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known.as_bytes()))
}
