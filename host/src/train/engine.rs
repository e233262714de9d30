//! The loop: data, steps, tests, checkpoints, until the budget is spent or a signal asks for an end.

use super::{
    budget::Plan,
    device::{device_name, resolve_device},
    evaluate::{Knn, Pairs, Tester},
    identity::Identity,
    input::Normalisation,
    meeting::{compare, meet},
    model::Model,
    precision::Arithmetic,
    recorder::Recorder,
    setup::Setup,
    signals::Signals,
    step::Stepper,
    untrained::untrained_top1,
};
use crate::{
    augmentation::ForeignAugmentation,
    checkpoint::{CheckpointSet, Manifest, Retention, RunState, Writer, restore, snapshot, write_tensors},
    config::{self, Evaluation, Experiment, Resolved},
    console::note,
    dataset::{BatchMaker, LabelChoice, Order, OrderedWorkers, Source, Stage, TrainBatch},
    distributed::{Group, Place, at_step, check_parameters},
    error::{Error, Fault, Result},
    native,
    optimizer::Schedule,
    plugin::Registry,
    record::{Hardware, History, Row, write_whole},
};
use infomax_sdk::Key;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tch::Tensor;

/// What a run is told beside its config.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The experiment's name, for titles.
    pub name: String,
    /// Whether the run directory holds a run to go on with.
    pub resume: bool,
    /// What may differ from what the run began with: `dataset`, `plugin.NAME`, `libtorch`.
    pub overrides: Vec<String>,
    /// Which of several processes this is.
    pub place: Option<Place>,
    /// What asks for an end; nothing does by default.
    pub signals: Signals,
}

impl RunOptions {
    /// How many processes this machine has.
    fn local_world_size(&self) -> usize {
        self.place.as_ref().map_or(1, |place| place.local_world_size)
    }
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Updates done.
    pub step: u64,
    /// The last test's results, in percent.
    pub results: Vec<(String, f64)>,
    /// What classifiers reach on the untrained encoder, where that was asked for.
    pub untrained: Vec<(String, f64)>,
    /// Images that could not be used.
    pub bad_images: usize,
    /// Steps that updated nothing.
    pub skipped_steps: u64,
    /// Whether there was nothing left to do.
    pub was_finished: bool,
}

