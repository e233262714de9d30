//! Losses that learn from targets: what one branch, trained, makes of a view is compared with what another branch, which has
//! no gradient, makes of other views. The other branch is a momentum encoder with a slow copy of the projector, or the trained
//! one itself with its gradient stopped. What is left to write is the objective.

use crate::{
    Buffer, Device, Error, Facts, Features, Loss, LossDescription, LossInput, Module, Momentum, NamedTensor,
    Representation, Result, Source, Tags, Tensor, Terms,
    nn::{Mlp, MlpPlan},
    no_grad,
    representation::two_views,
    without_autocast,
};
use serde::de::DeserializeOwned;
use std::ops::Range;

/// An objective on projections and targets, written on its config; [`Targeted`] makes the component.
pub trait OnTargets: DeserializeOwned + Clone + Send + 'static {
    /// The loss's name, for messages.
    const NAME: &'static str;

    /// What the loss keeps besides its projector and its predictor: prototypes, a queue; `()` for nothing.
    type Heads: Module + Send + 'static;

    /// The projector, for a representation of so many channels.
    fn projector(&self, channels: i64) -> MlpPlan;

    /// The predictor behind the trained branch's projector, for projections of `dim` numbers. None, if nothing else is said:
    /// predictions are the projections.
    fn predictor(&self, _dim: i64) -> Option<MlpPlan> {
        None
    }

    /// What the optimizer must know of the predictor's tensors.
    fn predictor_tags(&self) -> Tags {
        Tags::default()
    }

    /// How the momentum encoder and the projector's slow copy follow. None, if nothing else is said: targets are projections
    /// of the trained branch with their gradient stopped.
    fn momentum(&self) -> Option<Momentum> {
        None
    }

    /// Which views go through which branch: both of two through both, if nothing else is said.
    ///
    /// # Errors
    /// Views that the loss can't compare, in words.
    fn sides(&self, input: &LossInput) -> Result<Sides> {
        two_views(Self::NAME, input)?;
        Ok(Sides { online: vec![0, 1], targets: vec![0, 1] })
    }

    /// What the loss offers and needs beyond its projector and its predictor, for projections of `dim` numbers: names of terms, row ranges, the
    /// number of trained numbers in its heads, and the smallest batch, which is 2 if nothing else is said.
    fn offers(&self, dim: i64) -> LossDescription;

    /// Fresh heads, for projections of `dim` numbers.
    fn heads(&self, dim: i64, device: Device) -> Self::Heads;

    /// The loss of some source rows; autocast is off, so that nothing is rounded below f32. Views are in the order of
    /// [`OnTargets::sides`].
    ///
    /// # Errors
    /// What the author finds wrong.
    fn loss(
        &self,
        heads: &Self::Heads,
        online: &[Online],
        targets: &[Target],
        facts: &Facts,
        rows: Range<i64>,
    ) -> Result<Terms>;

    /// Before a step's forward pass.
    fn before_step(&self, _heads: &mut Self::Heads) {}

    /// After a step's update, before the projector's slow copy moves: `targets` gives those of the step once more. Without a
    /// momentum encoder there are none, since the branch that made them has moved on.
    ///
    /// # Errors
    /// Those of `targets`.
    fn after_update(
        &self,
        _heads: &mut Self::Heads,
        _targets: impl FnOnce() -> Result<Vec<Target>>,
        _facts: &Facts,
    ) -> Result<()> {
        Ok(())
    }
}

/// Which views go through which branch, in the order in which the objective gets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sides {
    /// Through the trained branch.
    pub online: Vec<usize>,
    /// Through the other; without a momentum encoder, views that are in `online` as well.
    pub targets: Vec<usize>,
}

impl Sides {
    /// Multi-crop: targets are the views in the group of view 0, the large ones, and every view is compared with them.
    ///
    /// # Errors
    /// Less than two views, in words.
    pub fn multi_crop(loss: &str, input: &LossInput) -> Result<Self> {
        let views = input.views.len();
        if views < 2 {
            return Err(Error::config(format!(
                "loss `{loss}` compares at least 2 views, the augmentation makes {views}"
            ))
            .hint("choose another `augmentation.name` or `augmentation.config`"));
        }
        let large = |view: &usize| input.views[*view].group == input.views[0].group;
        Ok(Self { online: (0..views).collect(), targets: (0..views).filter(large).collect() })
    }
}

/// A view through the trained branch.
#[derive(Clone, Debug)]
pub struct Online {
    /// The view, by position.
    pub view: usize,
    /// The projection, B × D, at least f32.
    pub projection: Tensor,
    /// What the predictor makes of it, B × D, at least f32.
    pub prediction: Tensor,
}

