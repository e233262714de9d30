//! The opened dataset of a run: what is learned from, what is tested on, and the batches of both.

use super::{
    evaluate::{Knn, Pairs, Tester},
    input::Normalisation,
    meeting::Meeting,
    model::Model,
    options::RunOptions,
    setup::Setup,
};
use crate::{
    augmentation::ForeignAugmentation,
    config::{self, Evaluation, Experiment, OnDevice},
    console::note,
    dataset::{
        BatchMaker, LabelChoice, Order, OrderedWorkers, Resident, ResidentReading, Room, Source, Stage, TrainBatch,
    },
    distributed::Group,
    error::{Error, Fault, Result},
    native::memory::free_bytes,
    train::device_name,
};
use infomax_sdk::{AugmentationDescription, Key};
use std::{sync::Arc, time::Duration};
use tch::Device;

/// Images of a test where a run only tries things out.
const SMOKE_IMAGES: usize = 256;

/// How much of a device's free memory images may take unasked: what is trained needs the rest.
const AUTO_SHARE: f64 = 0.25;
/// Images a second that a GPU's step is not expected to ask for, at any size that a set in memory has.
const ENOUGH: f64 = 20_000.0;
/// Pixels of views that one core makes a second: 42,500 images of two views of 32 pixels a side, AMDIM's operations.
const PIXELS_PER_SECOND: f64 = 87e6;
/// How much of it they may take where the config says so.
const MOST_SHARE: f64 = 0.9;

/// The opened dataset with its stages.
pub(super) struct Data {
    pub(super) source: Source,
    maker: BatchMaker,
    /// The images of training, where they stay in memory.
    resident: Option<Resident>,
    /// Labelled images, none of them tested on.
    train: Stage,
    test: Stage,
    group: Group,
    /// How many cores this process has for itself.
    cores: usize,
}

/// How many images' views the loader threads can be expected to make a second, of images that lie in memory.
fn images_per_second(description: &AugmentationDescription, workers: usize) -> f64 {
    let pixels: f64 = description.views.iter().map(|view| f64::from(view.height) * f64::from(view.width)).sum();
    workers as f64 * PIXELS_PER_SECOND / pixels.max(1.0)
}

impl Data {
    /// Of several processes the first one tells what it finds.
    pub(super) fn open(experiment: &Experiment, setup: &Setup, is_first: bool) -> Result<Self> {
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
        let maker = BatchMaker::new(source.clone(), stage, augmentation, description);
        Ok(Self { maker, resident: None, source, train, test, group: Group::alone(), cores: 1 })
    }

    /// From here on this rank loads its own rows only.
    pub(super) fn join(&mut self, meeting: &Meeting) {
        self.group = meeting.group.clone();
        self.cores = meeting.cores;
    }

    /// Keeps the images of training in the device's memory, where the config says so and they fit. Each rank has all of them:
    /// the order of an epoch is one over all ranks.
    pub(super) fn keep(&mut self, experiment: &Experiment, device: Device, options: &RunOptions) -> Result<()> {
        let choice = experiment.dataset.on_device;
        if choice == OnDevice::Never || (choice == OnDevice::Auto && device == Device::Cpu) {
            return Ok(());
        }
        let share = if choice == OnDevice::Auto { AUTO_SHARE } else { MOST_SHARE };
        let workers = experiment.train.worker_count(self.cores).max(1);
        let by_processor = images_per_second(&self.maker.description, workers);
        // Where the processor keeps up, a GPU has better things to do.
        let device = if choice == OnDevice::Auto && by_processor >= ENOUGH { Device::Cpu } else { device };
        let bytes = free_bytes(device).map(|free| (free as f64 * share) as u64);
        let room = Room { device, bytes, in_batch: device.is_cuda() };
        let reading = ResidentReading {
            source: &self.source,
            stage: &self.maker.stage,
            workers,
            deadline: Duration::from_secs(experiment.plugins.timeout_seconds),
            stop: &|| options.signals.asked(),
        };
        let place = if device == Device::Cpu { "in memory".to_owned() } else { format!("on {}", device_name(device)) };
        let read = Resident::read(&reading, &self.maker.augmentation, &self.maker.description, room)?;
        let told = match read {
            Ok(resident) => {
                let (count, mib) = (resident.count(), resident.bytes().div_ceil(1 << 20));
                let there = match (device, choice) {
                    (Device::Cpu, OnDevice::Auto) => {
                        format!(
                            ", and views are made on the processor, which keeps up: about {by_processor:.0} images/s"
                        )
                    }
                    (Device::Cpu, _) => String::new(),
                    _ => ", and views are made there".to_owned(),
                };
                self.resident = Some(resident);
                format!("{count} images of training stay {place} ({mib} MiB){there}")
            }
            Err(_) if options.signals.asked() => return Ok(()),
            Err(why) if choice == OnDevice::Always => {
                let message = format!("`dataset.on_device` is `always`, but the images can't stay {place}: {why}");
                return Err(Error::config(
                    Fault::new(message).hint("use `auto`, which then reads them as they are used"),
                ));
            }
            Err(why) => format!("the images don't stay {place}, views are made on the processor: {why}"),
        };
        if self.group.leads() {
            note(told);
        }
        Ok(())
    }

