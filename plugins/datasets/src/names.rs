//! File names in messages and manifests: any byte sequence as readable text, without loss.

use std::{os::unix::ffi::OsStrExt, path::Path};

/// Readable as it is where it is UTF-8 without control characters; other bytes become `\xNN`, a backslash `\\`.
pub(crate) fn escape(name: &[u8]) -> String {
    let mut escaped = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => escaped.push_str("\\\\"),
                c if c.is_control() => c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| push_byte(&mut escaped, b)),
                c => escaped.push(c),
            }
        }
        chunk.invalid().iter().for_each(|&byte| push_byte(&mut escaped, byte));
    }
    escaped
}

fn push_byte(text: &mut String, byte: u8) {
    use std::fmt::Write;
    write!(text, "\\x{byte:02x}").expect("a string takes everything");
}

/// A path, escaped.
pub(crate) fn path(path: &Path) -> String {
    escape(path.as_os_str().as_bytes())
}

/// The first few of a list, and how many more there are.
pub(crate) fn first_few(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn d13_names_are_escaped_without_loss() {
        assert_eq!(escape("Ünï/cödé".as_bytes()), "Ünï/cödé");
        assert_eq!(escape(b"a\xFFb\nc\\d"), "a\\xffb\\x0ac\\\\d");
    }
}