/// A view through the branch without gradient.
#[derive(Clone, Debug)]
pub struct Target {
    /// The view, by position.
    pub view: usize,
    /// The projection, B × D, at least f32.
    pub projection: Tensor,
}

/// The component of an objective on targets.
pub struct Targeted<L: OnTargets> {
    objective: L,
    sides: Sides,
    representation: Representation,
    projector: Mlp,
    slow: Option<(Mlp<Buffer>, Momentum)>,
    predictor: Option<Mlp>,
    heads: L::Heads,
}

impl<L: OnTargets> Loss for Targeted<L> {
    type Config = L;

    fn describe(config: &L, input: &LossInput) -> Result<LossDescription> {
        let sides = config.sides(input)?;
        let representation = Representation::new(input)?;
        let projector = config.projector(representation.channels());
        let momentum = config.momentum();
        let slow_views = if momentum.is_some() { &sides.targets[..] } else { &[] };
        let through = |views: &[usize], source| views.iter().map(|&view| representation.need(view, source)).collect();
        let predictor_count = config.predictor(projector.output).map_or(0, |plan| plan.parameter_count());
        let offered = config.offers(projector.output);
        let needs: [Vec<_>; 2] =
            [through(&sides.online, Source::Encoder), through(slow_views, Source::MomentumEncoder)];
        Ok(LossDescription {
            needs: needs.concat(),
            momentum,
            parameter_count: projector.parameter_count() + predictor_count + offered.parameter_count,
            min_batch_size: if offered.min_batch_size == 0 { 2 } else { offered.min_batch_size },
            ..offered
        })
    }

    fn create(config: &L, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        let representation = Representation::new(input)?;
        let plan = config.projector(representation.channels());
        let projector = Mlp::new(&plan, device);
        Ok(Self {
            objective: config.clone(),
            sides: config.sides(input)?,
            representation,
            slow: config.momentum().map(|momentum| (projector.slow_copy(), momentum)),
            projector,
            predictor: config.predictor(plan.output).map(|plan| Mlp::new(&plan, device)),
            heads: config.heads(plan.output, device),
        })
    }

    fn forward(&self, features: &Features, facts: &Facts, rows: Range<i64>) -> Result<Terms> {
        let mut online = Vec::new();
        for &view in &self.sides.online {
            let projection = self.projector.forward(&self.representation.of(features, view)?);
            let prediction =
                self.predictor.as_ref().map_or_else(|| projection.clone(), |head| head.forward(&projection));
            online.push(Online { view, projection, prediction });
        }
        let targets = match &self.slow {
            Some((slow, _)) => slow_targets(slow, &self.representation, &self.sides, features)?,
            None => stopped_targets(&online, &self.sides),
        };
        without_autocast(|| self.objective.loss(&self.heads, &online, &targets, facts, rows))
    }

    fn before_step(&mut self, _: &Facts) -> Result<()> {
        self.objective.before_step(&mut self.heads);
        Ok(())
    }

    fn after_update(&mut self, features: &Features, facts: &Facts) -> Result<()> {
        let Some((slow, momentum)) = &self.slow else {
            return self.objective.after_update(&mut self.heads, || Ok(Vec::new()), facts);
        };
        let targets = || slow_targets(slow, &self.representation, &self.sides, features);
        self.objective.after_update(&mut self.heads, targets, facts)?;
        momentum.follow_all(&slow.tensors(), &self.projector.tensors(), facts);
        Ok(())
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        let mut list = self.projector.tensors_below("projector");
        list.extend(self.slow.iter().flat_map(|(slow, _)| slow.tensors_below("momentum_projector")));
        let tags = self.objective.predictor_tags();
        let predictor = self.predictor.iter().flat_map(|predictor| predictor.tensors_below("predictor"));
        list.extend(predictor.map(|named| NamedTensor { tags: tags.clone(), ..named }));
        list.extend(self.heads.tensors_below(""));
        list
    }
}

/// The projections of the momentum branch.
#[track_caller]
fn slow_targets(
    slow: &Mlp<Buffer>,
    representation: &Representation,
    sides: &Sides,
    features: &Features,
) -> Result<Vec<Target>> {
    let target = |&view: &usize| {
        let vectors_bc = representation.momentum_of(features, view)?;
        Ok(Target { view, projection: no_grad(|| slow.forward(&vectors_bc)) })
    };
    sides.targets.iter().map(target).collect()
}

/// The projections of the trained branch, with their gradient stopped.
fn stopped_targets(online: &[Online], sides: &Sides) -> Vec<Target> {
    let seen = online.iter().filter(|seen| sides.targets.contains(&seen.view));
    seen.map(|seen| Target { view: seen.view, projection: seen.projection.detach() }).collect()
}
