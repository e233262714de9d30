//! What the checks found.

use std::fmt;

/// A check that a component did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `loss \`vicreg\``.
    pub component: String,
    /// The check's name.
    pub check: &'static str,
    /// What was expected and what came.
    pub message: String,
}

/// What the checks of a library found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Checks that passed: component, check.
    pub passed: Vec<(String, &'static str)>,
    /// Checks that failed.
    pub findings: Vec<Finding>,
    /// Checks that could not be made, and why.
    pub notes: Vec<String>,
}

impl Report {
    /// Adds a check's verdict.
    pub(super) fn add(&mut self, component: &str, check: &'static str, verdict: Result<(), String>) {
        match verdict {
            Ok(()) => self.passed.push((component.to_owned(), check)),
            Err(message) => self.findings.push(Finding { component: component.to_owned(), check, message }),
        }
    }

    /// For a test: prints what could not be checked.
    ///
    /// # Panics
    /// Where a check failed, with every finding; and where nothing was checked at all.
    pub fn assert(&self) {
        self.notes.iter().for_each(|note| eprintln!("not checked: {note}"));
        assert!(self.findings.is_empty(), "{self}");
        assert!(!self.passed.is_empty(), "the library has no component to check");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} checks passed, {} failed", self.passed.len(), self.findings.len())?;
        for Finding { component, check, message } in &self.findings {
            writeln!(f, "{component}, {check}: {message}")?;
        }
        Ok(())
    }
}
