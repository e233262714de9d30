//! A step's forward and backward pass as CUDA graphs: watched for some steps, captured where what it asks of libtorch stays the
//! same, and replayed from then on. What changes from step to step stays outside: the batch is copied to where the graphs read it,
//! seeds are set and numbers drawn before the replay, and gate, optimizer and averages run as ever.
//!
//! A step is looked at before anything is captured, so that what can't be is refused while nothing has happened yet; the loss is
//! also asked what it would do at later steps.

use super::{
    capture::{Action, capture},
    exchange::Labels,
    held::Held,
    input::{Input, Known},
    model::Model,
    step::{Computed, Stepper},
};
use crate::{
    config::{Stage, Train},
    distributed::Group,
    error::{Error, Result},
    native::{
        self,
        graphs::{Side, has_graphs},
        watch::{Watched, watched},
    },
    optimizer::Optimizer,
    plugin::draws::{Draw, noting},
    tensor::{Feature, Features},
};
use serde_json::Value;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

pub(super) use super::capture::{before_step, seed};

/// Steps in a row that must ask for the same: the first of them may have set something up.
const ALIKE: u32 = 3;
/// Steps that are watched before trying is put off.
const MOST_WATCHED: u32 = 6;
/// Further than any budget that is not in updates.
const FAR: u64 = 1 << 40;

/// The graphs of a run's steps, or what became of them.
pub(super) struct Graphs {
    state: State,
    device: Device,
    news: Vec<String>,
}

enum State {
    Off,
    Watching(Watching),
    Ready(Box<Ready>),
}

/// Steps that are made as ever, and looked at.
#[derive(Default)]
struct Watching {
    /// Steps made.
    steps: u64,
    /// None is watched before so many.
    rests: u64,
    last: Option<Seen>,
    /// How many steps in a row asked for the same as the last.
    alike: u32,
    watched: u32,
    /// Why the last one differed.
    reason: String,
    told: bool,
}

/// A step that was watched.
pub(super) struct Seen {
    pub text: String,
    signature: Vec<(Vec<i64>, Kind)>,
    pub draws: Vec<Draw>,
    labels: Labels,
    features: Features,
}

/// Captured graphs and the memory that they read and write.
pub(super) struct Ready {
    /// The batch.
    pub input: Input,
    pub actions: Vec<Action>,
    pub draws: Vec<Draw>,
    /// What they compute.
    pub computed: Computed,
    /// Parameters and where their gradients lie.
    pub gradients: Vec<(Tensor, Tensor)>,
    /// Whether they lie there.
    pub attached: bool,
    /// What else they read.
    pub _kept: Watched,
}

/// Why there is no graph.
pub(super) enum Not {
    /// Of this step.
    Yet(String),
    /// Of any.
    Ever(String),
}

impl Graphs {
    /// Those of a run that wants them, where there can be any.
    pub(super) fn new(train: &Train, device: Device, group: &Group) -> Self {
        let reason = if !train.cuda_graphs {
            return Self { state: State::Off, device, news: Vec::new() };
        } else if !device.is_cuda() {
            "the device is the CPU"
        } else if group.size() > 1 {
            "several processes train together"
        } else if train.stage != Stage::Pretrain {
            "only the stage `pretrain` has them"
        } else if !has_graphs() {
            "the loaded libtorch has none: libtorch_cuda.so is not that of libtorch 2.11.0"
        } else {
            let watching = Watching { rests: 1, ..Watching::default() };
            return Self { state: State::Watching(watching), device, news: Vec::new() };
        };
        let mut graphs = Self { state: State::Off, device, news: Vec::new() };
        graphs.give_up(reason);
        graphs
    }

    /// What has become of them since this was asked last.
    pub(super) fn news(&mut self) -> Option<String> {
        (!self.news.is_empty()).then(|| std::mem::take(&mut self.news).join("; "))
    }

    /// The stream of steps; graphs can't be captured on the default one.
    pub(super) fn side(&mut self) -> Option<Side> {
        let Device::Cuda(number) = self.device else { return None };
        if matches!(self.state, State::Off) {
            return None;
        }
        Side::begin(number).map_err(|message| self.give_up(&message)).ok()
    }

    fn give_up(&mut self, reason: &str) {
        self.news.push(format!("without CUDA graphs: {reason}"));
        self.state = State::Off;
    }

