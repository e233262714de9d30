//! An encoder over two ranks against one: two threads, each with an instance, half of the images and a place in a group over gloo,
//! share BatchNorm's statistics (`batch_norm.mode = "sync"`); maps, gradients and buffers must be what one process gives for all
//! images.

use super::{
    encoder::{Instance, images},
    subject::{Subject, said, take},
    tensors::{Before, noise, torch_said},
};
use crate::{
    config,
    distributed::{BatchNormPolicy, Group, Joining, Store},
    native,
    tensor::NamedTensor,
};
use infomax_sdk::{EncoderDescription, Mode, Role, requests::Request};
use std::{fmt::Display, ops::Range, sync::Mutex, thread, time::Duration};
use tch::{Device, Kind, Tensor};

const RANKS: usize = 2;
/// Images of a rank.
const OWN: i64 = 4;
const ALL: i64 = OWN * RANKS as i64;
/// Of the length of what one process gives. Statistics of half of the images are off by tens of percent.
const FAR: f64 = 1e-3;
/// Of the gradient's length: sums in another order turn a ReLU here and there, which is 2 % in a fresh ResNet-50 at 32 pixels.
const GRADIENT_FAR: f64 = 0.1;
/// How long a rank waits for the other one.
const PATIENCE: Duration = Duration::from_secs(20);
/// Weights that begin at zero would hide the gradients behind them.
const DRAWN: f64 = 0.05;
const WHAT_TO_DO: &str = "normalise by `nn::BatchNorm` or `Tensor::batch_norm`, whose statistics the host shares; what \
    `mean_dim` and `var_dim` find stays one rank's (the book, page `distribution`)";
const DIFFERENT_LAYERS: &str = "two ranks do not call the same BatchNorm layers in the same order: let no call in `forward` depend \
    on what the images are";

/// What was measured; nothing where the encoder draws numbers in training, so that no two passes are alike.
pub(super) fn check(
    subject: &Subject<'_>,
    request: &Request,
    description: &EncoderDescription,
    side: i64,
) -> Result<Option<String>, String> {
    let made = || Instance::new(subject, request, description);
    let one = made()?;
    let start = Start::of(&one)?;
    let (whole, draws) = drawing(|| one.trained(side, 0..ALL, &local()))?;
    if draws {
        return Ok(None);
    }
    let (server, port) =
        Store::serve(None, PATIENCE).map_err(|why| format!("no port for two ranks to meet at: {why}"))?;
    let rank = |rank: usize| -> Result<(Outcome, Group), String> {
        native::set_threads(1);
        let instance = made()?;
        start.of_another(&instance)?;
        let group = join(port, rank)?;
        let own = rank as i64 * OWN..(rank as i64 + 1) * OWN;
        let table = config::BatchNorm { mode: config::BatchNormMode::Sync, ..Default::default() };
        let outcome = instance.trained(side, own, &BatchNormPolicy::new(&table, &group))?;
        // Nobody leaves while the other one waits; where it waits for a layer's statistics, both hear that calls differ.
        group
            .sum(&Tensor::zeros([1], (Kind::Float, Device::Cpu)))
            .map_err(|error| error.faults()[0].message.clone())?;
        instance.drop()?;
        Ok((outcome, group))
    };
    // A rank that fails closes its connections, so that the other one fails, too: the first is the cause.
    let cause = Mutex::new(None);
    let (rank, first) = (&rank, &cause);
    let ended: Vec<Option<(Outcome, Group)>> = thread::scope(|scope| {
        let at = |number| {
            move || match rank(number) {
                Ok(ended) => Some(ended),
                Err(why) => {
                    first.lock().expect("no holder panics").get_or_insert(why);
                    None
                }
            }
        };
        let running: Vec<_> = (0..RANKS).map(|number| scope.spawn(at(number))).collect();
        running.into_iter().map(|thread| thread.join().expect("a call's panic stays in the library")).collect()
    });
    drop(server);
    if let Some(why) = cause.into_inner().expect("no holder panics") {
        // c10d's words for different exchanges on different ranks.
        let differ = why.contains("mismatch between collectives");
        return Err(if differ { DIFFERENT_LAYERS.to_owned() } else { format!("a rank fails beside another: {why}") });
    }
    let ranks: Vec<Outcome> = ended.into_iter().flatten().map(|(outcome, _)| outcome).collect();
    let differences = whole.differences(&ranks, description);
    one.drop()?;
    match differences.iter().find(|difference| difference.is_far()) {
        Some(first) => Err(format!(
            "{} over two ranks, with `batch_norm.mode = \"sync\"`, differs from one process's by {:.0} % of its length: {WHAT_TO_DO}",
            first.what,
            100.0 * first.by
        )),
        None => {
            let worst = |kind: Of| differences.iter().filter(|d| d.kind == kind).map(|d| d.by).fold(0.0, f64::max);
            let (maps, gradients, buffers) = (worst(Of::Map), worst(Of::Gradient), worst(Of::Buffer));
            Ok(Some(format!(
                "with shared BatchNorm maps differ by {maps:.1e}, gradients by {gradients:.1e}, buffers by {buffers:.1e} of their length"
            )))
        }
    }
}

