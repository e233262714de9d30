//! What a step's values allow. An update by a value that is not finite is never made: on a GPU the device itself withholds it,
//! and the host learns of it when it next reads values, many steps at once; on a CPU, where nothing is waited for, at once.

use super::{exchange::shared_values, model::Model};
use crate::{
    distributed::Group,
    error::{Error, Result},
    optimizer::Optimizer,
};
use tch::{Device, Kind, TchError, Tensor};

/// A step's values where they were computed, f64: the named ones, then whether a gradient overflowed (under a loss scale), then
/// how many ranks found something that is not finite (where there are several).
pub struct Gate {
    names: Vec<String>,
    values: Tensor,
    /// The least loss scale, under one: the last named value is the scale that was used.
    floor: Option<f64>,
    several: bool,
    /// f32: 1 where the update must not be made.
    withheld: Tensor,
    /// On a CPU, where reading costs nothing.
    read: Option<Reading>,
}

/// A step's values, as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// `loss`, `loss/<term>`, `loss/linear`, `loss/mlp`, `gradient_norm`, `loss_scale` under f16.
    pub values: Vec<(String, f64)>,
    /// The value that was not finite, so that nothing was updated.
    pub skipped: Option<String>,
    /// Whether a gradient overflowed at a loss scale that can still fall: the next step's is smaller.
    pub overflowed: bool,
}

impl Gate {
    /// Looks at a step's named scalars, the loss first, of which the first `shares` are each rank's share of a sum, and at the
    /// gradients, which are unscaled; moves the loss scale.
    ///
    /// # Errors
    /// A lost peer, or libtorch's message.
    pub(super) fn new(
        group: &Group,
        model: &mut Model,
        scale: Option<&Tensor>,
        named: &[(String, Tensor)],
        shares: usize,
    ) -> Result<Self> {
        let torch = || Error::torch("look at the step's values");
        let scalars: Vec<Tensor> = named.iter().map(|(_, scalar)| scalar.shallow_clone()).collect();
        let mut names: Vec<String> = named.iter().map(|(name, _)| name.clone()).collect();
        let terms = shared_values(group, &scalars, shares)?;
        let several = group.size() > 1;
        // A sum with zeros is zero, unless something is not finite.
        let spoilt = |row: &Tensor| tch::no_grad(|| row.f_multiply_scalar(0.0)?.f_sum(Kind::Double)?.f_ne(0.0));
        let mut row = vec![if several {
            terms.f_narrow(0, 0, names.len() as i64).map_err(torch())?
        } else {
            terms.shallow_clone()
        }];
        let overflowed = match (&mut model.scaler, scale) {
            (Some(scaler), Some(scale)) => {
                let overflowed = scaler.unscale(&model.optimizer, scale)?;
                let counts = spoilt(&row[0]).and_then(|spoilt| spoilt.f_logical_not()).map_err(torch())?;
                scaler.update(&overflowed, &counts)?;
                Some(overflowed)
            }
            _ => None,
        };
        let trains = |optimizer: &&Optimizer| !optimizer.trained().is_empty();
        let norm = model.optimizers().find(trains).map_or(Ok(None), Optimizer::gradient_norm)?;
        let finish = || -> Result<(Tensor, Tensor), TchError> {
            let single = |tensor: &Tensor| tensor.f_to_kind(Kind::Double)?.f_view([1]);
            row.push(match &norm {
                Some(norm) => single(norm)?,
                None => Tensor::f_zeros([1], (Kind::Double, terms.device()))?,
            });
            names.push("gradient_norm".to_owned());
            if let (Some(overflowed), Some(scale)) = (&overflowed, scale) {
                row.extend([single(scale)?, single(overflowed)?]);
                names.push("loss_scale".to_owned());
            }
            if several {
                row.push(terms.f_narrow(0, -1, 1)?);
            }
            let values = Tensor::f_cat(&row, 0)?;
            let mut withheld = spoilt(&values)?;
            if several {
                withheld = withheld.f_logical_or(&terms.f_select(0, -1)?.f_ne(0.0)?)?;
            }
            Ok((values, withheld.f_to_kind(Kind::Float)?))
        };
        let (values, withheld) = tch::no_grad(finish).map_err(torch())?;
        let floor = overflowed.as_ref().and(model.scaler.as_ref()).map(|scaler| scaler.floor());
        let mut gate = Self { names, values, floor, several, withheld, read: None };
        if gate.values.device() == Device::Cpu {
            gate.read = Some(gate.read()?);
        }
        Ok(gate)
    }

    /// Whether the host knows already that nothing may be updated.
    pub(super) fn is_closed(&self) -> bool {
        self.read.as_ref().is_some_and(|reading| reading.skipped.is_some())
    }

    /// By which the device withholds what the host does not know yet.
    pub(super) fn withheld(&self) -> Option<&Tensor> {
        self.read.is_none().then_some(&self.withheld)
    }

    /// Reads the values. Waits for the device.
    ///
    /// # Errors
    /// libtorch's message.
    pub(super) fn read(&self) -> Result<Reading> {
        Ok(Self::read_all(&[self])?.pop().expect("one was asked for"))
    }

    /// Reads the values of several steps of one device in one copy. Waits for it.
    ///
    /// # Errors
    /// libtorch's message.
    pub(super) fn read_all(gates: &[&Self]) -> Result<Vec<Reading>> {
        if let Some(read) = gates.iter().map(|gate| gate.read.clone()).collect::<Option<Vec<_>>>() {
            return Ok(read);
        }
        let rows: Vec<Tensor> = gates.iter().map(|gate| gate.values.shallow_clone()).collect();
        let all = || Vec::<f64>::try_from(Tensor::f_cat(&rows, 0)?.f_to_device(Device::Cpu)?);
        let all = all().map_err(Error::torch("read the step's values"))?;
        let mut rest = &all[..];
        let mut next = |gate: &&Self| {
            let (own, others) = rest.split_at(gate.values.size()[0] as usize);
            rest = others;
            gate.reading(own)
        };
        Ok(gates.iter().map(&mut next).collect())
    }

    fn reading(&self, numbers: &[f64]) -> Reading {
        let values: Vec<(String, f64)> = self.names.iter().cloned().zip(numbers.iter().copied()).collect();
        let mut beyond = numbers[self.names.len()..].iter();
        let overflowed = self.floor.is_some() && beyond.next().is_some_and(|&flag| flag != 0.0);
        let failures = if self.several { beyond.next().copied().unwrap_or(0.0) } else { 0.0 };
        // Terms before the total, which they spoil.
        let last_total = values.iter().skip(1).chain(values.first());
        let mut skipped = last_total.filter(|(_, value)| !value.is_finite()).map(|(name, _)| name.clone()).next();
        if skipped.is_none() && failures != 0.0 {
            skipped = Some("loss on another rank".to_owned());
        }
        let could_fall = self.floor.is_some_and(|floor| values.last().is_some_and(|(_, scale)| *scale > floor));
        let is_gradient = |(name, _): &&(String, f64)| name != "gradient_norm" && name != "loss_scale";
        let terms_are_finite = values.iter().filter(is_gradient).all(|(_, value)| value.is_finite());
        Reading { overflowed: overflowed && terms_are_finite && could_fall, values, skipped }
    }
}
