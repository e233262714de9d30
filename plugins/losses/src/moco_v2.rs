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

use crate::{
    config::MocoV2,
    mlp::{MlpPlan, as_wide},
    momentum_mlp::MomentumProjector,
    precision::{in_f32, normalised},
    queue::Queue,
    representation::{Representation, two_views},
    similarity::PARTNER_COSINE,
};
use infomax_sdk::{
    Facts, Features, Loss, LossDescription, LossInput, Momentum, NamedTensor, Need, Result, Source, Terms,
};
use std::ops::Range;
use tch::{Device, Tensor};

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

fn directions(config: &MocoV2) -> &'static [Direction] {
    if config.symmetric { &DIRECTIONS } else { &DIRECTIONS[..1] }
}

fn projector(config: &MocoV2, channels: i64) -> MlpPlan {
    MlpPlan {
        hidden_norm: config.projector_norm,
        ..MlpPlan::new(channels, config.projector_hidden, config.projector_dim, config.projector_layers)
    }
}

fn momentum(config: &MocoV2) -> Momentum {
    Momentum { start: config.momentum_start, end: config.momentum_end }
}

impl Loss for MocoV2Loss {
    type Config = MocoV2;

    fn describe(config: &MocoV2, input: &LossInput) -> Result<LossDescription> {
        two_views("moco-v2", input)?;
        let representation = Representation::new(input)?;
        let queries = directions(config).iter().map(|d| representation.need(d.query, Source::Encoder));
        let keys = directions(config).iter().map(|d| representation.need(d.key, Source::MomentumEncoder));
        let needs: Vec<Need> = queries.chain(keys).collect();
        Ok(LossDescription {
            needs,
            momentum: Some(momentum(config)),
            terms: vec![PARTNER_COSINE.to_owned()],
            row_ranges: true,
            parameter_count: projector(config, representation.channels()).parameter_count(),
            min_batch_size: if config.projector_norm { 2 } else { 1 },
            ..LossDescription::default()
        })
    }

    fn create(config: &MocoV2, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        let representation = Representation::new(input)?;
        let plan = projector(config, representation.channels());
        let directions = directions(config);
        Ok(Self {
            temperature: config.temperature,
            directions,
            projector: MomentumProjector::new(&plan, momentum(config), device)?,
            queue: Queue::new(directions.len() as i64, i64::from(config.queue_size), plan.output, device)?,
            representation,
        })
    }

    fn forward(&self, features: &Features, _: &Facts, rows: Range<i64>) -> Result<Terms> {
        let (mut losses, mut cosines) = (Vec::new(), Vec::new());
        for (direction, keys_kd) in self.directions.iter().zip(self.queue.keys()?) {
            let query_bd = self.projector.forward(&self.representation.of(features, direction.query)?)?;
            let key_bd = self.key(features, direction)?;
            in_f32(|| {
                let share = 1.0 / (query_bd.size()[0] * self.directions.len() as i64) as f64;
                let of_rows = |x_bd: &Tensor| x_bd.f_narrow(0, rows.start, rows.end - rows.start);
                let (query_rd, key_rd) = (normalised(&of_rows(&query_bd)?)?, of_rows(&key_bd)?);
                let cosine_r1 = query_rd.f_mul(&key_rd)?.f_sum_dim_intlist(&[1i64][..], true, None)?;
                let negative_rk = query_rd.f_mm(&as_wide(&keys_kd, &query_rd)?.f_transpose(0, 1)?)?;
                let scores = Tensor::f_cat(&[&cosine_r1, &negative_rk], 1)?.f_divide_scalar(self.temperature)?;
                let losses_r = scores.f_logsumexp(&[1i64][..], false)?.f_sub(&scores.f_select(1, 0)?)?;
                losses.push(losses_r.f_sum(None)?.f_multiply_scalar(share)?);
                cosines.push(cosine_r1.f_detach()?.f_sum(None)?.f_multiply_scalar(share)?);
                Ok(())
            })?;
        }
        let sum = |list: &[Tensor]| Tensor::f_stack(list, 0)?.f_sum(None);
        Ok(Terms { total: sum(&losses)?, terms: vec![(PARTNER_COSINE.to_owned(), sum(&cosines)?)] })
    }

    fn after_update(&mut self, features: &Features, facts: &Facts) -> Result<()> {
        let keys: Vec<Tensor> = self.directions.iter().map(|d| self.key(features, d)).collect::<Result<_>>()?;
        self.queue.push(&Tensor::f_stack(&keys, 0)?)?;
        self.projector.average(facts)
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        let mut list = self.projector.tensors();
        list.extend(self.queue.tensors());
        list
    }
}

impl MocoV2Loss {
    /// The keys that answer in a direction, B × D, normalised, without gradient.
    fn key(&self, features: &Features, direction: &Direction) -> Result<Tensor> {
        let slow_bd = self.projector.slow_forward(&self.representation.momentum_of(features, direction.key)?)?;
        tch::no_grad(|| normalised(&slow_bd))
    }
}
