//! What the checks found.

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed,
    /// It could not be made.
    NotMade,
}

/// One check, in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `loss \`vicreg\``.
    pub component: String,
    /// The check's name; empty where it was not made.
    pub check: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was measured; what was expected and what came; which check was not made, and why.
    pub said: String,
}

/// Hears each line. Ranks, which are threads, share what it lies in.
pub type Tell = dyn FnMut(&Line) + Sync;

/// What the checks of a library found; each line is told as soon as it is known.
pub struct Report {
    /// Every check.
    pub lines: Vec<Line>,
    tell: Box<Tell>,
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
    pub(super) fn new(tell: Box<Tell>) -> Self {
        Self { lines: Vec::new(), tell }
    }

    /// Adds a check's verdict.
    pub(super) fn add(&mut self, component: String, check: &'static str, verdict: Result<Measured, String>) {
        let (verdict, said) = match verdict {
            Ok(Measured(said)) => (Verdict::Passed, said),
            Err(said) => (Verdict::Failed, said),
        };
        self.put(Line { component, check, verdict, said });
    }

    /// Adds a check that could not be made, and why.
    pub(super) fn add_not_made(&mut self, component: String, said: String) {
        self.put(Line { component, check: "", verdict: Verdict::NotMade, said });
    }

    fn put(&mut self, line: Line) {
        (self.tell)(&line);
        self.lines.push(line);
    }

    /// How many checks were made.
    pub fn made(&self) -> usize {
        self.lines.iter().filter(|line| line.verdict != Verdict::NotMade).count()
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.verdict == Verdict::Failed)
    }
}
