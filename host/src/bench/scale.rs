//! What a step of AMDIM costs on many cards: operations, bytes and exchanges counted from the sizes of model and batch, and the seconds
//! that stated rates make of them. On a CPU the same is counted of a small model's step, alone and on two ranks.
//!
//! Shapes: P ranks with R images each, B = P·R, D channels, L locations of a map, C classes.

use super::{
    Shape,
    row::{OWN, Row},
    step::experiment,
};
use crate::{
    config::{Experiment, Precision},
    distributed::{Group, Joining, Store},
    error::{Error, Result},
    native::{
        self,
        work::{Work, counted},
    },
    plugin::Registry,
    selfcheck::noise,
    train::{Arithmetic, Model, Setup, Stepper, device_name},
};
use infomax_sdk::Role;
use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
    sync::{Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};
use tch::Device;

/// Of the maps 1×1, 5×5 and 7×7.
const LOCATIONS: f64 = 75.0;
/// Locations that AMDIM's sources look for: 1→5 and 5→5, and 1→7.
const SCORED: f64 = 25.0 + 25.0 + 49.0;
/// The most scores of a source image and an image that lie side by side: those of 5×5 locations for two sources.
const SIDE_BY_SIDE: f64 = 50.0;
/// Of scores at a time: products, their tanh, and exponentials.
const BUFFERS: f64 = 3.0;
/// Units of the MLP classifier, as published.
const HIDDEN: f64 = 1024.0;
/// In which gradients are summed (`distributed.bucket_mib`).
const BUCKET: f64 = 25.0 * 1_048_576.0;
const CLASSES: usize = 10;
/// What is counted on two ranks.
const SMALL: Shape = Shape { size: 32, ndf: 8, n_rkhs: 32, depth: 1, batch: 8 };
const PATIENCE: Duration = Duration::from_secs(60);

/// What a card is taken to do: `60e12,25e9,30e-6` is 60 TFLOP/s in steps, 25 GB/s between ranks, and 30 µs an exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Card {
    /// Multiplications and additions a second.
    operations: f64,
    /// Bytes a second that a rank sends.
    bytes: f64,
    /// Of an exchange beside its bytes.
    seconds: f64,
}

impl Display for Card {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { operations, bytes, seconds } = self;
        write!(
            f,
            "{:.1} TFLOP/s in steps, {:.1} GB/s to others, {:.0} µs an exchange",
            operations / 1e12,
            bytes / 1e9,
            seconds * 1e6
        )
    }
}

impl FromStr for Card {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<f64> = text.split(',').map_while(|part| part.trim().parse().ok()).collect();
        match parts[..] {
            [operations, bytes, seconds] if operations > 0.0 && bytes > 0.0 && seconds >= 0.0 => {
                Ok(Self { operations, bytes, seconds })
            }
            _ => Err(format!("`{text}` is no card: write `OPERATIONS,BYTES,SECONDS`, as in 60e12,25e9,30e-6")),
        }
    }
}

/// What the model counts with.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    channels: f64,
    /// Of an image, both views, through the encoder and back.
    encoder: f64,
    /// Of the encoder's parameters.
    bytes: f64,
}

impl Sizes {
    /// The products of sources and targets, and both gradients', of R rows against B images: each 2·R·B·L·D, in both directions.
    fn objective(&self, own: f64, all: f64) -> f64 {
        2.0 * 3.0 * 2.0 * own * all * SCORED * self.channels
    }

    /// Both classifiers' on both views of an image; every rank trains them on the whole batch.
    fn classifiers(&self) -> f64 {
        let (d, c) = (self.channels, CLASSES as f64);
        2.0 * (4.0 * d * c + 4.0 * d * HIDDEN + 6.0 * HIDDEN * c)
    }

    /// What a rank does, and what it gives to exchanges, in a step.
    fn of_rank(&self, own: f64, ranks: f64) -> Work {
        let all = own * ranks;
        let operations = own * self.encoder + all * self.classifiers() + self.objective(own, all);
        if ranks == 1.0 {
            return Work { operations, exchanges: 0, exchanged_bytes: 0 };
        }
        let maps = 2.0 * LOCATIONS * self.channels * 4.0;
        // Two i64 an image; the total, four terms, two classifiers, and how many are not finite.
        let (labels, values) = (16.0 * own, 64.0);
        // Six maps and the labels are gathered, six gradients scattered, the values and each bucket summed.
        let exchanges = 6 + 1 + 6 + 1 + (self.bytes / BUCKET).ceil() as u64;
        let given = own * maps + labels + all * maps + values + self.bytes;
        Work { operations, exchanges, exchanged_bytes: given as u64 }
    }

