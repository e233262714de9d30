//! Why a task ended early, and the exit code that says so.

use std::{fmt, io, path::Path};

/// The machine lacks something, or what was asked for can't be done.
pub const USAGE: u8 = 2;
/// No room on the disk, or no right to write there.
pub const DISK: u8 = 8;

/// Why a task ended early.
#[derive(Debug)]
pub struct Stop {
    pub message: String,
    pub hint: Option<String>,
    pub code: u8,
}

impl Stop {
    /// Ends with code 2.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: USAGE }
    }

    /// Ends with the code of a program that has already said why.
    pub fn with_code(message: impl Into<String>, code: Option<i32>) -> Self {
        let code = code.and_then(|code| u8::try_from(code).ok()).filter(|&code| code != 0).unwrap_or(1);
        Self { message: message.into(), hint: None, code }
    }

    /// A file or folder that can't be used.
    pub fn file(what: &str, path: &Path, error: &io::Error) -> Self {
        Self { message: format!("can't {what} `{}`: {error}", path.display()), hint: None, code: DISK }
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}