/// No sharing: what libtorch does.
fn local() -> BatchNormPolicy {
    BatchNormPolicy::new(&config::BatchNorm::default(), &Group::alone())
}

fn join(port: u16, rank: usize) -> Result<Group, String> {
    let met = |why: String| format!("the two ranks can't meet: {why}");
    let store = Store::open("127.0.0.1", port, false, PATIENCE).map_err(met)?;
    let joining = Joining {
        store: &store,
        prefix: "conformance",
        address: "127.0.0.1",
        rank,
        size: RANKS,
        timeout: PATIENCE,
        checked: true,
        nccl: false,
    };
    Group::join(&joining).map_err(met)
}

/// Whether a call draws from libtorch's generator, beside what it gives.
fn drawing<T>(call: impl FnOnce() -> Result<T, String>) -> Result<(T, bool), String> {
    const SEED: i64 = 12;
    let next = || Tensor::rand([4], (Kind::Float, Device::Cpu));
    tch::manual_seed(SEED);
    let expected = next();
    tch::manual_seed(SEED);
    let given = call()?;
    Ok((given, next() != expected))
}

/// What every instance begins with.
struct Start {
    tensors: Before,
    state: String,
}

// SAFETY: tensors that nobody writes to.
unsafe impl Sync for Start {}

impl Start {
    /// Of an instance, whose weights of zero are drawn first.
    fn of(instance: &Instance<'_>) -> Result<Self, String> {
        let tensors = instance.tensors()?;
        for (number, named) in tensors.iter().filter(|named| named.role == Role::Parameter).enumerate() {
            if named.tensor.abs().max().double_value(&[]) == 0.0 {
                let drawn = noise(&named.tensor.size(), number as u64) * DRAWN;
                tch::no_grad(|| named.tensor.shallow_clone().f_copy_(&drawn)).map_err(torch_said)?;
            }
        }
        let state = take(instance.ffi.vtable.state_save()(instance.ffi.instance)).map_err(said)?;
        Ok(Self { tensors: Before::of(&tensors), state: state.into_string() })
    }

    fn of_another(&self, instance: &Instance<'_>) -> Result<(), String> {
        self.tensors.copy_into(&mut instance.tensors()?)?;
        take(instance.ffi.vtable.state_load()(instance.ffi.instance, self.state.as_str().into())).map_err(said)
    }
}

/// Brighter images on one rank than on the other, as nothing forbids: what goes by a rank's own images shows.
fn unlike(images: Tensor) -> Tensor {
    let by_rank: Vec<f32> = (0..ALL).map(|image| if image < OWN { 0.5 } else { -0.5 }).collect();
    images + Tensor::from_slice(&by_rank).view([-1, 1, 1, 1])
}

/// What a training pass gives and leaves.
struct Outcome {
    /// View after view.
    maps: Vec<Tensor>,
    gradients: Vec<(String, Option<Tensor>)>,
    buffers: Vec<(String, Tensor)>,
}