    /// Bytes that a rank sends in a ring: its own part of a gather to all others, a scattered sum's whole but once, a sum's twice.
    fn sent(&self, own: f64, ranks: f64) -> f64 {
        let maps = 2.0 * LOCATIONS * self.channels * 4.0;
        let share = (ranks - 1.0) / ranks;
        own * maps * (ranks - 1.0) + own * ranks * maps * share + 2.0 * self.bytes * share
    }

    /// Of scores at most, and of the maps and gradients of all ranks.
    fn memory(&self, own: f64, ranks: f64) -> f64 {
        4.0 * (BUFFERS * own * own * ranks * SIDE_BY_SIDE + 2.0 * own * ranks * 2.0 * LOCATIONS * self.channels)
    }
}

/// The model's rows for AMDIM models with so many images a rank, and on a CPU what is counted beside.
///
/// # Errors
/// What plugins or libtorch say.
pub fn rows(
    registry: &Registry,
    device: Device,
    shapes: &[Shape],
    ranks: &[u64],
    card: Card,
    tell: &mut dyn FnMut(Row),
) -> Result<()> {
    for &shape in shapes {
        let sizes = sizes(registry, device, shape)?;
        for &ranks in ranks {
            let (own, ranks) = (shape.batch as f64, ranks as f64);
            let work = sizes.of_rank(own, ranks);
            let compute = work.operations / card.operations;
            let exchange = sizes.sent(own, ranks) / card.bytes + work.exchanges as f64 * card.seconds;
            let note = format!(
                "{:.2} TFLOP, {:.1} % of them the objective's; {:.0} MiB sent in {} exchanges; {:.1} ms + {:.1} ms",
                work.operations / 1e12,
                100.0 * sizes.objective(own, own * ranks) / work.operations,
                sizes.sent(own, ranks) / 1_048_576.0,
                work.exchanges,
                1e3 * compute,
                1e3 * exchange,
            );
            tell(Row {
                seconds: Some(compute + exchange),
                images_per_second: Some(own * ranks / (compute + exchange)),
                bytes: Some(sizes.memory(own, ranks) as u64),
                note: Some(note),
                work: Some(work),
                ..row(shape, ranks as u64, "model")
            });
        }
    }
    if device != Device::Cpu {
        return Ok(());
    }
    let sizes = sizes(registry, device, SMALL)?;
    for ranks in [1, 2] {
        let own = SMALL.batch as f64;
        tell(Row { work: Some(sizes.of_rank(own, ranks as f64)), ..row(SMALL, ranks, "model") });
        tell(Row { work: Some(on_ranks(registry, ranks as usize)?), ..row(SMALL, ranks, OWN) });
    }
    Ok(())
}

fn row(shape: Shape, ranks: u64, by: &str) -> Row {
    let of = if ranks == 1 { "alone".to_owned() } else { format!("a rank of {ranks}") };
    Row { part: "scale", what: format!("{shape}, {of}"), by: by.to_owned(), ..Row::default() }
}

/// What libtorch is asked for in a step of four images, less objective and classifiers.
fn sizes(registry: &Registry, device: Device, shape: Shape) -> Result<Sizes> {
    const IMAGES: u64 = 4;
    let group = Group::alone();
    let shape = Shape { batch: IMAGES, ..shape };
    let (work, bytes) = last_step(&Prepared::new(registry, device, shape)?, &group, &|step| counted(step))?;
    let sizes = Sizes { channels: f64::from(shape.n_rkhs), encoder: 0.0, bytes };
    let rest = sizes.of_rank(IMAGES as f64, 1.0).operations;
    Ok(Sizes { encoder: (work.operations - rest) / IMAGES as f64, ..sizes })
}