    /// Forward and backward of a step.
    ///
    /// # Errors
    /// As [`Stepper::compute`].
    pub(super) fn compute(&mut self, stepper: &Stepper, model: &mut Model, input: &Input) -> Result<Computed> {
        match &mut self.state {
            State::Off => eager(stepper, model, input, true),
            State::Ready(ready) if signature(input) == signature(&ready.input) => {
                ready.replay(stepper, model, input, true)
            }
            State::Ready(ready) => {
                ready.attached = false;
                eager(stepper, model, input, true)
            }
            State::Watching(watching) => {
                watching.steps += 1;
                if watching.steps <= watching.rests {
                    return eager(stepper, model, input, true);
                }
                let Some(seen) = watching.ripe() else {
                    let made = watching.watch(stepper, model, input)?;
                    return Ok(self.took(made, input.step));
                };
                self.capture(stepper, model, input, seen)
            }
        }
    }

    /// Takes what came of a watched step.
    fn took(&mut self, (computed, verdict): (Computed, Result<(), Not>), step: u64) -> Computed {
        match verdict {
            Ok(()) => {}
            Err(Not::Ever(reason)) => self.give_up(&reason),
            Err(Not::Yet(reason)) => self.put_off(&reason, step),
        }
        computed
    }

    fn put_off(&mut self, reason: &str, step: u64) {
        let State::Watching(watching) = &mut self.state else { return };
        watching.rests = 2 * watching.steps;
        (watching.alike, watching.watched, watching.last) = (0, 0, None);
        if !watching.told {
            watching.told = true;
            let next = step + 1 + watching.rests - watching.steps;
            self.news
                .push(format!("no CUDA graphs yet: {reason}; tried again from step {next} on, and ever more seldom"));
        }
    }

    fn capture(&mut self, stepper: &Stepper, model: &mut Model, input: &Input, seen: Seen) -> Result<Computed> {
        if signature(input) != seen.signature {
            self.put_off("batches differ in shape", input.step);
            return eager(stepper, model, input, true);
        }
        if let Some(reason) = later(stepper, model, input, &seen)? {
            self.put_off(&reason, input.step);
            return eager(stepper, model, input, true);
        }
        let Device::Cuda(number) = self.device else { return eager(stepper, model, input, true) };
        // Told of the step by now: once, whatever becomes of the capture.
        let static_input = copied(input)?;
        let labels = Labels {
            labels: static_input.labels.shallow_clone(),
            indices: static_input.indices.shallow_clone(),
            known: None,
        };
        seed(stepper.key(input.step), "loss", None)?;
        before_step(model, &stepper.facts(model, &static_input, &labels))?;
        clear_gradients(model)?;
        let operators = seen.text.lines().filter(|line| line.starts_with([' ', '~'])).count();
        match capture(stepper, model, number, static_input, seen) {
            Ok(mut ready) => {
                let computed = ready.replay(stepper, model, input, false)?;
                let graphs = ready.actions.iter().filter(|action| matches!(action, Action::Replay(_))).count();
                let graphs = if graphs == 1 { "a CUDA graph".to_owned() } else { format!("{graphs} CUDA graphs") };
                self.news.push(format!(
                    "from step {} on, forward and backward pass are {graphs}, of {operators} calls of libtorch",
                    input.step + 1
                ));
                self.state = State::Ready(Box::new(ready));
                Ok(computed)
            }
            Err(Not::Ever(reason) | Not::Yet(reason)) => {
                self.give_up(&reason);
                eager(stepper, model, input, false)
            }
        }
    }
}

impl Watching {
    /// The last step, where enough in a row asked for the same.
    fn ripe(&mut self) -> Option<Seen> {
        if self.alike + 1 < ALIKE { None } else { self.last.take() }
    }

    /// Makes a step as ever, and looks at it.
    fn watch(&mut self, stepper: &Stepper, model: &mut Model, input: &Input) -> Result<(Computed, Result<(), Not>)> {
        let known = known(model)?;
        let key = stepper.key(input.step);
        let before = model.encoder.save()?;
        let ((computed, draws), watched) =
            watched(&known, false, || noting(key, || eager(stepper, model, input, true)));
        let mut computed = computed?;
        self.watched += 1;
        let verdict = self.verdict(watched.text, draws, input, &mut computed, (before, model.encoder.save()?));
        Ok((computed, verdict))
    }

    fn verdict(
        &mut self,
        mut text: String,
        draws: Result<Vec<Draw>, String>,
        input: &Input,
        computed: &mut Computed,
        (before, after): (Value, Value),
    ) -> Result<(), Not> {
        if let Some(refused) = captured_part(&text).find_map(|line| line.strip_prefix('!')) {
            return Err(Not::Ever(refused.to_owned()));
        }
        if draws_before(&text) {
            return Err(Not::Ever("the loss draws from libtorch's generator in `before_step`".to_owned()));
        }
        if before != after {
            return Err(Not::Ever("the encoder changes what it saves in its forward pass".to_owned()));
        }
        let draws = draws.map_err(|reason| Not::Ever(format!("the loss can't be repeated: {reason}")))?;
        for draw in &draws {
            text += &draw.described();
            text.push('\n');
        }
        let seen = Seen {
            text,
            signature: signature(input),
            draws,
            labels: computed.labels.again(),
            features: again(&computed.features),
        };
        let difference = self.last.as_ref().and_then(|last| {
            if last.signature == seen.signature {
                difference(&last.text, &seen.text)
            } else {
                Some("batches differ in shape".to_owned())
            }
        });
        let is_first = self.last.replace(seen).is_none();
        match difference {
            Some(reason) => (self.alike, self.reason) = (0, reason),
            None if is_first => self.alike = 0,
            None => self.alike += 1,
        }
        if self.watched >= MOST_WATCHED && self.alike + 1 < ALIKE {
            return Err(Not::Yet(format!("steps differ: {}", self.reason)));
        }
        Ok(())
    }
}

