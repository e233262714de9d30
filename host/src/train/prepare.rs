//! From a resolved config to a run that may begin: every check there is, and nothing written. A run that is refused here stays
//! as it was, to the byte.

use super::{
    budget::Plan,
    cadence::Cadence,
    data::Data,
    device::{device_name, resolve_device},
    engine::Run,
    evaluate::Tester,
    health::Health,
    identity::{adopt, identity_of},
    length::check_length,
    meeting::{compare, meet},
    memory::StepMemory,
    model::Model,
    options::{Outcome, RunOptions},
    precision::Arithmetic,
    recorder::Recorder,
    saving::newest,
    setup::Setup,
    step::Stepper,
};
use crate::{
    checkpoint::{CheckpointSet, Retention, RunState, Writer, restore},
    config::{Experiment, Resolved},
    console::log_course,
    dataset::Order,
    distributed::{Group, Meetingplace},
    error::{Error, Result},
    native::{self, precision::device_memory},
    optimizer::Schedule,
    plugin::Registry,
    record::{Hardware, History, Identity, wrapped},
    report::size,
    shell,
    tensor::NamedTensor,
};
use infomax_sdk::Role;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tch::Device;

/// A run whose every check has passed.
pub struct Prepared<'a> {
    experiment: &'a Experiment,
    run: Option<&'a Path>,
    options: &'a RunOptions,
    setup: Setup,
    identity: Identity,
    group: Group,
    place: Option<Meetingplace>,
    data: Data,
    order: Arc<Order>,
    plan: Plan,
    schedule: Schedule,
    stepper: Stepper,
    tester: Option<Tester>,
    model: Model,
    state: RunState,
}

/// Checks whatever can be checked of a run: components, data, the other processes, what a run that goes on began with, and its
/// newest checkpoint. Of several processes only rank 0 has a run directory.
///
/// # Errors
/// Whatever fails, with its exit code.
pub fn prepare<'a>(
    resolved: &'a Resolved,
    registry: &Registry,
    run: Option<&'a Path>,
    options: &'a RunOptions,
) -> Result<Prepared<'a>> {
    let experiment = &resolved.experiment;
    let own_place = options.place.as_ref();
    let device = resolve_device(experiment.train.device, own_place.map_or(0, |place| place.local_rank))?;
    Arithmetic::new(experiment.train.precision, device)?.prepare(&experiment.train)?;
    native::log_warnings();
    let setup = Setup::new(experiment, registry, &device_name(device))?;
    let mut data = Data::open(experiment, &setup, own_place.is_none_or(|place| place.rank == 0))?;
    let meeting = meet(own_place, experiment, device, &options.signals)?;
    let threads = experiment.train.thread_count(meeting.cores);
    native::set_threads(threads);
    let identity = identity_of(&setup, &resolved.digest, &data.source, device, threads)?;
    data.join(&meeting);
    let (group, place) = (meeting.group, meeting.place);
    compare(&group, resolved, &identity, device)?;
    // Rank 0 alone sees the run directory; a process that was killed before it began has left no identity.
    let goes_on = options.resume && run.is_none_or(|run| identity.is_written(run) || run.join("checkpoints").exists());
    if let Some(run) = run.filter(|_| goes_on) {
        identity.check(run, &options.overrides)?;
    }

    let saved = if group.agrees_with_leader(options.resume)? {
        newest(run.map(checkpoints).as_ref(), &group)?
    } else {
        BTreeMap::new()
    };
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
    let schedule = Schedule::new(&experiment.optimizer, steps_per_epoch, plan.steps.unwrap_or(0));
    check_length(experiment, plan, &schedule, model.momentum(), &state, &options.overrides)?;
    let mut stepper =
        Stepper::new(&model, &setup.augmentation_description, experiment, &group, plan.steps.unwrap_or(0))?;
    stepper.steps_per_epoch = Some(steps_per_epoch);
    if !plan.is_over(state.step, state.seconds) {
        data.keep(experiment, device, options)?;
    }
    let tester = data.tester(experiment, &setup, &model, options)?;
    // Nobody writes before all have come as far.
    group.agree_on_end(false, 0.0)?;
    Ok(Prepared {
        experiment,
        run,
        options,
        setup,
        identity,
        group,
        place,
        data,
        order,
        plan,
        schedule,
        stepper,
        tester,
        model,
        state,
    })
}

/// What is about to run, in a line or two.
fn about(
    experiment: &Experiment,
    setup: &Setup,
    data: &Data,
    model: &Model,
    plan: Plan,
    identity: &Identity,
) -> Result<String> {
    let count = |list: Vec<NamedTensor>| -> usize {
        list.iter().filter(|named| named.role == Role::Parameter).map(|named| named.tensor.numel()).sum()
    };
    let of_loss = model.loss.as_ref().map(|loss| loss.tensors()).transpose()?.unwrap_or_default();
    let train = &experiment.train;
    let length = match (plan.steps, plan.seconds) {
        (Some(steps), _) => format!("{steps} updates of {} images", train.batch_size),
        (None, seconds) => format!("{} s in batches of {} images", seconds.unwrap_or_default(), train.batch_size),
    };
    let device = device_name(model.device);
    let threads = if device == "cpu" {
        format!(", {} thread{}", identity.threads, if identity.threads == 1 { "" } else { "s" })
    } else {
        String::new()
    };
    let parts = [
        format!("{device}{threads}, {}", train.precision),
        format!(
            "encoder {} ({} parameters), loss {} ({})",
            setup.encoder.name,
            grouped(count(model.encoder.tensors()?)),
            setup.loss.name,
            grouped(count(of_loss))
        ),
        format!("{}: {}", setup.dataset.name, data.counts()),
        length,
    ];
    Ok(wrapped(&parts.join(" · ")))
}

