//! A study in brief: how many of its cells stand how.

use super::{
    find::StudyPlace,
    standing::Phase,
    summary::{Stamp, Summary, stamp},
};
use crate::study::Ledger;
use serde::Serialize;
use std::sync::Arc;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// A study in brief.
#[derive(Clone, Debug, PartialEq)]
pub struct StudySummary {
    pub place: StudyPlace,
    /// The folder of runs that its cells lie in.
    pub folder: PathBuf,
    /// What is known of it, or why nothing is.
    pub ledger: Result<Arc<Ledger>, String>,
    stamp: Stamp,
    pub counts: StudyCounts,
}

/// How many cells stand how; cells that are the same experiment count once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StudyCounts {
    pub cells: usize,
    pub done: usize,
    pub training: usize,
    /// Stopped, and to go on when the study runs again.
    pub interrupted: usize,
    pub failed: usize,
    /// Not begun.
    pub missing: usize,
    /// That can't be trained.
    pub impossible: usize,
}

impl StudySummary {
    /// A study by its ledger; as it was before, where that has not changed.
    pub fn read(place: &StudyPlace, before: &[Self]) -> Self {
        let stamp = stamp(&place.path);
        if let Some(same) = before.iter().find(|study| study.place == *place && study.stamp == stamp) {
            return same.clone();
        }
        let folder = place.path.parent().and_then(Path::parent).unwrap_or(Path::new(".")).to_owned();
        let ledger = Ledger::read(&place.path).map(Arc::new);
        Self { place: place.clone(), folder, ledger, counts: StudyCounts::default(), stamp }
    }

    /// Changes with the ledger and with how the cells stand.
    pub fn version(&self) -> String {
        format!("{:?} {}", self.stamp, self.counts.told())
    }

    /// Its name among all studies that were found.
    pub fn id(&self) -> &str {
        &self.place.id
    }

    /// Its file's stem.
    pub fn name(&self) -> &str {
        &self.place.name
    }

    /// Counts its cells among the runs that were found.
    pub fn count<'a>(&mut self, runs: impl Iterator<Item = &'a Summary>) {
        let Ok(ledger) = &self.ledger else { return };
        let cells = runs.filter_map(|run| {
            let (id, folder) = run.place.cell.as_ref()?;
            (*folder == self.folder).then_some((id.as_str(), run.standing.phase))
        });
        let phases: BTreeMap<&str, Phase> = cells.collect();
        let mut counts = StudyCounts::default();
        let mut seen = BTreeSet::new();
        for cell in &ledger.cells {
            let Some(id) = &cell.id else {
                counts.cells += 1;
                counts.impossible += 1;
                continue;
            };
            if !seen.insert(id) {
                continue;
            }
            counts.cells += 1;
            *match phases.get(id.as_str()) {
                Some(Phase::Done) => &mut counts.done,
                Some(Phase::Training) => &mut counts.training,
                Some(Phase::Interrupted) => &mut counts.interrupted,
                Some(Phase::Diverged | Phase::Failed | Phase::Lost) => &mut counts.failed,
                Some(Phase::Waiting) | None => &mut counts.missing,
            } += 1;
        }
        self.counts = counts;
    }
}

impl StudyCounts {
    /// `45 of 60 done, 2 training, 1 failed, 12 to do`.
    pub fn told(&self) -> String {
        let others = [
            (self.training, "training"),
            (self.interrupted, "interrupted"),
            (self.failed, "failed"),
            (self.missing, "to do"),
            (self.impossible, "impossible"),
        ];
        let others = others.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
        format!("{} of {} done", self.done, self.cells) + &others.collect::<String>()
    }

    /// How it stands as a whole, in a word and a class of the style sheet.
    pub fn word(&self) -> (&'static str, &'static str) {
        match self {
            Self { training: 1.., .. } => ("running", "fair"),
            Self { missing: 0, interrupted: 0, failed: 0, impossible: 0, .. } => ("done", "good"),
            Self { missing: 0, interrupted: 0, .. } => ("ended with failures", "poor"),
            _ => ("not running", "fair"),
        }
    }
}
