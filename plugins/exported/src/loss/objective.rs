//! The loss as the host calls it: an objective out of a file, over the whole batch or, of a mean over images, over some of them.

use super::{
    description::{TOTAL, describe},
    mean::check_parts,
};
use crate::{
    config::ExportedLoss,
    graph::{Program, Role as InputRole, ValueId, aliases::Writes},
    inputs::Bound,
    names::LEFT_OUT,
    opened::Opened,
    run::{allows, copy, run},
    weights::State,
};
use infomax_sdk::{
    Device, Error, Facts, Features, Loss, LossDescription, LossInput, NamedTensor, Result, Tensor, Terms, no_grad,
    without_autocast,
};
use std::{
    cell::{Cell, RefCell},
    ops::Range,
};

/// How often rows are repeated at most, so that there are as many as the file allows.
const MOST_REPEATS: i64 = 64;

/// What buffers become, by the position of the input.
type Changed = Vec<(usize, Tensor)>;

/// An objective out of a file.
pub struct ExportedObjective {
    device: Device,
    config: ExportedLoss,
    bound: Vec<Bound>,
    outputs: Vec<String>,
    state: State,
    program: Program,
    writes: Writes,
    /// What the last call made of buffers: theirs once the update is done.
    pending: RefCell<Option<Changed>>,
    /// Whether the config's word on `mean_over_images` was compared with the numbers.
    is_checked: Cell<bool>,
}

impl Loss for ExportedObjective {
    type Config = ExportedLoss;

    fn describe(config: &ExportedLoss, input: &LossInput) -> Result<LossDescription> {
        let opened = Opened::open(&config.file, "loss")?;
        describe(&opened, config, input).map(|(description, ..)| description)
    }

    fn create(config: &ExportedLoss, input: &LossInput, device: Device) -> Result<Self> {
        let mut opened = Opened::open(&config.file, "loss")?;
        let (_, bound, outputs) = describe(&opened, config, input)?;
        let writes = opened.settle_views()?;
        let Opened { mut archive, program, tables, .. } = opened;
        let mut state = State::read(&mut archive, &tables, device, false)?;
        state.save_changed(&program, &writes);
        Ok(Self {
            device,
            config: config.clone(),
            bound,
            outputs,
            state,
            program,
            writes,
            pending: RefCell::new(None),
            is_checked: Cell::new(false),
        })
    }

    fn forward(&self, features: &Features, facts: &Facts, rows: Range<i64>) -> Result<Terms> {
        let whole = self.batch(features);
        if !self.config.mean_over_images {
            let (outputs, changed) = self.call(features, facts, None)?;
            *self.pending.borrow_mut() = Some(changed);
            return Ok(terms(self.named(outputs)));
        }
        if !self.is_checked.replace(true) {
            check_parts(whole, |rows| {
                let (outputs, _) = no_grad(|| self.call(features, facts, Some(rows)))?;
                Ok(terms(self.named(outputs)).total.item())
            })?;
        }
        let share = (rows.end - rows.start) as f64 / whole as f64;
        let part = (rows != (0..whole)).then_some(rows);
        let (outputs, _) = self.call(features, facts, part)?;
        Ok(terms(self.named(outputs).into_iter().map(|(name, value)| (name, value * share)).collect()))
    }

    fn after_update(&mut self, features: &Features, facts: &Facts) -> Result<()> {
        if self.config.mean_over_images {
            return Ok(()); // it keeps nothing
        }
        let pending = self.pending.borrow_mut().take();
        let changed = match pending {
            Some(changed) => changed,
            None => no_grad(|| self.call(features, facts, None))?.1,
        };
        for (at, new) in changed {
            if let Some(own) = self.state.of(&self.program.inputs[at].role) {
                no_grad(|| drop(own.copy_(&new)));
            }
        }
        Ok(())
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.state.named(&self.config.tags)
    }
}

impl ExportedObjective {
    fn batch(&self, features: &Features) -> i64 {
        features.items().first().map_or(1, |feature| feature.tensor.size_of(0)).max(1)
    }

