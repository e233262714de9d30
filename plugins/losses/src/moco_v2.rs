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

use crate::{config::MocoV2, momentum_mlp::MomentumProjector, queue::Queue, similarity::PARTNER_COSINE};
use infomax_sdk::{
    Device, Facts, Features, Loss, LossDescription, LossInput, Module, Momentum, NamedTensor, Representation, Result,
    Source, Tensor, Terms,
    nn::{MlpPlan, as_wide},
    no_grad,
    projected::terms,
    representation::two_views,
    without_autocast,
};
use std::ops::Range;

/// MoCo v2's loss.
pub struct MocoV2Loss {
    temperature: f64,
    directions: &'static [Direction],
    representation: Representation,
    projector: MomentumProjector,
    /// One for each direction, of the keys that answer in it.
    queue: Queue,
}

/// Which view asks and which answers.
struct Direction {
    query: usize,
    key: usize,
}

const DIRECTIONS: [Direction; 2] = [Direction { query: 0, key: 1 }, Direction { query: 1, key: 0 }];

impl MocoV2 {
    fn directions(&self) -> &'static [Direction] {
        if self.symmetric { &DIRECTIONS } else { &DIRECTIONS[..1] }
    }

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
            .hidden_norm(self.projector_norm)
    }

    fn momentum(&self) -> Momentum {
        Momentum { start: self.momentum_start, end: self.momentum_end }
    }
}

impl Loss for MocoV2Loss {
    type Config = MocoV2;

    fn describe(config: &MocoV2, input: &LossInput) -> Result<LossDescription> {
        two_views("moco-v2", input)?;
        let representation = Representation::new(input)?;
        let directions = config.directions();
        let queries = directions.iter().map(|d| representation.need(d.query, Source::Encoder));
        let keys = directions.iter().map(|d| representation.need(d.key, Source::MomentumEncoder));
        Ok(LossDescription {
            needs: queries.chain(keys).collect(),
            momentum: Some(config.momentum()),
            row_ranges: true,
            parameter_count: config.projector(representation.channels()).parameter_count(),
            min_batch_size: if config.projector_norm { 2 } else { 1 },
            ..terms([PARTNER_COSINE])
        })
    }

    fn create(config: &MocoV2, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        let representation = Representation::new(input)?;
        let plan = config.projector(representation.channels());
        let directions = config.directions();
        Ok(Self {
            temperature: config.temperature,
            directions,
            projector: MomentumProjector::new(&plan, config.momentum(), device),
            queue: Queue::new(directions.len() as i64, i64::from(config.queue_size), plan.output, device),
            representation,
        })
    }

    fn forward(&self, features: &Features, _: &Facts, rows: Range<i64>) -> Result<Terms> {
        let (mut losses, mut cosines) = (Vec::new(), Vec::new());
        for (direction, keys_kd) in self.directions.iter().zip(self.queue.keys()) {
            let query_bd = self.projector.forward(&self.representation.of(features, direction.query)?);
            let key_bd = self.key(features, direction)?;
            without_autocast(|| {
                let share = 1.0 / (query_bd.size_of(0) * self.directions.len() as i64) as f64;
                let of_rows = |x_bd: &Tensor| x_bd.narrow(0, rows.start, rows.end - rows.start);
                let (query_rd, key_rd) = (of_rows(&query_bd).normalize(-1), of_rows(&key_bd));
                let cosine_r1 = (&query_rd * &key_rd).sum_dim(1, true);
                let negative_rk = query_rd.mm(&as_wide(&keys_kd, &query_rd).t());
                let scores = Tensor::cat(&[&cosine_r1, &negative_rk], 1) / self.temperature;
                let losses_r = scores.logsumexp(1, false) - scores.select(1, 0);
                losses.push(losses_r.sum() * share);
                cosines.push(cosine_r1.detach().sum() * share);
            });
        }
        let sum = |list: &[Tensor]| Tensor::stack(list, 0).sum();
        Ok(Terms::new(sum(&losses)).with(PARTNER_COSINE, sum(&cosines)))
    }

    fn after_update(&mut self, features: &Features, facts: &Facts) -> Result<()> {
        let keys: Vec<Tensor> = self.directions.iter().map(|d| self.key(features, d)).collect::<Result<_>>()?;
        self.queue.push(&Tensor::stack(&keys, 0));
        self.projector.average(facts);
        Ok(())
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.projector.tensors_below("").into_iter().chain(self.queue.tensors_below("")).collect()
    }
}

impl MocoV2Loss {
    /// The keys that answer in a direction, B × D, normalised, without gradient.
    fn key(&self, features: &Features, direction: &Direction) -> Result<Tensor> {
        let slow_bd = self.projector.slow_forward(&self.representation.momentum_of(features, direction.key)?);
        Ok(no_grad(|| slow_bd.normalize(-1)))
    }
}
