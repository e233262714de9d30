//! The encoder's passes of a step. One, as a rule; several where a batch is larger than memory, each over as many of this
//! rank's rows: first all of them without a graph, so that the loss can see the whole batch, then each again with one
//! (gradient caching, Gao et al. 2021).
//!
//! Shapes: R rows of this rank · P rows of a pass.

use super::{graphs::seed, model::Model};
use crate::{
    distributed::BatchNormPolicy,
    error::{Error, Result},
    plugin::PluginError,
};
use infomax_sdk::{Key, Mode};
use std::collections::BTreeMap;
use tch::{TchError, Tensor};

/// Feature maps by view and position among the encoder's maps.
pub type Maps = BTreeMap<(usize, usize), Tensor>;

/// Whose key passes draw by.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    /// The step's.
    pub step: Key,
    /// What for, below it.
    pub purpose: &'static str,
}

/// How a rank's rows go through the encoder.
pub struct Passes {
    /// How many passes.
    pub count: usize,
    /// Of all ranks' passes, this rank's first one's number: what an encoder draws depends on it.
    pub first: usize,
    pub policy: BatchNormPolicy,
}

impl Passes {
    /// The rows of pass `pass` of a tensor of R.
    ///
    /// # Errors
    /// libtorch's.
    pub fn rows(&self, tensor: &Tensor, pass: usize) -> Result<Tensor, TchError> {
        let length = tensor.size()[0] / self.count as i64;
        if self.count == 1 { Ok(tensor.shallow_clone()) } else { tensor.f_narrow(0, pass as i64 * length, length) }
    }

    /// All maps of one pass over some views (P × 3 × H × W each), with a graph where gradients are tracked.
    ///
    /// # Errors
    /// What the plugin or libtorch says.
    pub fn one(
        &self,
        model: &mut Model,
        views: &[Tensor],
        pass: usize,
        mode: Mode,
        draws: Draws,
    ) -> Result<Vec<Vec<Tensor>>> {
        let views = self.views(views, pass)?;
        let forward = || model.encoder.forward(&views, mode);
        self.seeded(&views, pass, draws, forward)
    }

    /// The wanted maps of all passes, R rows each; with a graph where there is one pass.
    ///
    /// # Errors
    /// What the plugin or libtorch says.
    pub fn all(
        &self,
        model: &mut Model,
        views: &[Tensor],
        wanted: &[(usize, usize)],
        mode: Mode,
        draws: Draws,
    ) -> Result<Maps> {
        if self.count == 1 {
            let maps = self.one(model, views, 0, mode, draws)?;
            return Ok(wanted.iter().map(|&(view, map)| ((view, map), maps[view][map].shallow_clone())).collect());
        }
        let mut parts: BTreeMap<(usize, usize), Vec<Tensor>> = BTreeMap::new();
        for pass in 0..self.count {
            let maps = tch::no_grad(|| self.one(model, views, pass, mode, draws))?;
            for &(view, map) in wanted {
                parts.entry((view, map)).or_default().push(maps[view][map].shallow_clone());
            }
        }
        joined(parts)
    }

    /// The wanted maps through the momentum encoder, R rows each, without a graph; views of which none is wanted are left
    /// out.
    ///
    /// # Errors
    /// What the plugin or libtorch says.
    pub fn slow(&self, model: &mut Model, views: &[Tensor], wanted: &[(usize, usize)], draws: Draws) -> Result<Maps> {
        let Some(encoder) = &mut model.momentum_encoder else { return Ok(Maps::new()) };
        let mut chosen: Vec<usize> = wanted.iter().map(|&(view, _)| view).collect();
        chosen.sort_unstable();
        chosen.dedup();
        let views: Vec<Tensor> = chosen.iter().map(|&view| views[view].shallow_clone()).collect();
        let mut parts: BTreeMap<(usize, usize), Vec<Tensor>> = BTreeMap::new();
        for pass in 0..self.count {
            let of_pass = self.views(&views, pass)?;
            let maps = self.seeded(&of_pass, pass, draws, || encoder.forward(&of_pass))?;
            for &(view, map) in wanted {
                let at = chosen.binary_search(&view).expect("chosen above");
                parts.entry((view, map)).or_default().push(maps[at][map].shallow_clone());
            }
        }
        joined(parts)
    }

    fn views(&self, views: &[Tensor], pass: usize) -> Result<Vec<Tensor>> {
        let rows: Result<Vec<_>, _> = views.iter().map(|view| self.rows(view, pass)).collect();
        rows.map_err(Error::torch("cut a batch into passes"))
    }

    /// A pass draws the same numbers whenever it is made.
    fn seeded<T>(
        &self,
        views: &[Tensor],
        pass: usize,
        draws: Draws,
        forward: impl FnOnce() -> Result<T, PluginError>,
    ) -> Result<T> {
        seed(draws.step, draws.purpose, Some((self.first + pass) as u64))?;
        let rows = views.first().map_or(0, |view| view.size()[0] as usize);
        Ok(self.policy.during(rows, forward)?)
    }
}

fn joined(parts: BTreeMap<(usize, usize), Vec<Tensor>>) -> Result<Maps> {
    let join =
        |parts: Vec<Tensor>| if parts.len() == 1 { Ok(parts[0].shallow_clone()) } else { Tensor::f_cat(&parts, 0) };
    let maps: Result<Maps, _> = parts.into_iter().map(|(at, parts)| Ok((at, join(parts)?))).collect();
    maps.map_err(Error::torch::<tch::TchError>("join the passes of a batch"))
}