    /// How many images there are for what.
    pub(super) fn counts(&self) -> String {
        let tested = match self.test.len() {
            0 => "none to test on".to_owned(),
            count => format!("{count} to test on"),
        };
        let labelled = if self.train.len() == self.maker.stage.len() || self.test.is_empty() {
            String::new()
        } else {
            format!("{} with labels to learn from, ", self.train.len())
        };
        format!("{} images to train on, {labelled}{tested}", self.maker.stage.len())
    }

    pub(super) fn classes(&self) -> Option<usize> {
        let classes = self.source.facts().class_names.len();
        (classes > 0 && !self.test.is_empty()).then_some(classes)
    }

    pub(super) fn order(&self, experiment: &Experiment) -> Order {
        let key = Key::new(experiment.train.seed).purpose("order");
        Order::new(key, self.maker.stage.len() as u64, experiment.train.batch_size)
    }

    /// How this rank's rows of a step's batch are made.
    fn make(&self, experiment: &Experiment, order: &Arc<Order>) -> impl Fn(u64) -> Result<TrainBatch> + use<> {
        let (maker, order, resident) = (self.maker.clone(), order.clone(), self.resident.clone());
        let key = Key::new(experiment.train.seed).purpose("augment");
        let rows = self.group.share(experiment.train.batch_size as usize);
        move |step| match &resident {
            Some(resident) => maker.train_from(resident, &order, key, step, rows.clone()),
            None => maker.train(&order, key, step, rows.clone()),
        }
    }

    /// This rank's rows of one step's batch, once more.
    pub(super) fn batch(&self, experiment: &Experiment, order: &Arc<Order>, step: u64) -> Result<TrainBatch> {
        self.make(experiment, order)(step)
    }

    pub(super) fn batches(
        &self,
        experiment: &Experiment,
        order: &Arc<Order>,
        steps: std::ops::Range<u64>,
    ) -> OrderedWorkers<TrainBatch> {
        let (train, make) = (&experiment.train, self.make(experiment, order));
        let deadline = Duration::from_secs(experiment.plugins.timeout_seconds);
        let workers = train.worker_count(self.cores);
        OrderedWorkers::start(Arc::new(make), steps, workers, train.prefetch.into(), deadline)
    }

    pub(super) fn tester(
        &self,
        experiment: &Experiment,
        setup: &Setup,
        model: &Model,
        options: &RunOptions,
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
            if options.smoke {
                stage.truncate(SMOKE_IMAGES);
            } else if knn_images > 0 {
                key("neighbours").rng().shuffle(&mut stage);
                stage.truncate(knn_images as usize);
            }
            self.maker.of(stage.into())
        };
        let test =
            if options.smoke { self.test.iter().take(SMOKE_IMAGES).copied().collect() } else { self.test.clone() };
        let normalisation = Normalisation::new(&setup.augmentation_description, model.device);
        Ok(Some(Tester {
            group: self.group.clone(),
            maker: self.maker.of(test),
            normalisation: normalisation.map_err(Error::torch("prepare views"))?,
            protocol,
            batch_size: batch_size.unwrap_or(experiment.train.batch_size),
            workers: experiment.train.worker_count(self.cores),
            prefetch: experiment.train.prefetch.into(),
            deadline: Duration::from_secs(experiment.plugins.timeout_seconds),
            key: key("test"),
            signals: options.signals.clone(),
            knn: knn.then(|| Knn { bank: bank(), classes: classes as i64, k: knn_k, temperature: knn_temperature }),
            collapse: collapse.then(|| Pairs {
                maker: self.maker.clone(),
                order: Arc::new(self.order(experiment)),
                key: key("alignment"),
            }),
        }))
    }
}
