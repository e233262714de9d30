//! Two views through one projector: the beginning of every loss that compares projections.

use crate::{
    mlp::{Mlp, MlpPlan},
    representation::{Representation, two_views},
};
use infomax_sdk::{Features, LossDescription, LossInput, NamedTensor, Result, Source};
use tch::{Device, Tensor};

/// The representation of views 0 and 1 and their projector.
pub struct Projection {
    representation: Representation,
    projector: Mlp,
}

impl Projection {
    /// What a loss on two projections needs.
    ///
    /// # Errors
    /// Other than two views.
    pub fn describe(loss: &str, input: &LossInput, plan: impl Fn(i64) -> MlpPlan) -> Result<LossDescription> {
        two_views(loss, input)?;
        let representation = Representation::new(input)?;
        Ok(LossDescription {
            needs: [0, 1].map(|view| representation.need(view, Source::Encoder)).to_vec(),
            parameter_count: plan(representation.channels()).parameter_count(),
            min_batch_size: 2,
            ..LossDescription::default()
        })
    }

    /// A fresh projector; `plan` gets the number of the representation's channels.
    pub fn new(input: &LossInput, plan: impl Fn(i64) -> MlpPlan, device: Device) -> Result<Self> {
        let representation = Representation::new(input)?;
        let projector = Mlp::new(&plan(representation.channels()), device)?;
        Ok(Self { representation, projector })
    }

    /// # Shapes
    /// Out, B × D for each of the two views, at least f32.
    pub fn of(&self, features: &Features) -> Result<[Tensor; 2]> {
        let of = |view| self.projector.forward(&self.representation.of(features, view)?);
        Ok([of(0)?, of(1)?])
    }

    /// `projector.…`.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        self.projector.parameters("projector")
    }
}