/// Trains as a resolved config says, into a run directory; of several processes only rank 0 has one.
///
/// # Errors
/// Whatever fails, with its exit code; `Error::Interrupted` after a signal.
pub fn train(resolved: &Resolved, registry: &Registry, run: Option<&Path>, options: &RunOptions) -> Result<Outcome> {
    let experiment = &resolved.experiment;
    let place = options.place.as_ref();
    let device = resolve_device(experiment.train.device, place.map_or(0, |place| place.local_rank))?;
    Arithmetic::new(experiment.train.precision, device)?.prepare(&experiment.train)?;
    let threads = experiment.train.thread_count(options.local_world_size());
    native::set_threads(threads);
    native::log_warnings();
    let signals = options.signals.clone();
    let setup = Setup::new(experiment, registry, &device_name(device))?;
    let mut data = Data::open(experiment, &setup, place.is_none_or(|place| place.rank == 0))?;
    let identity = Identity::new(&setup, &resolved.digest, &data.source, device, threads);
    let group = meet(place, experiment, device)?;
    compare(&group, resolved, &identity, device)?;
    data.join(&group, options);
    if let Some(run) = run {
        // A process that was killed before it began has left no identity.
        if options.resume && (identity.is_written(run) || run.join("checkpoints").exists()) {
            identity.check(run, &options.overrides)?;
        } else {
            identity.write(run, &setup)?;
        }
    }

    let checkpoints = run.map(|run| CheckpointSet::new(run.join("checkpoints")));
    let saved = if options.resume { newest(checkpoints.as_ref(), &group)? } else { BTreeMap::new() };
    let mut start = experiment.clone();
    if !saved.is_empty() {
        start.encoder.weights = None; // they may have gone since
    }
    let mut model = Model::new(&setup, &start, data.classes())?;
    let mut state = if saved.is_empty() { RunState::default() } else { restore(&mut model, &saved)? };
    state.class_names.clone_from(&data.source.facts().class_names);
    drop(saved);
    model.follow_leader(&group)?;
    let order = Arc::new(data.order(experiment));
    let steps_per_epoch = order.steps_per_epoch();
    let plan = Plan::new(experiment.train.budget(), experiment.train.batch_size, steps_per_epoch);
    let stepper = Stepper::new(&model, &setup.augmentation_description, experiment, &group, plan.steps.unwrap_or(0))?;
    let every = experiment.train.log_every_steps;
    let batch_size = experiment.train.batch_size;
    let history = run.map(History::read).transpose().unwrap_or_else(|reason| {
        log::warn!("{reason}; a new one is begun");
        Some(History::default())
    });
    let recorder = run.map(|run| {
        let recorder = Recorder::open(run, &options.name, plan, batch_size, every, state.step)?;
        let began = history.as_ref().map_or(0, History::began);
        if experiment.record.tensorboard { recorder.with_tensorboard(began) } else { Ok(recorder) }
    });
    let mut engine = Run {
        experiment,
        run,
        group,
        identity,
        tester: data.tester(experiment, &setup, &model, &signals)?,
        schedule: Schedule::new(&experiment.optimizer, steps_per_epoch, plan.steps.unwrap_or(0)),
        signals,
        data,
        order,
        stepper,
        model,
        writer: checkpoints.map(|set| {
            let table = &experiment.checkpoint;
            let (best, metric) = (table.keep_best, table.best_metric.name().to_owned());
            let retention = Retention { newest: table.keep, best, metric };
            Writer::new(set, retention, table.verify, Duration::from_secs(table.timeout_seconds))
        }),
        recorder: recorder.transpose()?,
        plan,
        state,
        alone: Duration::ZERO,
        straggler: None,
        began: Instant::now(),
    };
    if let (Some(run), Some(mut history)) = (run, history.filter(|_| !engine.has_nothing_left())) {
        Hardware::of_this_machine().note(run)?;
        history.begin(run, engine.state.step)?;
    }
    engine.compare_untrained(&setup)?;
    engine.go_on()
}

/// The files of rank 0's newest checkpoint, on every rank; empty where there is none.
fn newest(checkpoints: Option<&CheckpointSet>, group: &Group) -> Result<BTreeMap<String, Vec<u8>>> {
    let newest = checkpoints.and_then(|checkpoints| {
        let (newest, skipped) = checkpoints.newest();
        skipped.iter().for_each(|reason| log::warn!("checkpoint passed over: {reason}"));
        newest
    });
    group.share_files(newest.map(|newest| newest.files))
}

/// The opened dataset with its stages.
struct Data {
    source: Source,
    maker: BatchMaker,
    /// Labelled images, none of them tested on.
    train: Stage,
    test: Stage,
    group: Group,
    /// How many processes load data on this machine.
    processes: usize,
}

