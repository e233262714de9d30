//! The loss `exported`: an objective out of a file, over the whole batch.

use crate::{
    config::ExportedLoss,
    graph::{
        Program, Role as InputRole, ValueId,
        aliases::Writes,
        expression::Symbols,
        modes::habits,
        sizes::{Sized, bind},
    },
    inputs::{Bound, bound},
    names::{self, LEFT_OUT},
    opened::Opened,
    run::{run, shown},
    weights::State,
};
use infomax_sdk::{
    Device, Error, Facts, Features, Loss, LossDescription, LossInput, Momentum, NamedTensor, Need, Result, Source,
    Tensor, Terms, no_grad, without_autocast,
};
use std::{cell::RefCell, ops::Range};

/// The name of the output that is minimised.
const TOTAL: &str = "loss";

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
        for (input, is_written) in program.inputs.iter().zip(&writes.inputs) {
            if *is_written || program.stored(input.value) {
                state.save_too(&input.role);
            }
        }
        Ok(Self { device, config: config.clone(), bound, outputs, state, program, writes, pending: RefCell::new(None) })
    }

    fn forward(&self, features: &Features, facts: &Facts, rows: Range<i64>) -> Result<Terms> {
        let whole = self.batch(features);
        let part = self.config.mean_over_images.then(|| rows.clone()).filter(|rows| *rows != (0..whole));
        let (outputs, changed) = self.call(features, facts, part)?;
        *self.pending.borrow_mut() = Some(changed);
        let share = (rows.end - rows.start) as f64 / whole as f64;
        let named = self.outputs.iter().cloned().zip(outputs).filter(|(name, _)| name != LEFT_OUT);
        let scaled =
            named.map(|(name, value)| (name, if self.config.mean_over_images { value * share } else { value }));
        Ok(terms(scaled.collect()))
    }

    fn after_update(&mut self, features: &Features, facts: &Facts) -> Result<()> {
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

    /// The outputs, and what the buffers become, by the position of the input.
    fn call(&self, features: &Features, facts: &Facts, rows: Option<Range<i64>>) -> Result<(Vec<Tensor>, Changed)> {
        let mut bound = self.bound.iter();
        let mut copies = Changed::new();
        let mut handed = Vec::with_capacity(self.program.inputs.len());
        for (at, (input, &is_written)) in self.program.inputs.iter().zip(&self.writes.inputs).enumerate() {
            handed.push(match &input.role {
                InputRole::Argument { sizes, kind, .. } => {
                    let one = bound.next().ok_or_else(|| Error::new("an input of the loss is not bound"))?;
                    let tensor = one.tensor(features, facts, sizes.len(), *kind)?;
                    let part = rows
                        .as_ref()
                        .map_or(tensor.clone(), |rows| tensor.narrow(0, rows.start, rows.end - rows.start));
                    Some(if is_written { copy(&part) } else { part })
                }
                role => self.state.of(role).map(|tensor| {
                    if !is_written && !self.program.stored(input.value) {
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

fn copy(tensor: &Tensor) -> Tensor {
    Tensor::op("aten::clone", &[tensor])
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

type Described = (LossDescription, Vec<Bound>, Vec<String>);

fn describe(opened: &Opened, config: &ExportedLoss, input: &LossInput) -> Result<Described> {
    let program = &opened.program;
    let placed = |error: Error| opened.placed(error);
    names::check_tags(&config.tags, opened.tables.trained())?;
    let bound = bound(program, &opened.about, config, input).map_err(placed)?;
    let given: Vec<&Sized> = program
        .outputs
        .iter()
        .zip(&program.output_sizes)
        .filter_map(|(value, sizes)| value.and(sizes.as_ref()))
        .collect();
    if given.is_empty() {
        return Err(placed(
            Error::data("it gives no tensor")
                .hint("return the loss from `forward`: a scalar, or a dictionary of scalars"),
        ));
    }
    let outputs = names::outputs(&config.outputs, &opened.about.outputs, program.structure.as_deref(), given.len())?;
    let is_one = |sizes: &Sized| {
        sizes.iter().all(|size| size.as_ref().is_some_and(|size| size.value(&Symbols::new()) == Some(1)))
    };
    if let Some((name, sizes)) = outputs.iter().zip(&given).find(|(name, sizes)| *name != LEFT_OUT && !is_one(sizes)) {
        let message = format!("its output `{name}` has {} dimensions, a loss gives scalars", sizes.len());
        return Err(placed(Error::data(message).hint("end `forward` with `.mean()` or `.sum()`")));
    }
    let mut needs: Vec<Need> = Vec::new();
    for (view, source, map) in bound.iter().filter_map(Bound::map) {
        match needs.iter_mut().find(|need| need.view == view && need.source == source) {
            Some(need) if need.maps.iter().any(|other| other == map) => {}
            Some(need) => need.maps.push(map.to_owned()),
            None => needs.push(Need { view, source, maps: vec![map.to_owned()] }),
        }
    }
    let has_momentum = needs.iter().any(|need| need.source == Source::MomentumEncoder);
    let used: Vec<&String> = outputs.iter().filter(|name| *name != LEFT_OUT).collect();
    let is_term = |name: &&&String| used.len() > 1 && **name != TOTAL;
    let description = LossDescription {
        needs,
        momentum: has_momentum.then_some(Momentum { start: config.momentum_start, end: config.momentum_end }),
        labels: bound.iter().any(|one| matches!(one, Bound::Labels)),
        terms: used.iter().filter(is_term).map(|name| (*name).clone()).collect(),
        row_ranges: config.mean_over_images,
        forward_backward: false,
        parameter_count: opened.tables.parameter_count(),
        capabilities: habits(program),
        min_batch_size: config.min_batch_size.max(smallest_batch(program, &bound, input)),
    };
    Ok((description, bound, outputs))
}

/// The smallest batch that the file allows.
fn smallest_batch(program: &Program, bound: &[Bound], input: &LossInput) -> u64 {
    let fits = |batch: i64| {
        let mut symbols = Symbols::new();
        let all = program.arguments().zip(bound).all(|((_, declared, ..), one)| {
            let size = one.size(input, declared.len(), batch);
            bind(declared, &size, &mut symbols).is_ok()
        });
        all && program
            .ranges
            .iter()
            .all(|(symbol, least, most)| symbols.get(symbol).is_none_or(|v| v >= least && v <= most))
    };
    (1..=4096).find(|&batch| fits(batch)).unwrap_or(1) as u64
}

/// For messages: the arguments of a program.
pub fn arguments_told(program: &Program) -> String {
    let all: Vec<String> = program
        .arguments()
        .map(|(name, sizes, ..)| {
            let sizes: Vec<String> = sizes
                .iter()
                .map(|size| {
                    size.as_ref()
                        .and_then(|size| size.value(&Symbols::new()))
                        .map_or_else(|| "B".to_owned(), |n| shown(&[n]))
                })
                .collect();
            format!("`{name}` {}", if sizes.is_empty() { "a number".to_owned() } else { sizes.join("×") })
        })
        .collect();
    all.join(", ")
}
