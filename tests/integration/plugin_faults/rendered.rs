//! An error as the user reads it, without paths and hashes of this machine.

use infomax::{error::Error, plugin::PluginError};

/// At most what fits on a screen beside a progress line.
const LINES: usize = 6;

/// The rendered error with the given folder written as `[folder]`; checks that it is short and says what, where, what
/// to do.
pub fn rendered(error: PluginError, folder: &std::path::Path) -> String {
    let text = format!("exit code {}\n{}", error.exit_code(), Error::from(error));
    let text = text.replace(&folder.display().to_string(), "[folder]");
    assert!(text.lines().count() <= LINES + 1, "more than {LINES} lines: {text}");
    assert!(text.contains("\n  at: "), "it does not say where: {text}");
    assert!(text.contains("\nhint: "), "it does not say what to do: {text}");
    text
}

/// As [`rendered`], for an error of a call, with nothing replaced.
pub fn rendered_call(error: PluginError) -> String {
    let text = format!("{}", Error::from(error));
    assert!(text.lines().count() <= LINES, "more than {LINES} lines: {text}");
    assert!(text.contains("\n  at: ") && text.contains("\nhint: "), "it does not say where and what to do: {text}");
    text
}