impl Ready {
    /// Gives the graphs to the device for a batch.
    fn replay(&mut self, stepper: &Stepper, model: &mut Model, input: &Input, begins: bool) -> Result<Computed> {
        let began = Instant::now();
        if !self.attached {
            for (parameter, gradient) in &self.gradients {
                native::set_gradient(parameter, gradient).map_err(Error::native("put a gradient in its place"))?;
            }
            self.attached = true;
        }
        native::copy(&tensors(&self.input), &tensors(input)).map_err(Error::native("bring a batch to its graphs"))?;
        (self.input.step, self.input.epoch) = (input.step, input.epoch);
        let key = stepper.key(input.step);
        let drawn: Result<Vec<Tensor>, String> = self.draws.iter().map(|draw| draw.again(key)).collect();
        let drawn = drawn.map_err(Error::native("draw for a step's graphs"))?;
        if !drawn.is_empty() {
            let places: Vec<Tensor> = self.draws.iter().map(|draw| draw.tensor.shallow_clone()).collect();
            native::copy(&places, &drawn).map_err(Error::native("draw for a step's graphs"))?;
        }
        if begins {
            seed(key, "loss", None)?;
            before_step(model, &stepper.facts(model, &self.input, &self.computed.labels))?;
        }
        for action in &self.actions {
            match action {
                Action::Seed { purpose, pass } => seed(key, purpose, *pass)?,
                Action::Replay(graph) => graph.replay().map_err(Error::native("replay a step's graphs"))?,
            }
        }
        Ok(Computed { alone: began.elapsed(), ..self.computed.again() })
    }
}

/// A step without graphs.
fn eager(stepper: &Stepper, model: &mut Model, input: &Input, begins: bool) -> Result<Computed> {
    clear_gradients(model)?;
    stepper.compute(model, input, begins)
}

fn clear_gradients(model: &Model) -> Result<()> {
    model.optimizers().try_for_each(Optimizer::clear_gradients)
}

/// Whether the loss would ask for something else at a later step of the run: at the next ones, at ever more distant ones, and at
/// the last. What it changes meanwhile is put back.
fn later(stepper: &Stepper, model: &mut Model, input: &Input, seen: &Seen) -> Result<Option<String>> {
    let last = if stepper.total_steps == 0 { input.step + FAR } else { stepper.total_steps.saturating_sub(1) };
    let doubling = (0..u64::from(u64::BITS)).map_while(|power| 1u64.checked_shl(power as u32));
    let steps = doubling.map(|ahead| input.step.saturating_add(ahead)).take_while(|step| *step < last);
    let mut first = asked(stepper, model, input, seen, input.step)?;
    for step in steps.chain((last > input.step).then_some(last)) {
        let other = asked(stepper, model, input, seen, step)?;
        if let Some(difference) = difference(&first, &other) {
            return Ok(Some(format!("the loss will differ at step {step}: {difference}")));
        }
        first = other;
    }
    Ok(None)
}

/// What the loss asks of libtorch at a step.
fn asked(stepper: &Stepper, model: &mut Model, input: &Input, seen: &Seen, step: u64) -> Result<String> {
    let known = known(model)?;
    let per_epoch = stepper.steps_per_epoch.unwrap_or(u64::MAX).max(1);
    let at = Input { step, epoch: input.epoch + (step - input.step) / per_epoch, ..shared(input) };
    let facts = stepper.facts(model, &at, &seen.labels);
    let Some(loss) = &model.loss else { return Ok(String::new()) };
    let (saved, mut held) = (loss.save()?, Held::of(loss.tensors()?)?);
    held.keep()?;
    let features = fresh(&seen.features)?;
    let (made, watched) = watched(&known, false, || {
        seed(facts.key, "loss", None)?;
        before_step(model, &facts)?;
        stepper.loss_alone(model, &features, &facts)
    });
    made?;
    let withheld = Tensor::f_ones([0i64; 0], (Kind::Float, model.device)).map_err(Error::torch("look at a loss"))?;
    held.restore(&withheld)?;
    if let Some(loss) = &mut model.loss
        && loss.save()? != saved
    {
        loss.load(&saved)?;
    }
    Ok(watched.text)
}

