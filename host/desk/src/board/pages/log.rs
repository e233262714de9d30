//! The end of a log.

use crate::plain::open;
use maud::{Markup, html};
use std::{
    io::{Read, Seek, SeekFrom},
    path::Path,
};

/// What is shown at most.
const LINES: usize = 200;
const BYTES: u64 = 64 << 10;

/// The last lines of a file, without what would colour a terminal; nothing where there is no such file, or an empty one.
pub fn log(path: &Path, title: &str) -> Markup {
    let text = last_lines(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LINES)..];
    html! {
        @if !shown.is_empty() {
            section {
                h2 { (title) }
                pre.log tabindex="0" role="region" aria-label=(title) data-end { (shown.join("\n")) }
            }
        }
    }
}

fn last_lines(path: &Path) -> Option<String> {
    let mut file = open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(BYTES))).ok()?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = if length > BYTES { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
    Some(plain(whole))
}

/// A text without escape sequences and other signs that are not to be seen; of a line that was written over, what was left.
fn plain(text: &str) -> String {
    let line = |line: &str| {
        let line = line.trim_end_matches('\r');
        let last = line.rsplit('\r').next().unwrap_or(line);
        let mut out = String::new();
        let mut signs = last.chars().peekable();
        while let Some(sign) = signs.next() {
            if sign == '\u{1b}' && signs.peek() == Some(&'[') {
                signs.by_ref().skip(1).find(|sign| ('\u{40}'..='\u{7e}').contains(sign));
            } else if sign == '\t' || !sign.is_control() {
                out.push(sign);
            }
        }
        out
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_left_out() {
        assert_eq!(plain("a\u{1b}[31mb\u{1b}[0m\n10 %\r20 %\r\n\u{7}c\td"), "ab\n20 %\nc\td");
    }

    #[test]
    fn a_long_log_is_shown_by_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let text: String = (0..100_000).map(|n| format!("line <{n}>\n")).collect();
        std::fs::write(&path, text).unwrap();
        let shown = log(&path, "Log").into_string();
        assert!(
            shown.contains("line &lt;99999&gt;") && shown.contains("line &lt;99800&gt;") && !shown.contains("99799")
        );
        assert_eq!(log(&folder.path().join("none"), "Log").into_string(), "");
    }
}
