//! What a run is told beside its config, and how it ended.

use super::signals::Signals;
use crate::{distributed::Place, record::Asked};
use std::sync::Arc;

/// What a run is told beside its config.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The experiment's name, for titles.
    pub name: String,
    /// Whether the run directory holds a run to go on with.
    pub resume: bool,
    /// What may differ from what the run began with: `dataset`, `plugin.NAME`, `libtorch`.
    pub overrides: Vec<String>,
    /// Which of several processes this is.
    pub place: Option<Place>,
    /// Whether the run only tries things out: tests take a few images.
    pub smoke: bool,
    /// How the run was started, for its files; not needed where it leaves none.
    pub provenance: Option<Arc<Asked>>,
    /// What asks for an end; nothing does by default.
    pub signals: Signals,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Updates done.
    pub step: u64,
    /// The last test's results, in percent.
    pub results: Vec<(String, f64)>,
    /// What classifiers reach on the untrained encoder, where that was asked for.
    pub untrained: Vec<(String, f64)>,
    /// Images that could not be used.
    pub bad_images: usize,
    /// Steps that updated nothing.
    pub skipped_steps: u64,
    /// Whether there was nothing left to do.
    pub was_finished: bool,
}