impl Instance<'_> {
    /// A training pass over some of the images, forward and backward.
    fn trained(&self, side: i64, rows: Range<i64>, policy: &BatchNormPolicy) -> Result<Outcome, String> {
        let count = rows.end - rows.start;
        let views = [9, 10].map(|seed| unlike(images(ALL, side, seed)).narrow(0, rows.start, count));
        let maps = policy.during(count as usize, || self.forward(&views, Mode::Train))?;
        let of_map = |(number, map): (usize, &Tensor)| {
            let mut shape = map.size();
            shape[0] = ALL;
            let weight = noise(&shape, number as u64).f_narrow(0, rows.start, count)?;
            (map * weight).f_sum(Kind::Double)
        };
        let parts = maps.iter().enumerate().map(of_map).collect::<Result<Vec<_>, _>>().map_err(torch_said)?;
        let backward = || Tensor::f_stack(&parts, 0)?.f_sum(Kind::Double)?.f_backward();
        backward().map_err(torch_said)?;
        let (parameters, buffers): (Vec<_>, Vec<_>) =
            self.tensors()?.into_iter().partition(|named| named.role == Role::Parameter);
        let gradient = |named: NamedTensor| {
            let gradient = Some(named.tensor.grad()).filter(Tensor::defined).map(|gradient| gradient.copy());
            (named.name, gradient)
        };
        Ok(Outcome {
            maps: maps.iter().map(Tensor::detach).collect(),
            gradients: parameters.into_iter().map(gradient).collect(),
            buffers: buffers.into_iter().map(|named| (named.name, named.tensor.detach().copy())).collect(),
        })
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Of {
    Map,
    Gradient,
    Buffer,
}

struct Difference {
    kind: Of,
    what: String,
    by: f64,
}

impl Difference {
    fn is_far(&self) -> bool {
        let most = if self.kind == Of::Gradient { GRADIENT_FAR } else { FAR };
        self.by.is_nan() || self.by > most
    }
}

impl Outcome {
    /// Of what ranks give from this, which one process gives.
    fn differences(&self, ranks: &[Self], description: &EncoderDescription) -> Vec<Difference> {
        let difference = |kind, what: &dyn Display, by| Difference { kind, what: what.to_string(), by };
        let mut list = Vec::new();
        for ((number, whole), described) in self.maps.iter().enumerate().zip(description.maps.iter().cycle()) {
            let parts: Vec<&Tensor> = ranks.iter().map(|rank| &rank.maps[number]).collect();
            let by = apart(&Tensor::cat(&parts, 0), whole, length(whole));
            list.push(difference(Of::Map, &format_args!("the map `{}`", described.name), by));
        }
        for (number, (name, whole)) in self.buffers.iter().enumerate() {
            let by = |rank: &Self| apart(&rank.buffers[number].1, whole, length(whole));
            let by = ranks.iter().map(by).fold(0.0, f64::max);
            list.push(difference(Of::Buffer, &format_args!("the buffer `{name}`"), by));
        }
        // Of the whole gradient's length: a small one counts for little, as in an update.
        let lengths = self.gradients.iter().filter_map(|(_, gradient)| gradient.as_ref()).map(length);
        let all = lengths.map(|length| length * length).sum::<f64>().sqrt();
        for (number, (name, whole)) in self.gradients.iter().enumerate() {
            let sum = ranks.iter().filter_map(|rank| rank.gradients[number].1.as_ref());
            let sum =
                sum.fold(None, |sum: Option<Tensor>, part| Some(sum.map_or_else(|| part.copy(), |sum| sum + part)));
            let by = match (&sum, whole) {
                (Some(sum), Some(whole)) => apart(sum, whole, all),
                (None, None) => 0.0,
                _ => f64::INFINITY,
            };
            list.push(difference(Of::Gradient, &format_args!("the gradient of `{name}`"), by));
        }
        list
    }
}

fn length(tensor: &Tensor) -> f64 {
    tensor.to_kind(Kind::Double).square().sum(Kind::Double).double_value(&[]).sqrt()
}

fn apart(own: &Tensor, expected: &Tensor, of: f64) -> f64 {
    if own.size() != expected.size() {
        return f64::INFINITY;
    }
    length(&(own.to_kind(Kind::Double) - expected.to_kind(Kind::Double))) / of.max(1e-6)
}