/// The first lines in which two watched steps differ, in words.
pub(super) fn difference(one: &str, two: &str) -> Option<String> {
    const SHOWN: usize = 160;
    let cut = |line: Option<&str>| {
        let line = line.map_or("nothing", |line| line.get(1..).unwrap_or(line));
        if line.chars().count() <= SHOWN {
            line.to_owned()
        } else {
            line.chars().take(SHOWN).collect::<String>() + "…"
        }
    };
    let (mut ones, mut twos) = (one.lines(), two.lines());
    loop {
        let (one, two) = (ones.next(), twos.next());
        if one != two {
            return Some(format!("`{}`, then `{}`", cut(one), cut(two)));
        }
        one?;
    }
}

/// What of a watched step is captured: not what the loss does before it, nor what is drawn by keys.
pub(super) fn captured_part(text: &str) -> impl Iterator<Item = &str> {
    use super::capture::{BEFORE, BEGUN};
    use crate::plugin::draws::{DRAW, DRAWN};
    let mut outside = false;
    text.lines().filter(move |line| {
        let ends = [BEGUN, DRAWN].contains(line);
        outside = (outside || [BEFORE, DRAW].contains(line)) && !ends;
        !outside && !ends
    })
}

fn draws_before(text: &str) -> bool {
    use super::capture::{BEFORE, BEGUN};
    let within = text.lines().skip_while(|line| *line != BEFORE).take_while(|line| *line != BEGUN);
    within.skip(1).any(|line| line.starts_with('~'))
}

/// Tensors that outlive a step.
pub(super) fn known(model: &Model) -> Result<Vec<Tensor>> {
    Ok(model.tensors()?.into_iter().map(|named| named.tensor).collect())
}

/// A batch's tensors.
fn tensors(input: &Input) -> Vec<Tensor> {
    let rows = if let Known::Rows(rows) = &input.known { Some(rows) } else { None };
    let all = input.views.iter().chain([&input.labels, &input.indices]).chain(rows);
    all.map(Tensor::shallow_clone).collect()
}

fn signature(input: &Input) -> Vec<(Vec<i64>, Kind)> {
    tensors(input).iter().map(|tensor| (tensor.size(), tensor.kind())).collect()
}

fn with_tensors(input: &Input, tensors: Vec<Tensor>) -> Input {
    let mut tensors = tensors.into_iter();
    let mut next = || tensors.next().expect("as many as the batch has");
    let views = input.views.iter().map(|_| next()).collect();
    let (labels, indices) = (next(), next());
    let known = if let Known::Rows(_) = input.known { Known::Rows(next()) } else { Known::All };
    Input { step: input.step, epoch: input.epoch, views, labels, indices, known }
}

/// The same tensors.
fn shared(input: &Input) -> Input {
    with_tensors(input, tensors(input))
}

/// A copy, in memory that stays.
fn copied(input: &Input) -> Result<Input> {
    let from = tensors(input);
    let copies: Result<Vec<Tensor>, _> = from.iter().map(Tensor::f_empty_like).collect();
    let copies = copies.map_err(Error::torch("make room for a batch"))?;
    native::copy(&copies, &from).map_err(Error::native("bring a batch to its graphs"))?;
    Ok(with_tensors(input, copies))
}

fn again(features: &Features) -> Features {
    features_with(features, |tensor| tensor.shallow_clone())
}

/// The same numbers as leaves of their own.
fn fresh(features: &Features) -> Result<Features> {
    Ok(features_with(features, |tensor| tensor.detach().set_requires_grad(tensor.requires_grad())))
}

fn features_with(features: &Features, make: impl Fn(&Tensor) -> Tensor) -> Features {
    let item = |f: &Feature| Feature { view: f.view, source: f.source, map: f.map.clone(), tensor: make(&f.tensor) };
    Features::new(features.items().iter().map(item).collect())
}

impl Labels {
    /// The same tensors.
    pub(super) fn again(&self) -> Self {
        Self {
            labels: self.labels.shallow_clone(),
            indices: self.indices.shallow_clone(),
            known: self.known.as_ref().map(Tensor::shallow_clone),
        }
    }
}

impl Computed {
    /// The same tensors, without what a backward pass would need.
    pub(super) fn again(&self) -> Self {
        let detached = |list: &[(String, Tensor)]| list.iter().map(|(name, t)| (name.clone(), t.detach())).collect();
        Self {
            labels: self.labels.again(),
            features: again(&self.features),
            terms: detached(&self.terms),
            classified: detached(&self.classified),
            scale: self.scale.as_ref().map(Tensor::shallow_clone),
            alone: self.alone,
        }
    }
}
