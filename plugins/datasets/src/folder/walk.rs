//! A bounded walk over one class folder: regular image files only, in bytewise order of their relative paths. Folders
//! count once (device and inode), so links can't loop; pipes, sockets and devices are never opened.

use super::junk::{is_junk_file, is_junk_folder};
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
const EXTENSIONS: [&str; 19] = [
    "jpg", "jpeg", "jpe", "jfif", "jif", "pjpeg", "pjp", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff",
    "ppm", "pgm", "pbm", "pnm",
];

/// Why a folder is not looked into.
pub(super) const JUNK: &str = "a system's or program's own folder";

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In bytewise order of their paths.
    pub files: Vec<File>,
    /// Entries that were passed over, with the reason.
    pub passed_over: Vec<(String, String)>,
}

/// A file that is taken.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct File {
    /// Relative to the folder that was walked.
    pub path: Vec<u8>,
    /// In bytes.
    pub size: u64,
    /// When its content and its entry last changed, in nanoseconds: the second can't be set back.
    pub times: [i128; 2],
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
        let pass_over = |found: &mut Found, why: &str, path: &Path| {
            found.passed_over.push((why.to_owned(), names::path(path)));
        };
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
            if is_junk_file(name.as_bytes())
                && is_image(name.as_bytes())
                && entry.file_type().is_ok_and(|k| !k.is_dir())
            {
                pass_over(&mut found, "hidden, or a program's own", &path);
            }
            let is_hidden_folder = || entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_junk_file(name.as_bytes()) && !is_hidden_folder() {
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
            if kind.is_dir() && is_junk_folder(name.as_bytes()) {
                pass_over(&mut found, JUNK, &path);
            } else if kind.is_dir() {
                if depth < DEEPEST {
                    folders.push((path, relative, depth + 1));
                } else {
                    pass_over(&mut found, "too deep", &path);
                }
            } else if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
                pass_over(&mut found, "a pipe, socket or device", &path);
            } else if is_image(name.as_bytes()) {
                found.files.push(File { path: relative, size: metadata.len(), times: times(&metadata) });
            } else {
                pass_over(&mut found, &no_image(name.as_bytes()), &path);
            }
        }
    }
    found.files.sort_unstable();
    found.passed_over.sort();
    found
}

/// Whether a file is taken for an image, by its name.
pub(super) fn is_image(name: &[u8]) -> bool {
    extension(name).is_some_and(|end| EXTENSIONS.iter().any(|known| end.eq_ignore_ascii_case(known.as_bytes())))
}

fn extension(name: &[u8]) -> Option<&[u8]> {
    let end = name.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    (end.len() < name.len()).then_some(end)
}

/// Why a file is not taken; what is an image all the same is named for what it is.
pub(super) fn no_image(name: &[u8]) -> String {
    let Some(end) = extension(name) else { return "no image by its name: without an extension".to_owned() };
    let end = names::escape(&end.to_ascii_lowercase());
    match end.as_str() {
        "avif" | "heic" | "heif" | "jxl" | "jp2" | "j2k" | "svg" | "psd" | "cr2" | "nef" | "arw" | "dng" | "dcm" => {
            format!("`.{end}`, which is not read: convert them, for example with `magick mogrify -format png *.{end}`")
        }
        _ => format!("no image by its name: `.{end}`"),
    }
}

pub(super) fn times(metadata: &fs::Metadata) -> [i128; 2] {
    let whole = |seconds: i64, nanoseconds: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    [whole(metadata.mtime(), metadata.mtime_nsec()), whole(metadata.ctime(), metadata.ctime_nsec())]
}
