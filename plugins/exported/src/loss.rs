//! The loss `exported`: an objective out of a file, over the whole batch.

use crate::{
    config::ExportedLoss,
    graph::{
        Node, Program, Role as InputRole, Source as Given, ValueId, Work,
        aliases::{Writes, writes},
        expression::Symbols,
        modes::habits,
        sizes::{Sized, bind},
    },
    inputs::{Bound, bound},
    names::{self, LEFT_OUT},
    opened::Opened,
    run::{allows, copy, run, shown},
    weights::State,
};
use infomax_sdk::{
    Device, Error, Facts, Features, Loss, LossDescription, LossInput, Momentum, NamedTensor, Need, Result, Source,
    Tensor, Terms, no_grad, without_autocast,
};
use std::{
    cell::{Cell, RefCell},
    ops::Range,
};

/// Of its value, how far a mean over images may be from that of its parts: sums in another order.
const PARTS: f64 = 1e-3;
/// How often rows are repeated at most, so that there are as many as the file allows.
const MOST_REPEATS: i64 = 64;

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
        self.check_mean(features, facts, whole)?;
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

    /// Makes sure, once, that the loss is the mean over images that the config says it is.
    fn check_mean(&self, features: &Features, facts: &Facts, whole: i64) -> Result<()> {
        if self.is_checked.replace(true) || whole < 2 {
            return Ok(());
        }
        let value = |rows: Range<i64>| -> Result<f64> {
            let (outputs, _) = no_grad(|| self.call(features, facts, Some(rows)))?;
            Ok(terms(self.named(outputs)).total.item())
        };
        let half = whole / 2;
        let (all, one, two) = (value(0..whole)?, value(0..half)?, value(half..whole)?);
        let parts = (one * half as f64 + two * (whole - half) as f64) / whole as f64;
        if (all - parts).abs() <= PARTS * all.abs().max(1e-2) || !all.is_finite() {
            return Ok(());
        }
        let message = format!(
            "`mean_over_images` is set, but it is no mean over images: {all:.6} of the whole batch, {parts:.6} of two parts"
        );
        Err(Error::config(message)
            .hint("leave `loss.config.mean_over_images` out: every process then sees the whole batch"))
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

type Described = (LossDescription, Vec<Bound>, Vec<String>);

fn describe(opened: &Opened, config: &ExportedLoss, input: &LossInput) -> Result<Described> {
    let program = &opened.program;
    let placed = |error: Error| opened.placed(error);
    names::check_tags(&config.tags, opened.tables.trained())?;
    let bound = bound(program, &opened.about, config, input).map_err(placed)?;
    let given = program.given_sizes();
    if given.is_empty() {
        return Err(placed(
            Error::config("it gives no tensor")
                .hint("return the loss from `forward`: a scalar, or a dictionary of scalars"),
        ));
    }
    let outputs = names::outputs(&config.outputs, &opened.about.outputs, program.structure.as_deref(), given.len())?;
    let is_one = |sizes: &Sized| {
        sizes.iter().all(|size| size.as_ref().is_some_and(|size| size.value(&Symbols::new()) == Some(1)))
    };
    if let Some((name, sizes)) = outputs.iter().zip(&given).find(|(name, sizes)| *name != LEFT_OUT && !is_one(sizes)) {
        let message = format!("its output `{name}` has {} dimensions, a loss gives scalars", sizes.len());
        return Err(placed(Error::config(message).hint("end `forward` with `.mean()` or `.sum()`")));
    }
    if config.mean_over_images {
        check_looks_alone(program).map_err(placed)?;
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

/// Refuses a loss that is told to be a mean over images and keeps something of the batch.
fn check_looks_alone(program: &Program) -> Result<()> {
    if habits(program).iter().any(|habit| habit == "draws") {
        return Err(no_mean("it draws numbers, which each part would draw anew"));
    }
    let by_batch = |node: &&Node| node.base() == "batch_norm" && matches!(node.given("training"), Given::Bool(true));
    let stores = |node: &&Node| matches!(node.work, Work::Store { .. });
    let (node, why) = match (program.nodes.iter().find(by_batch), program.nodes.iter().find(stores)) {
        (Some(node), _) => (node, "it normalises by the batch"),
        (_, Some(node)) => (node, "it changes a buffer"),
        _ => {
            let writes = writes(program);
            let written = program.inputs.iter().zip(&writes.inputs).find(|(input, is_written)| {
                **is_written && matches!(input.role, InputRole::Buffer { .. } | InputRole::Constant(_))
            });
            let Some((input, _)) = written else { return Ok(()) };
            return Err(no_mean(&format!("it changes {:?}", input.role)));
        }
    };
    Err(no_mean(&format!("{}: {why}", node.told())))
}

fn no_mean(why: &str) -> Error {
    let message = format!("`mean_over_images` is set, but the loss needs the whole batch: {why}");
    Error::config(message).hint("leave `loss.config.mean_over_images` out")
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
