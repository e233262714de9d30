//! The error that a component returns across the boundary: what failed, what to do, and the chain of causes.
//!
//! A plugin's errors are its author's sentences, so this is a message with facts rather than an enum. The host adds the
//! plugin, its version and file, the step and the rank.

use std::fmt;

/// What kind of failure a component reports; decides the host's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ErrorKind {
    /// The component itself failed (exit code 3).
    Plugin = 0,
    /// The configuration asks for something that the component can't do (exit code 2).
    Config = 1,
    /// The data are missing, damaged or not what they should be (exit code 4).
    Data = 2,
    /// The component panicked; its instance may only be dropped (exit code 3).
    Panic = 3,
}

impl ErrorKind {
    /// The kind behind a number that crossed the boundary; an unknown one counts as [`ErrorKind::Plugin`].
    pub fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Config,
            2 => Self::Data,
            3 => Self::Panic,
            _ => Self::Plugin,
        }
    }
}

/// An error of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of failure this is.
    pub kind: ErrorKind,
    /// What failed: lower case, no full stop, values in backticks.
    pub message: String,
    /// The causes, nearest first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where in the source it happened, for a panic and for an operator that failed.
    pub place: Option<String>,
}

/// The result of a component's method.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of the component itself.
    pub fn new(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Plugin, message: message.into(), causes: Vec::new(), hint: None, place: None }
    }

    /// A configuration that can't work.
    pub fn config(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Config, ..Self::new(message) }
    }

    /// Data that are missing, damaged or not what they should be.
    pub fn data(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Data, ..Self::new(message) }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the error that caused this one, and its own causes.
    #[must_use]
    pub fn caused_by(mut self, cause: &(dyn std::error::Error + '_)) -> Self {
        let mut next = Some(cause);
        while let Some(error) = next {
            self.causes.push(first_line(&error.to_string()));
            next = error.source();
        }
        self
    }
}

/// libtorch appends a C++ backtrace to its messages; the first line says what is wrong.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_end().to_owned()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