impl Data {
    /// Of several processes the first one tells what it finds.
    fn open(experiment: &Experiment, setup: &Setup, is_first: bool) -> Result<Self> {
        let description = Arc::new(setup.augmentation_description.clone());
        let mut source = Source::open(&setup.dataset, &experiment.dataset, description.decode_short_side)?;
        if is_first {
            source.tell()
        } else {
            source.hush()
        }
        if let Some(choice) = LabelChoice::of(experiment, &source, is_first)? {
            source = source.with_labels(Arc::new(choice));
        }
        let roles = &source.facts().roles;
        let mut test = source.stage(&roles.test);
        // What is held out for choosing is taken from the labels that may be seen, too.
        let mut train = source.choice().map_or_else(|| source.stage(&roles.train), |choice| choice.stage().clone());
        let learns_from_labels = experiment.train.stage != config::Stage::Pretrain;
        let mut stage = if learns_from_labels { train.clone() } else { source.stage(&roles.pretrain) };
        let fraction = experiment.evaluation.holdout_fraction;
        if fraction > 0.0 {
            let key = Key::new(experiment.train.seed).purpose("holdout");
            let (kept, held) = Source::hold_out(&train, fraction, key);
            if held.is_empty() && !train.is_empty() {
                let message =
                    format!("`evaluation.holdout_fraction` = {fraction} of {} labelled images is none", train.len());
                return Err(Error::Dataset { fault: Fault::new(message).hint("raise it, or use more labels") });
            }
            let taken: std::collections::BTreeSet<_> = held.iter().copied().collect();
            stage = stage.iter().filter(|sample| !taken.contains(sample)).copied().collect();
            test = held;
            train = kept;
        }
        let batch = experiment.train.batch_size;
        if (stage.len() as u64) < batch {
            let (what, more) = match source.choice().filter(|_| learns_from_labels) {
                Some(_) => ("images with labels", "use more labels"),
                None => ("images", "add images"),
            };
            let message = format!("the dataset has {} {what} to train on, `train.batch_size` is {batch}", stage.len());
            let hint = format!("lower `train.batch_size` or {more}");
            return Err(Error::Dataset { fault: Fault::new(message).hint(hint) });
        }
        if learns_from_labels && (test.is_empty() || source.facts().class_names.is_empty()) {
            let name = &experiment.dataset.name;
            let message =
                format!("`train.stage` learns from labels, but `dataset.name` = `{name}` has none to test on");
            return Err(Error::config(Fault::new(message).hint("choose a dataset with classes and a test split")));
        }
        let augmentation = ForeignAugmentation::create(&setup.augmentation, &setup.augmentation_request)?;
        let maker = BatchMaker { source: source.clone(), stage, augmentation, description };
        Ok(Self { maker, source, train, test, group: Group::alone(), processes: 1 })
    }

    /// From here on this rank loads its own rows only.
    fn join(&mut self, group: &Group, options: &RunOptions) {
        self.group = group.clone();
        self.processes = options.local_world_size();
    }

    fn classes(&self) -> Option<usize> {
        let classes = self.source.facts().class_names.len();
        (classes > 0 && !self.test.is_empty()).then_some(classes)
    }

    fn order(&self, experiment: &Experiment) -> Order {
        let key = Key::new(experiment.train.seed).purpose("order");
        Order::new(key, self.maker.stage.len() as u64, experiment.train.batch_size)
    }

    fn batches(
        &self,
        experiment: &Experiment,
        order: &Arc<Order>,
        steps: std::ops::Range<u64>,
    ) -> OrderedWorkers<TrainBatch> {
        let (maker, order) = (self.maker.clone(), order.clone());
        let key = Key::new(experiment.train.seed).purpose("augment");
        let train = &experiment.train;
        let rows = self.group.share(train.batch_size as usize);
        let make = move |step| maker.train(&order, key, step, rows.clone());
        let deadline = Duration::from_secs(experiment.plugins.timeout_seconds);
        let workers = train.worker_count(self.processes);
        OrderedWorkers::start(Arc::new(make), steps, workers, train.prefetch.into(), deadline)
    }

    fn tester(
        &self,
        experiment: &Experiment,
        setup: &Setup,
        model: &Model,
        signals: &Signals,
    ) -> Result<Option<Tester>> {
        let Evaluation { protocol, batch_size, knn, knn_k, knn_temperature, knn_images, collapse, .. } =
            experiment.evaluation;
        let Some(classes) = self.classes() else {
            if self.group.rank() == 0 {
                note("no labelled images to test on: no classifier is trained, and nothing is tested");
            }
            return Ok(None);
        };
        let key = |purpose: &str| Key::new(experiment.train.seed).purpose(purpose);
        let bank = || {
            let mut stage = self.train.to_vec();
            if knn_images > 0 {
                key("neighbours").rng().shuffle(&mut stage);
                stage.truncate(knn_images as usize);
            }
            BatchMaker { stage: stage.into(), ..self.maker.clone() }
        };
        let normalisation = Normalisation::new(&setup.augmentation_description, model.device);
        Ok(Some(Tester {
            group: self.group.clone(),
            maker: BatchMaker { stage: self.test.clone(), ..self.maker.clone() },
            normalisation: normalisation.map_err(Error::torch("prepare views"))?,
            protocol,
            batch_size: batch_size.unwrap_or(experiment.train.batch_size),
            workers: experiment.train.worker_count(self.processes),
            prefetch: experiment.train.prefetch.into(),
            deadline: Duration::from_secs(experiment.plugins.timeout_seconds),
            key: key("test"),
            signals: signals.clone(),
            knn: knn.then(|| Knn { bank: bank(), classes: classes as i64, k: knn_k, temperature: knn_temperature }),
            collapse: collapse.then(|| Pairs {
                maker: self.maker.clone(),
                order: Arc::new(self.order(experiment)),
                key: key("alignment"),
            }),
        }))
    }
}