/// What runs, for the log: versions, builds and the command.
fn log_builds(identity: &Identity, step: u64) {
    let how = if step == 0 { "begins".to_owned() } else { format!("goes on from step {step}") };
    log_course(format!("the run {how}: infomax {}, libtorch {}", identity.infomax, identity.libtorch));
    if let Some(provenance) = &identity.provenance {
        log_course(format!("started by: {}", shell::line(&provenance.command)));
    }
    for (name, plugin) in &identity.plugins {
        log_course(format!("plugin {name} {}, sha256 {}", plugin.version, &plugin.sha256[..12]));
    }
}

/// What a step needs of its device's memory and what is free there; why that will not do, where it won't.
fn of_device(memory: StepMemory, device: Device, experiment: &Experiment) -> Result<(String, Option<String>)> {
    let Some(there) = device_memory(device).map_err(Error::native("ask for a device's memory"))? else {
        return Ok((memory.told(), None));
    };
    let memory = memory.beside(there.allocated);
    let told = memory.told();
    let name = device_name(device);
    Ok((format!("{told} · {name} has {} free", size(there.free)), memory.lacks(&name, there, experiment)))
}

/// A count with its thousands set apart.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

fn checkpoints(run: &Path) -> CheckpointSet {
    CheckpointSet::new(run.join("checkpoints"))
}

impl Prepared<'_> {
    /// Trains to the end of the budget.
    ///
    /// # Errors
    /// Whatever fails, with its exit code; `Error::Interrupted` after a signal.
    pub fn train(self) -> Result<Outcome> {
        let Self { experiment, run, options, setup, mut identity, order, plan, mut state, .. } = self;
        if let Some(run) = run {
            identity.provenance = options.provenance.as_ref().map(|asked| asked.answer());
            adopt(&identity, run, &setup)?;
        }
        let history = run.map(History::read).transpose().unwrap_or_else(|reason| {
            log::warn!("{reason}; a new one is begun");
            Some(History::default())
        });
        let (every, batch_size) = (experiment.train.log_every_steps, experiment.train.batch_size);
        let recorder = run.map(|run| {
            let recorder = Recorder::open(run, &options.name, plan, batch_size, every, state.step)?;
            let began = history.as_ref().map_or(0, History::began);
            if experiment.record.tensorboard { recorder.with_tensorboard(began) } else { Ok(recorder) }
        });
        let mut recorder = recorder.transpose()?;
        if let Some(recorder) = &mut recorder {
            log_builds(&identity, state.step);
            if options.smoke {
                recorder.note("tried out: tests take a few images, so that their results say nothing");
            }
            recorder.note(&about(experiment, &setup, &self.data, &self.model, plan, &identity)?);
            let memory = StepMemory::of(&self.model, &setup, experiment, self.group.size() as u64)?;
            let (told, lack) = of_device(memory, self.model.device, experiment)?;
            if options.smoke || lack.is_some() || self.model.device.is_cuda() {
                recorder.note(&wrapped(&told));
            }
            if let Some(lack) = lack {
                recorder.note(&format!("warning: {lack}"));
            }
        }
        state.planned_steps = plan.steps;
        let steps_per_epoch = order.steps_per_epoch();
        let (evaluation, checkpoint) = (&experiment.evaluation, &experiment.checkpoint);
        let mut engine = Run {
            experiment,
            run,
            group: self.group,
            place: self.place,
            time_is_over: false,
            identity,
            tester: self.tester,
            schedule: self.schedule,
            signals: options.signals.clone(),
            data: self.data,
            tests: Cadence::new(evaluation.every_epochs, evaluation.every_steps, steps_per_epoch),
            saves: Cadence::new(checkpoint.every_epochs, checkpoint.every_steps, steps_per_epoch),
            order,
            stepper: self.stepper,
            model: self.model,
            writer: run.map(checkpoints).map(|set| {
                let (best, metric) = (checkpoint.keep_best, checkpoint.best_metric.name().to_owned());
                let retention = Retention { newest: checkpoint.keep, best, metric };
                Writer::new(set, retention, checkpoint.verify, Duration::from_secs(checkpoint.timeout_seconds))
            }),
            recorder,
            plan,
            state,
            unread: Vec::new(),
            alone: Duration::ZERO,
            straggler: None,
            health: Health::default(),
            began: Instant::now(),
        };
        if let (Some(run), Some(mut history)) = (run, history.filter(|_| !engine.has_nothing_left())) {
            Hardware::of_this_machine().note(run)?;
            let command = options.provenance.as_ref().map_or(&[][..], |asked| asked.command());
            history.begin(run, engine.state.step, engine.plan.steps, command)?;
        }
        for line in std::mem::take(&mut engine.model.told) {
            engine.note(&line);
        }
        engine.tell_cadence();
        engine.tell_of_graphs()?;
        engine.compare_untrained(&setup)?;
        engine.go_on()
    }
}
