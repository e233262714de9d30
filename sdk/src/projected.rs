//! Losses that compare the projections of two views, which is most of them: the representation of each view goes through
//! one projector; what is left to write is the objective.

use crate::{
    Device, Facts, Features, Loss, LossDescription, LossInput, Module, NamedTensor, Representation, Result, Tensor,
    Terms,
    nn::{Mlp, MlpPlan},
    representation::two_views,
    without_autocast,
};
use serde::de::DeserializeOwned;
use std::ops::Range;

/// An objective on the projections of two views, written on its config; [`Projected`] makes the component.
pub trait OnProjections: DeserializeOwned + Clone + Send + 'static {
    /// The loss's name, for messages.
    const NAME: &'static str;

    /// The projector, for a representation of so many channels.
    fn projector(&self, channels: i64) -> MlpPlan;

    /// What the loss offers and needs beyond two representations: names of terms, row ranges, labels, and the smallest batch,
    /// which is 2 if nothing else is said.
    fn offers(&self) -> LossDescription;

    /// Refuses settings that don't fit projections of `dim` numbers.
    ///
    /// # Errors
    /// What does not fit and what to set, in words.
    fn check(&self, _dim: i64) -> Result<()> {
        Ok(())
    }

    /// The loss of some source rows; autocast is off, so that nothing is rounded below f32.
    ///
    /// # Shapes
    /// Projections B × D, at least f32.
    ///
    /// # Errors
    /// What the author finds wrong.
    fn loss(&self, projections_bd: [&Tensor; 2], facts: &Facts, rows: Range<i64>) -> Result<Terms>;
}

/// The component of an objective on projections.
pub struct Projected<L> {
    objective: L,
    projection: Projection,
}

impl<L: OnProjections> Loss for Projected<L> {
    type Config = L;

    fn describe(config: &L, input: &LossInput) -> Result<LossDescription> {
        two_views(L::NAME, input)?;
        let representation = Representation::new(input)?;
        let projector = config.projector(representation.channels());
        config.check(projector.output)?;
        let offered = config.offers();
        Ok(LossDescription {
            needs: representation.needs(2),
            parameter_count: projector.parameter_count(),
            min_batch_size: if offered.min_batch_size == 0 { 2 } else { offered.min_batch_size },
            ..offered
        })
    }

    fn create(config: &L, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        let projection = Projection::new(input, |channels| config.projector(channels), device)?;
        Ok(Self { objective: config.clone(), projection })
    }

    fn forward(&self, features: &Features, facts: &Facts, rows: Range<i64>) -> Result<Terms> {
        let [one_bd, two_bd] = self.projection.of(features)?;
        without_autocast(|| self.objective.loss([&one_bd, &two_bd], facts, rows))
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.projection.tensors_below("")
    }
}

/// The representation of two views and their projector.
pub struct Projection {
    representation: Representation,
    /// The projector.
    pub projector: Mlp,
}

crate::named!(Projection { projector });

impl Projection {
    /// A fresh projector; `plan` gets the number of the representation's channels.
    ///
    /// # Errors
    /// An input whose representation is none of its maps.
    #[track_caller]
    pub fn new(input: &LossInput, plan: impl Fn(i64) -> MlpPlan, device: Device) -> Result<Self> {
        let representation = Representation::new(input)?;
        let projector = Mlp::new(&plan(representation.channels()), device);
        Ok(Self { representation, projector })
    }

    /// # Shapes
    /// Out, B × D for each of the two views, at least f32.
    ///
    /// # Errors
    /// Views that the loss did not ask for.
    #[track_caller]
    pub fn of(&self, features: &Features) -> Result<[Tensor; 2]> {
        let views = [self.representation.of(features, 0)?, self.representation.of(features, 1)?];
        Ok([self.projector.forward(&views[0]), self.projector.forward(&views[1])])
    }
}