    /// The outputs that are used.
    fn named(&self, outputs: Vec<Tensor>) -> Vec<(String, Tensor)> {
        self.outputs.iter().cloned().zip(outputs).filter(|(name, _)| name != LEFT_OUT).collect()
    }

    /// The arguments of a call. Of a part that has fewer rows than the file allows, or another number, all rows stand several times:
    /// the mean over them stays the same.
    fn arguments(&self, features: &Features, facts: &Facts, rows: Option<Range<i64>>) -> Result<Vec<Tensor>> {
        let declared = self.program.arguments();
        let tensors =
            declared.zip(&self.bound).map(|((_, sizes, kind, _), one)| one.tensor(features, facts, sizes.len(), kind));
        let tensors = tensors.collect::<Result<Vec<_>>>()?;
        let Some(rows) = rows else { return Ok(tensors) };
        let parts: Vec<Tensor> =
            tensors.iter().map(|tensor| tensor.narrow(0, rows.start, rows.end - rows.start)).collect();
        let names: Vec<&str> = self.program.arguments().map(|(name, ..)| name).collect();
        let times = |size: &[i64], times: i64| {
            size.iter().enumerate().map(|(dim, &n)| if dim == 0 { n * times } else { n }).collect()
        };
        let is_allowed = |count: &i64| {
            let sizes = names.iter().zip(&parts).map(|(name, part)| (*name, times(&part.size(), *count)));
            allows(&self.program, &sizes.collect::<Vec<_>>())
        };
        Ok(match (1..=MOST_REPEATS).find(is_allowed) {
            None | Some(1) => parts,
            Some(count) => parts.iter().map(|part| Tensor::cat(&vec![part; count as usize], 0)).collect(),
        })
    }

    /// The outputs, and what the buffers become, by the position of the input.
    fn call(&self, features: &Features, facts: &Facts, rows: Option<Range<i64>>) -> Result<(Vec<Tensor>, Changed)> {
        let mut arguments = self.arguments(features, facts, rows)?.into_iter();
        let mut copies = Changed::new();
        let mut handed = Vec::with_capacity(self.program.inputs.len());
        for (at, input) in self.program.inputs.iter().enumerate() {
            let is_written = self.writes.inputs[at];
            handed.push(match &input.role {
                InputRole::Argument { .. } => {
                    let tensor = arguments.next().ok_or_else(|| Error::new("an input of the loss is not bound"))?;
                    Some(if is_written { copy(&tensor) } else { tensor })
                }
                role => self.state.of(role).map(|tensor| {
                    if !is_written && !self.writes.stores[at] {
                        return tensor.clone();
                    }
                    let copy = copy(tensor);
                    if is_written {
                        copies.push((at, copy.clone()));
                    }
                    copy
                }),
            });
        }
        // As the losses of other libraries, whatever the encoder computes in: nothing is rounded below f32.
        let outcome = without_autocast(|| run(&self.program, self.device, handed))?;
        let place = |id: ValueId| self.program.inputs.iter().position(|input| input.value == Some(id));
        let stores = outcome.stores.into_iter().filter_map(|(id, new)| Some((place(id)?, new)));
        copies.extend(stores);
        let values = outcome.outputs.into_iter().flatten().zip(&self.outputs);
        let scalar = |(value, name): (Tensor, &String)| match name.as_str() {
            LEFT_OUT => value,
            _ => value.at_least_f32().reshape([0_i64; 0]),
        };
        Ok((values.map(scalar).collect(), copies))
    }
}

/// The total and what is recorded beside it.
fn terms(mut named: Vec<(String, Tensor)>) -> Terms {
    if let Some(at) = named.iter().position(|(name, _)| name == TOTAL) {
        let (_, total) = named.remove(at);
        return Terms { total, terms: named };
    }
    if named.len() == 1 {
        return Terms::new(named.remove(0).1);
    }
    let total = named.iter().map(|(_, value)| value.clone()).reduce(|sum, part| sum + part);
    Terms { total: total.expect("a described loss has an output"), terms: named }
}
