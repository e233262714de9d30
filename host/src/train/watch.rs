//! What a run under way is watched for: values that are not finite, a representation that collapses, ranks that hold others up
//! or go another way.

use super::engine::Run;
use crate::{
    checkpoint::write_tensors,
    dataset::Views,
    distributed::check_parameters,
    error::{Error, Fault, Result},
};
use std::{collections::HashMap, fs, time::Duration};
use tch::Tensor;

/// Below this `feature_std` images hardly differ in their representation; a spread one has 1, an untrained ResNet 0.3.
const COLLAPSED: f64 = 0.05;

impl Run<'_> {
    /// Looks for a rank that holds the others up, or whose parameters have gone another way.
    pub(super) fn compare_ranks(&mut self) -> Result<()> {
        if self.state.step.is_multiple_of(self.experiment.train.log_every_steps) {
            let steps = self.experiment.train.log_every_steps as f64;
            let own = std::mem::take(&mut self.alone).as_secs_f64() * 1000.0 / steps;
            let found = straggler(&self.group.gather_numbers(own)?);
            let same = |rank| self.straggler.is_some_and(|(before, _)| before == rank);
            let was_said = self.straggler.is_some_and(|(_, said)| said);
            self.straggler = found.map(|(rank, ..)| (rank, same(rank)));
            // Once may be chance; twice is a straggler, and is said once.
            if let Some((rank, most, middle)) =
                found.filter(|_| self.straggler.is_some_and(|(_, said)| said) && !was_said)
            {
                let step = self.state.step;
                self.note(&format!(
                    "step {step}: rank {rank} holds the others up: {most:.0} ms a step before it needs them, {middle:.0} ms elsewhere"
                ));
            }
        }
        let every = self.experiment.distributed.check_every_steps;
        if every > 0 && self.state.step.is_multiple_of(every) {
            check_parameters(&self.group, &self.model.parameters()?, self.state.step)?;
        }
        Ok(())
    }

    /// Tells memory that grows with every step, and a loss that takes most of a step.
    pub(super) fn look_after(&mut self, took: Duration) {
        let step = self.state.step;
        if let Some(text) = self.health.memory(self.model.device) {
            let components = format!("encoder `{}` or {}", self.model.encoder.name(), self.model.objective());
            log::warn!("step {step}: {text}, one of {components}, the dataset or the augmentation");
        }
        if let Some(text) = self.health.slow(took, &self.model.objective()) {
            self.note(&format!("step {step}: {text}"));
        }
    }

    /// Keeps the batch of a step that updated nothing, and ends the run where too many follow one another. The batch is made
    /// again: on a GPU this is heard of when it is long gone.
    pub(super) fn skip(&mut self, step: u64, name: &str) -> Result<()> {
        self.state.skipped += 1;
        self.state.skipped_in_a_row += 1;
        let place = format!("step {step}, {}", self.model.objective());
        let limit = self.experiment.train.max_skipped_steps_in_a_row;
        let first = (step + 1).saturating_sub(self.state.skipped_in_a_row);
        let captured = self.run.map(|run| run.join(format!("nonfinite-step-{first}.safetensors")));
        if let Some(captured) = captured.as_ref().filter(|_| self.state.skipped_in_a_row == 1) {
            let batch = self.data.batch(self.experiment, &self.order, step)?;
            let mut tensors = vec![("labels".to_owned(), Tensor::from_slice(&batch.labels))];
            tensors.push(("indices".to_owned(), Tensor::from_slice(&batch.indices)));
            let views: Vec<Tensor> = match &batch.views {
                Views::Bytes(views) => views.iter().map(|view| Tensor::from_slice(view)).collect(),
                Views::Drawn(drawn) => {
                    let views = drawn.views(&batch.indices)?;
                    views.iter().map(|view| view.to_device(tch::Device::Cpu).reshape([-1])).collect()
                }
            };
            tensors.extend(views.into_iter().enumerate().map(|(i, view)| (format!("view.{i}"), view)));
            if let Ok(bytes) = write_tensors(&tensors, HashMap::new()) {
                fs::write(captured, bytes).map_err(Error::io("write", captured))?;
            }
        }
        self.note(&format!("`{name}` is not finite at {place}: nothing was updated"));
        if self.state.skipped_in_a_row > limit {
            let message = format!("`{name}` was not finite in {} steps in a row", self.state.skipped_in_a_row);
            let scale_is_low = self.model.scaler.is_some() && name == "gradient_norm";
            let what = if scale_is_low { "the loss scale is at `train.loss_scale.floor`: " } else { "" };
            let other = if scale_is_low { ", or use `bf16`" } else { "" };
            let batch = captured.map(|file| format!("; the first such batch is in {}", file.display()));
            let hint = format!("{what}lower `optimizer.lr`{other}{}", batch.unwrap_or_default());
            return Err(Error::Diverged { fault: Fault::new(message).at(place).hint(hint) });
        }
        Ok(())
    }

    /// Warns of a representation that uses hardly any of its space, or ends the run.
    pub(super) fn look_for_collapse(&mut self) -> Result<()> {
        let result = |name: &str| self.state.results.iter().find(|(n, _)| n == name).map(|&(_, value)| value);
        let Some(std) = result("feature_std").filter(|std| *std < COLLAPSED) else { return Ok(()) };
        let rank = result("rankme").unwrap_or(f64::NAN);
        let message = format!("the representation has collapsed: feature_std {std:.3}, rankme {rank:.1}");
        let step = self.state.step;
        if self.experiment.evaluation.stop_on_collapse {
            let hint =
                "images no longer differ in it: lower `optimizer.lr`, or look at what keeps the loss from a constant";
            return Err(Error::Diverged { fault: Fault::new(message).at(format!("step {step}")).hint(hint) });
        }
        log::warn!("step {step}: {message}");
        Ok(())
    }
}

/// The rank that takes by itself much longer than the middle one, its time in ms and the middle's.
fn straggler(milliseconds: &[f64]) -> Option<(usize, f64, f64)> {
    const FACTOR: f64 = 2.0;
    const LEAST: f64 = 5.0; // below, nobody would care
    let mut sorted = milliseconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = *sorted.get((sorted.len().max(1) - 1) / 2)?;
    let (rank, most) = milliseconds.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let holds_up = milliseconds.len() > 1 && *most > FACTOR * middle && *most - middle > LEAST;
    holds_up.then_some((rank, *most, middle))
}
