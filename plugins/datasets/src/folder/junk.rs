//! What systems and programs leave in folders of images: never looked into, and told where it holds images.

/// Folders of indexes, thumbnails and rubbish, by their names in lower case.
const FOLDERS: [&str; 11] = [
    "@eadir",    // Synology
    "@recycle",  // QNAP
    "#recycle",  // Synology
    "#snapshot", // Synology
    "__macosx",  // zip archives from macOS
    "__pycache__",
    "$recycle.bin",              // Windows
    "system volume information", // Windows
    "lost+found",                // ext4
    "found.000",                 // Windows
    "ipynb_checkpoints",         // renamed, so that it shows
];

/// Whether a folder of this name holds nothing that its owner put there as data.
pub(super) fn is_junk_folder(name: &[u8]) -> bool {
    name.starts_with(b".") || FOLDERS.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Whether a file of this name is a program's own: hidden, `._x.jpg` of macOS, a thumbnail of Synology's or Windows'.
pub(super) fn is_junk_file(name: &[u8]) -> bool {
    let lower = name.to_ascii_lowercase();
    let starts = |start: &str| lower.starts_with(start.as_bytes());
    starts(".") || starts("synophoto_thumb_") || lower.ends_with(b"@synoresource") || lower.ends_with(b"@synoeastream")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rubbish_is_known_by_its_name_and_data_is_not() {
        for name in ["@eaDir", "__MACOSX", ".ipynb_checkpoints", ".thumbnails", "$RECYCLE.BIN", ".git", "lost+found"] {
            assert!(is_junk_folder(name.as_bytes()), "{name}");
        }
        for name in ["n01440764", "eaDir", "macos", "lost and found", "_", "recycle"] {
            assert!(!is_junk_folder(name.as_bytes()), "{name}");
        }
        assert!(is_junk_file(b"._x.jpg") && is_junk_file(b"SYNOPHOTO_THUMB_M.jpg") && !is_junk_file(b"x.jpg"));
    }
}
