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

/// One check, passed or not, in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `loss \`vicreg\``.
    pub component: String,
    /// The check's name.
    pub check: &'static str,
    /// Whether it passed.
    pub passed: bool,
    /// What was measured, or what was expected and what came.
    pub said: String,
}

/// What the checks of a library found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Every check.
    pub lines: Vec<Line>,
    /// Checks that passed: component, check.
    pub passed: Vec<(String, &'static str)>,
    /// Checks that failed.
    pub findings: Vec<Finding>,
    /// Checks that could not be made, and why.
    pub notes: Vec<String>,
}

/// What a check that passed has measured; empty where there is nothing to say.
pub(super) struct Measured(pub String);

impl From<()> for Measured {
    fn from((): ()) -> Self {
        Self(String::new())
    }
}

impl From<String> for Measured {
    fn from(said: String) -> Self {
        Self(said)
    }
}

impl Report {
    /// Adds a check's verdict.
    pub(super) fn add(&mut self, component: &str, check: &'static str, verdict: Result<Measured, String>) {
        let (passed, said) = match &verdict {
            Ok(Measured(said)) => (true, said.clone()),
            Err(said) => (false, said.clone()),
        };
        self.lines.push(Line { component: component.to_owned(), check, passed, said });
        match verdict {
            Ok(_) => self.passed.push((component.to_owned(), check)),
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