/// A run under way.
struct Run<'a> {
    experiment: &'a Experiment,
    /// Where rank 0 leaves its files.
    run: Option<&'a Path>,
    group: Group,
    identity: Identity,
    data: Data,
    tester: Option<Tester>,
    order: Arc<Order>,
    schedule: Schedule,
    signals: Signals,
    stepper: Stepper,
    model: Model,
    writer: Option<Writer>,
    recorder: Option<Recorder>,
    plan: Plan,
    state: RunState,
    /// What this rank took by itself in the steps since the last row of metrics.
    alone: Duration,
    /// The rank that held the others up until then, and whether that was said.
    straggler: Option<(usize, bool)>,
    /// When this process's part of the run began, moved on by what earlier parts took.
    began: Instant,
}

impl Run<'_> {
    fn compare_untrained(&mut self, setup: &Setup) -> Result<()> {
        if !self.experiment.evaluation.untrained || !self.state.untrained.is_empty() || self.tester.is_none() {
            return Ok(());
        }
        self.note("first, the same classifiers on the untrained encoder");
        let (Some(tester), Some(classes)) = (&self.tester, self.data.classes()) else { return Ok(()) };
        let steps = self.plan.steps.unwrap_or(UNTRAINED_STEPS);
        let batches = self.data.batches(self.experiment, &self.order, 0..steps);
        let (signals, group) = (self.signals.clone(), self.group.clone());
        let stop = move || Ok(group.agree_on_end(signals.asked(), 0.0)?.0);
        self.state.untrained = untrained_top1(setup, self.experiment, classes, batches, tester, &self.schedule, &stop)?;
        let values = self.state.untrained.iter().map(|(name, value)| (format!("untrained_{name}"), *value)).collect();
        self.began = Instant::now();
        let row = Row { values, ..self.row() };
        self.recorder.as_mut().map_or(Ok(()), |recorder| recorder.results(row))
    }

    /// Says a line beside the display.
    fn note(&mut self, text: &str) {
        if let Some(recorder) = &mut self.recorder {
            recorder.note(text);
        }
    }

    /// Ends the display with a line.
    fn say_last(&mut self, text: &str) {
        if let Some(recorder) = &mut self.recorder {
            recorder.finish(text);
        }
    }

    fn go_on(mut self) -> Result<Outcome> {
        if self.has_nothing_left() {
            self.say_last("this run is finished: nothing left to do");
            return Ok(Outcome { was_finished: true, ..self.outcome() });
        }
        self.unfinish()?;
        let before = Duration::from_secs_f64(self.state.seconds);
        self.began = Instant::now().checked_sub(before).unwrap_or_else(Instant::now);
        let steps = self.state.step..self.plan.steps.unwrap_or(u64::MAX);
        if self.group.agree_on_end(self.signals.asked(), 0.0)?.0 || (self.test_is_due() && !self.test()?) {
            return self.interrupt();
        }
        let mut batches = self.data.batches(self.experiment, &self.order, steps);
        while !self.plan.is_over(self.state.step, self.state.seconds) {
            let asked = Instant::now();
            let Some(batch) = batches.next() else { break };
            let place = format!("step {}, rank {}", self.state.step, self.group.rank());
            let stop = self.step(&batch?, asked.elapsed()).map_err(|error| error.during(&place))?;
            if stop {
                drop(batches);
                return self.interrupt();
            }
        }
        drop(batches);
        if self.state.tested != Some(self.state.step) && !self.test()? {
            return self.interrupt();
        }
        self.save()?;
        self.finish()
    }

    /// Whether an earlier process has come to this run's end: the encoder is written last.
    fn has_nothing_left(&self) -> bool {
        let is_finished = self.run.is_none_or(|run| run.join(ENCODER).exists());
        self.plan.is_over(self.state.step, self.state.seconds) && is_finished
    }

    /// Removes the mark of an end that is none any more.
    fn unfinish(&self) -> Result<()> {
        let Some(path) = self.run.map(|run| run.join(ENCODER)) else { return Ok(()) };
        if path.exists() { fs::remove_file(&path).map_err(Error::io("remove", path)) } else { Ok(()) }
    }

    /// Whether the test after the last step is still to be made: a signal came before it was done.
    fn test_is_due(&self) -> bool {
        let evaluation = &self.experiment.evaluation;
        self.due(&evaluation.every_epochs, &evaluation.every_steps) && self.state.tested != Some(self.state.step)
    }

    /// One update and what is due after it; whether a signal has asked some rank for an end.
    fn step(&mut self, batch: &TrainBatch, waited: Duration) -> Result<bool> {
        at_step(batch.step);
        let lr = self.schedule.lr(batch.step, batch.epoch);
        let outcome = self.stepper.step(&mut self.model, batch, lr)?;
        self.let_writer_follow(batch.step + 1)?;
        self.state.step = batch.step + 1;
        self.alone += waited + outcome.alone;
        let (stop, seconds) = self.group.agree_on_end(self.signals.asked(), self.began.elapsed().as_secs_f64())?;
        self.state.seconds = seconds;
        match &outcome.skipped {
            Some(_) if outcome.overflowed => self.state.skipped += 1,
            Some(name) => self.skip(batch, name)?,
            None => self.state.skipped_in_a_row = 0,
        }
        let row = self.row();
        if let Some(recorder) = &mut self.recorder {
            recorder.step(row, &outcome, waited, &self.state.results);
        }
        let last = self.plan.is_over(self.state.step, self.state.seconds);
        if self.state.step.is_multiple_of(self.experiment.train.log_every_steps) || last || outcome.skipped.is_some() {
            let row = self.row();
            if let Some(recorder) = &mut self.recorder {
                recorder.metrics(row, &outcome, lr, self.state.skipped)?;
            }
        }
        self.compare_ranks()?;
        if stop {
            return Ok(true);
        }
        let checkpoint = &self.experiment.checkpoint;
        let mut saves = self.due(&checkpoint.every_epochs, &checkpoint.every_steps);
        if self.test_is_due() {
            if !self.test()? {
                return Ok(true);
            }
            saves |= checkpoint.keep_best > 0;
        }
        if saves && !last {
            self.save()?;
        }
        Ok(false)
    }

    /// Before a step counts: waits for a checkpoint that would lie too far behind it.
    fn let_writer_follow(&mut self, step: u64) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let began = Instant::now();
        writer.poll((step + 1).saturating_sub(self.experiment.checkpoint.overlap_steps))?;
        if let Some(recorder) = &mut self.recorder {
            recorder.stalled(began.elapsed());
        }
        Ok(())
    }

    /// Looks for a rank that holds the others up, or whose parameters have gone another way.
    fn compare_ranks(&mut self) -> Result<()> {
        if self.state.step.is_multiple_of(self.experiment.train.log_every_steps) {
            let steps = self.experiment.train.log_every_steps as f64;
            let own = std::mem::take(&mut self.alone).as_secs_f64() * 1000.0 / steps;
            let found = straggler(&self.group.gather_numbers(own)?);
            let same = |rank| self.straggler.is_some_and(|(before, _)| before == rank);
            let was_said = self.straggler.is_some_and(|(_, said)| said);
            self.straggler = found.map(|(rank, ..)| (rank, same(rank)));
            // Once may be chance; twice is a straggler, and is said once.
            if let Some((rank, most, middle)) =
                found.filter(|_| self.straggler.is_some_and(|(_, said)| said) && !was_said)
            {
                let step = self.state.step;
                self.note(&format!(
                    "step {step}: rank {rank} holds the others up: {most:.0} ms a step before it needs them, {middle:.0} ms elsewhere"
                ));
            }
        }
        let every = self.experiment.distributed.check_every_steps;
        if every > 0 && self.state.step.is_multiple_of(every) {
            check_parameters(&self.group, &self.model.parameters()?, self.state.step)?;
        }
        Ok(())
    }

    /// Keeps the batch of a step that updated nothing, and ends the run where too many follow one another.
    fn skip(&mut self, batch: &TrainBatch, name: &str) -> Result<()> {
        self.state.skipped += 1;
        self.state.skipped_in_a_row += 1;
        let step = batch.step;
        let place = format!("step {step}, {}", self.model.objective());
        let limit = self.experiment.train.max_skipped_steps_in_a_row;
        let first = (step + 1).saturating_sub(self.state.skipped_in_a_row);
        let captured = self.run.map(|run| run.join(format!("nonfinite-step-{first}.safetensors")));
        if let Some(captured) = captured.as_ref().filter(|_| self.state.skipped_in_a_row == 1) {
            let mut tensors = vec![("labels".to_owned(), Tensor::from_slice(&batch.labels))];
            tensors.push(("indices".to_owned(), Tensor::from_slice(&batch.indices)));
            for (i, view) in batch.views.iter().enumerate() {
                tensors.push((format!("view.{i}"), Tensor::from_slice(view)));
            }
            if let Ok(bytes) = write_tensors(&tensors, HashMap::new()) {
                fs::write(captured, bytes).map_err(Error::io("write", captured))?;
            }
        }
        self.note(&format!("`{name}` is not finite at {place}: nothing was updated"));
        if self.state.skipped_in_a_row > limit {
            let message = format!("`{name}` was not finite in {} steps in a row", self.state.skipped_in_a_row);
            let scale_is_low = self.model.scaler.is_some() && name == "gradient_norm";
            let what = if scale_is_low { "the loss scale is at `train.loss_scale.floor`: " } else { "" };
            let other = if scale_is_low { ", or use `bf16`" } else { "" };
            let batch = captured.map(|file| format!("; the first such batch is in {}", file.display()));
            let hint = format!("{what}lower `optimizer.lr`{other}{}", batch.unwrap_or_default());
            return Err(Error::Diverged { fault: Fault::new(message).at(place).hint(hint) });
        }
        Ok(())
    }

    fn due(&self, epochs: &Option<u64>, steps: &Option<u64>) -> bool {
        let every = steps.unwrap_or(epochs.unwrap_or(1) * self.order.steps_per_epoch());
        self.state.step > 0 && self.state.step.is_multiple_of(every)
    }

    /// Whether it came to its end: not where a signal asked for another.
    fn test(&mut self) -> Result<bool> {
        if self.tester.is_some() {
            self.model.share_buffers(&self.group)?;
        }
        if let (Some(tester), Some(classifiers)) = (&self.tester, self.model.classifiers.take()) {
            let tested = tester.test(&mut self.model, &classifiers);
            self.model.classifiers = Some(classifiers);
            let Some(results) = tested? else { return Ok(false) };
            self.state.results = results;
            self.look_for_collapse()?;
            let values = self.state.results.clone();
            let row = Row { values, ..self.row() };
            if let Some(recorder) = &mut self.recorder {
                recorder.results(row)?;
                if self.experiment.record.plot {
                    recorder.draw(&self.state.untrained)?;
                }
            }
        }
        self.state.tested = Some(self.state.step);
        Ok(true)
    }

    /// Warns of a representation that uses hardly any of its space, or ends the run.
    fn look_for_collapse(&mut self) -> Result<()> {
        let result = |name: &str| self.state.results.iter().find(|(n, _)| n == name).map(|&(_, value)| value);
        let Some(std) = result("feature_std").filter(|std| *std < COLLAPSED) else { return Ok(()) };
        let rank = result("rankme").unwrap_or(f64::NAN);
        let message = format!("the representation has collapsed: feature_std {std:.3}, rankme {rank:.1}");
        let step = self.state.step;
        if self.experiment.evaluation.stop_on_collapse {
            let hint =
                "images no longer differ in it: lower `optimizer.lr`, or look at what keeps the loss from a constant";
            return Err(Error::Diverged { fault: Fault::new(message).at(format!("step {step}")).hint(hint) });
        }
        log::warn!("step {step}: {message}");
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        self.model.check_identities()?;
        self.model.share_buffers(&self.group)?;
        let Some(writer) = self.writer.as_mut().filter(|writer| !writer.has(self.state.step)) else { return Ok(()) };
        let began = Instant::now();
        writer.finish()?;
        let snapshot = snapshot(&self.model, &self.state)?;
        let is_tested = self.state.tested == Some(self.state.step);
        let finite = self.state.results.iter().filter(|(_, value)| is_tested && value.is_finite());
        let manifest = Manifest {
            format: 0,
            step: self.state.step,
            metrics: finite.cloned().collect(),
            held_out: self.experiment.evaluation.holdout_fraction > 0.0,
            config: self.identity.config.clone(),
            sdk: env!("CARGO_PKG_VERSION").to_owned(),
            plugins: self.identity.plugin_hashes(),
            dataset: self.data.source.facts().fingerprint.clone(),
            files: BTreeMap::new(),
        };
        writer.write(manifest, snapshot)?;
        if let Some(recorder) = &mut self.recorder {
            recorder.stalled(began.elapsed());
        }
        Ok(())
    }

    /// Waits until the last checkpoint is on the disk.
    fn wait_for_writer(&mut self) -> Result<()> {
        self.writer.as_mut().map_or(Ok(()), Writer::finish)
    }

    fn interrupt(mut self) -> Result<Outcome> {
        self.save()?;
        self.wait_for_writer()?;
        self.say_last(&format!("interrupted after step {}", self.state.step));
        Err(Error::Interrupted { step: self.state.step, run: self.run.unwrap_or(Path::new("RUN")).to_owned() })
    }

    fn finish(mut self) -> Result<Outcome> {
        let bad_images = self.group.gather_numbers(self.data.source.quarantine().count() as f64)?.iter().sum::<f64>();
        self.wait_for_writer()?;
        if let (Some(run), Some(recorder)) = (self.run, &mut self.recorder) {
            if self.experiment.record.plot {
                recorder.draw(&self.state.untrained)?;
            }
            // Last, and whole or not at all: it says that the run is finished.
            write_whole(&run.join(ENCODER), &snapshot(&self.model, &self.state)?.encoder_file()?)?;
        }
        self.say_last("done");
        Ok(Outcome { bad_images: bad_images as usize, ..self.outcome() })
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            step: self.state.step,
            results: self.state.results.clone(),
            untrained: self.state.untrained.clone(),
            bad_images: self.data.source.quarantine().count(),
            skipped_steps: self.state.skipped,
            was_finished: false,
        }
    }

    fn row(&self) -> Row {
        let epoch = self.order.epoch(self.state.step.saturating_sub(1));
        Row { step: self.state.step, epoch, seconds: self.state.seconds, values: Vec::new() }
    }
}

/// The rank that takes by itself much longer than the middle one, its time in ms and the middle's.
fn straggler(milliseconds: &[f64]) -> Option<(usize, f64, f64)> {
    const FACTOR: f64 = 2.0;
    const LEAST: f64 = 5.0; // below, nobody would care
    let mut sorted = milliseconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = *sorted.get((sorted.len().max(1) - 1) / 2)?;
    let (rank, most) = milliseconds.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let holds_up = milliseconds.len() > 1 && *most > FACTOR * middle && *most - middle > LEAST;
    holds_up.then_some((rank, *most, middle))
}

/// Below this `feature_std` images hardly differ in their representation; a spread one has 1, an untrained ResNet 0.3.
const COLLAPSED: f64 = 0.05;

/// The file that a finished run leaves for others to read.
pub const ENCODER: &str = "encoder.safetensors";

/// Updates of the classifiers on the untrained encoder where the budget is in seconds.
const UNTRAINED_STEPS: u64 = 1000;
