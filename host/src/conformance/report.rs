//! What the checks found.

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
        let passed = verdict.is_ok();
        let said = verdict.map_or_else(|said| said, |Measured(said)| said);
        self.lines.push(Line { component: component.to_owned(), check, passed, said });
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !line.passed)
    }
}