/// A rank's share of what is counted while ranks, threads of this process, make the same step.
fn on_ranks(registry: &Registry, ranks: usize) -> Result<Work> {
    let shape = Shape { batch: SMALL.batch * ranks as u64, ..SMALL };
    let prepared = Prepared::new(registry, Device::Cpu, shape)?;
    if ranks == 1 {
        return last_step(&prepared, &Group::alone(), &|step| counted(step)).map(|(work, _)| work);
    }
    let (server, port) = Store::serve(None, PATIENCE).map_err(Error::native("let two ranks meet"))?;
    let (ready, done) = (Gate::new(ranks), Gate::new(ranks));
    let rank = |rank: usize| -> Result<Work> {
        native::log_warnings(); // of this thread
        let store = Store::open("127.0.0.1", port, false, PATIENCE).map_err(Error::native("let two ranks meet"))?;
        let joining = Joining {
            store: &store,
            prefix: "bench",
            address: "127.0.0.1",
            rank,
            size: ranks,
            timeout: PATIENCE,
            checked: false,
            nccl: false,
        };
        let group = Group::join(&joining).map_err(Error::native("let two ranks meet"))?;
        // The first one counts for all, from before any begins until all have ended.
        let together = |step: &mut dyn FnMut() -> Result<()>| {
            let mut run = || -> Result<()> {
                ready.wait()?;
                step()?;
                done.wait()
            };
            if rank == 0 { counted(run) } else { (run(), Work::default()) }
        };
        let (work, _) = last_step(&prepared, &group, &together)?;
        let ranks = ranks as u64;
        let (exchanges, exchanged_bytes) = (work.exchanges / ranks, work.exchanged_bytes / ranks);
        Ok(Work { operations: work.operations / ranks as f64, exchanges, exchanged_bytes })
    };
    let rank = &rank;
    let works: Result<Vec<Work>> = thread::scope(|scope| {
        let running: Vec<_> = (0..ranks).map(|number| scope.spawn(move || rank(number))).collect();
        let ended = running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(Error::Bug { what: "a rank panicked".to_owned() })));
        ended.collect()
    });
    drop(server);
    Ok(works?[0])
}

/// Where threads wait for one another, but not for one that has failed.
struct Gate {
    missing: Mutex<usize>,
    all: Condvar,
}

impl Gate {
    fn new(threads: usize) -> Self {
        Self { missing: Mutex::new(threads), all: Condvar::new() }
    }

    fn wait(&self) -> Result<()> {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        *missing -= 1;
        self.all.notify_all();
        let waited = self.all.wait_timeout_while(missing, PATIENCE, |missing| *missing > 0);
        match *waited.unwrap_or_else(PoisonError::into_inner).0 {
            0 => Ok(()),
            _ => Err(Error::Bug { what: "a rank of the bench does not come".to_owned() }),
        }
    }
}

struct Prepared {
    experiment: Experiment,
    setup: Setup,
    shape: Shape,
}

impl Prepared {
    fn new(registry: &Registry, device: Device, shape: Shape) -> Result<Self> {
        let experiment = experiment(shape, Precision::F32, false)?;
        Arithmetic::new(Precision::F32, device)?.switch()?;
        let setup = Setup::new(&experiment, registry, &device_name(device))?;
        Ok(Self { experiment, setup, shape })
    }
}

type Step<'a> = &'a mut dyn FnMut() -> Result<()>;

/// Makes steps of a fresh model on noise until every step is like the one before, and the last through `watch`; what that gives, and the
/// bytes of the encoder's parameters.
fn last_step(of: &Prepared, group: &Group, watch: &dyn Fn(Step<'_>) -> (Result<()>, Work)) -> Result<(Work, f64)> {
    const STEPS: u64 = 4;
    let Prepared { experiment, setup, shape } = of;
    let mut model = Model::new(setup, experiment, Some(CLASSES))?;
    let stepper = Stepper::new(&model, &setup.augmentation_description, experiment, group, 0)?;
    let mut step =
        |number: u64| stepper.step(&mut model, &noise(group, shape.batch as usize, shape.size, number), 1e-4).map(drop);
    // A group looks in its first steps at which parameters are used.
    let first = if group.size() == 1 { STEPS - 1 } else { 0 };
    (first..STEPS - 1).try_for_each(&mut step)?;
    let (ended, work) = watch(&mut || step(STEPS - 1));
    ended?;
    let parameters = model.encoder.tensors()?.into_iter().filter(|named| named.role == Role::Parameter);
    let used = parameters.filter(|named| named.tensor.grad().defined());
    Ok((work, used.map(|named| 4.0 * named.tensor.numel() as f64).sum()))
}
