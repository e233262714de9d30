//! The checkpoints of a run under way: written beside training, which waits where they would fall too far behind.

use super::engine::Run;
use crate::{
    checkpoint::{CheckpointSet, Manifest, Writer, snapshot},
    distributed::Group,
    error::Result,
};
use std::{collections::BTreeMap, time::Instant};

/// The files of rank 0's newest checkpoint, on every rank; empty where there is none.
pub(super) fn newest(checkpoints: Option<&CheckpointSet>, group: &Group) -> Result<BTreeMap<String, Vec<u8>>> {
    let newest = checkpoints.and_then(|checkpoints| {
        let (newest, skipped) = checkpoints.newest();
        skipped.iter().for_each(|reason| log::warn!("checkpoint passed over: {reason}"));
        newest
    });
    group.share_files(newest.map(|newest| newest.files))
}

impl Run<'_> {
    /// Before a step counts: waits for a checkpoint that would lie too far behind it.
    pub(super) fn let_writer_follow(&mut self, step: u64) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let began = Instant::now();
        writer.poll((step + 1).saturating_sub(self.experiment.checkpoint.overlap_steps))?;
        if let Some(recorder) = &mut self.recorder {
            recorder.stalled(began.elapsed());
        }
        Ok(())
    }

    /// Saves the state, unless it has been saved.
    pub(super) fn save(&mut self) -> Result<()> {
        self.model.check_identities()?;
        self.model.share_buffers(&self.group)?;
        let Some(writer) = self.writer.as_mut().filter(|writer| !writer.has(self.state.step)) else { return Ok(()) };
        let began = Instant::now();
        writer.finish()?;
        let snapshot = snapshot(&self.model, &self.state)?;
        let is_tested = self.state.tested == Some(self.state.step);
        let finite = self.state.results.iter().filter(|(_, value)| is_tested && value.is_finite());
        let manifest = Manifest {
            format: 0,
            step: self.state.step,
            metrics: finite.cloned().collect(),
            held_out: self.experiment.evaluation.holdout_fraction > 0.0,
            config: self.identity.config.clone(),
            sdk: env!("CARGO_PKG_VERSION").to_owned(),
            plugins: self.identity.plugin_hashes(),
            dataset: self.data.source.facts().fingerprint.clone(),
            files: BTreeMap::new(),
        };
        writer.write(manifest, snapshot)?;
        if let Some(recorder) = &mut self.recorder {
            recorder.stalled(began.elapsed());
        }
        Ok(())
    }

    /// Waits until the last checkpoint is on the disk.
    pub(super) fn wait_for_writer(&mut self) -> Result<()> {
        self.writer.as_mut().map_or(Ok(()), Writer::finish)
    }
}
