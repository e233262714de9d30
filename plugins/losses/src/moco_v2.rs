//! `moco-v2`: a view must pick out the momentum encoder's key of its image among the keys of earlier updates.
//!
//! ℓ(q) = −log( exp(q·k / T) / (exp(q·k / T) + Σ_i exp(q·k_i / T)) ), q and k normalised projections of the two views, k
//! by the momentum encoder, k_i the queue; the mean is over the batch, and over both directions where symmetric.
//! After an update the step's keys replace the oldest of the queue, then the slow projector is averaged: the keys of a
//! step are those that its loss saw.
//!
//! # Source
//! He et al. 2020, arXiv:1911.05722, equation 1 and algorithm 1; Chen, Fan, Girshick, He 2020, arXiv:2003.04297 (the
//! projector); both directions as in solo-learn's recipe.
//!
//! # Shapes
//! B images · R images of a range · D numbers of the projection · K keys of a queue · V queues.

use crate::{config::MocoV2, queue::Queue, similarity::PARTNER_COSINE};
use infomax_sdk::{
    Device, Facts, LossDescription, LossInput, Momentum, Result, Tensor, Terms,
    nn::{MlpPlan, as_wide},
    no_grad,
    representation::two_views,
    targets::{OnTargets, Online, Sides, Target},
};
use std::ops::Range;

impl OnTargets for MocoV2 {
    const NAME: &'static str = "moco-v2";
    /// One for each direction, of the keys that answer in it.
    type Heads = Queue;

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
            .hidden_norm(self.projector_norm)
    }

    fn momentum(&self) -> Option<Momentum> {
        Some(Momentum { start: self.momentum_start, end: self.momentum_end })
    }

    /// View 0 asks and view 1 answers, and the other way round.
    fn sides(&self, input: &LossInput) -> Result<Sides> {
        two_views(Self::NAME, input)?;
        let directions = self.directions();
        Ok(Sides { online: [0, 1][..directions].to_vec(), targets: [1, 0][..directions].to_vec() })
    }

    fn offers(&self, _: i64) -> LossDescription {
        let min_batch_size = if self.projector_norm { 2 } else { 1 };
        LossDescription { row_ranges: true, min_batch_size, ..LossDescription::of_terms([PARTNER_COSINE]) }
    }

    fn heads(&self, dim: i64, device: Device) -> Queue {
        Queue::new(self.directions() as i64, i64::from(self.queue_size), dim, device)
    }

    fn loss(&self, queue: &Queue, views: &[Online], keys: &[Target], _: &Facts, rows: Range<i64>) -> Result<Terms> {
        let (mut losses, mut cosines) = (Vec::new(), Vec::new());
        for ((query, key), keys_kd) in views.iter().zip(keys).zip(queue.keys()) {
            let share = 1.0 / (query.projection.size_of(0) * keys.len() as i64) as f64;
            let [query_rd, key_rd] = [&query.projection, &key.projection]
                .map(|x_bd| x_bd.normalize(-1).narrow(0, rows.start, rows.end - rows.start));
            let cosine_r1 = (&query_rd * &key_rd).sum_dim(1, true);
            let negative_rk = query_rd.mm(&as_wide(&keys_kd, &query_rd).t());
            let scores = Tensor::cat(&[&cosine_r1, &negative_rk], 1) / self.temperature;
            let losses_r = scores.logsumexp(1, false) - scores.select(1, 0);
            losses.push(losses_r.sum() * share);
            cosines.push(cosine_r1.detach().sum() * share);
        }
        let sum = |list: &[Tensor]| Tensor::stack(list, 0).sum();
        Ok(Terms::new(sum(&losses)).with(PARTNER_COSINE, sum(&cosines)))
    }

    fn after_update(&self, queue: &mut Queue, keys: impl FnOnce() -> Result<Vec<Target>>, _: &Facts) -> Result<()> {
        let keys: Vec<Tensor> = keys()?.iter().map(|key| no_grad(|| key.projection.normalize(-1))).collect();
        queue.push(&Tensor::stack(&keys, 0));
        Ok(())
    }
}

impl MocoV2 {
    fn directions(&self) -> usize {
        if self.symmetric { 2 } else { 1 }
    }
}
