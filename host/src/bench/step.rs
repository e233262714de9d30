//! One model's steps, timed.

use super::{Shape, rounds::Repetitions, row::Held};
use crate::{
    config::{Experiment, Precision},
    distributed::Group,
    error::{Error, Result},
    native::{
        precision::device_memory,
        work::{counted, reset_peak},
    },
    plugin::Registry,
    selfcheck::noise,
    train::{Arithmetic, Launched, Model, Setup, Stepper, device_name},
};
use serde::Serialize;
use serde_json::json;
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};

const WARM_UP: u64 = 3;
/// Steps until graphs are replayed.
const GRAPHS_WARM_UP: u64 = 6;
const LEAST_STEPS: u64 = 5;
/// Steps that a GPU is given before their values are read.
const BETWEEN_READS: u64 = 10;

/// What steps took: the middle one, as PyTorch's side gives it, on a GPU of groups of [`BETWEEN_READS`].
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub images_per_second: f64,
    pub seconds_per_step: f64,
    pub steps: u64,
    /// Of a step's products and convolutions, multiplications and additions each one.
    pub operations: f64,
    /// The most that tensors took on a GPU, or that the process took beside what it held, on a CPU.
    pub peak_bytes: Option<u64>,
    /// What became of CUDA graphs, where they were asked for.
    pub graphs: Option<String>,
}

/// AMDIM's experiment of a shape, on noise.
///
/// # Errors
/// A bug.
pub(super) fn experiment(shape: Shape, precision: Precision, graphs: bool) -> Result<Experiment> {
    serde_json::from_value(json!({
        "dataset": { "name": "shapes" },
        "augmentation": { "name": "amdim", "config": { "size": shape.size } },
        "encoder": { "name": "amdim", "config": {
            "size": shape.size, "ndf": shape.ndf, "n_rkhs": shape.n_rkhs, "depth": shape.depth
        } },
        "loss": { "name": "amdim" },
        "train": { "batch_size": shape.batch, "precision": precision, "cuda_graphs": graphs },
    }))
    .map_err(|error| Error::Bug { what: format!("the bench's experiment: {error}") })
}

/// Trains a fresh AMDIM model on noise for some time, its steps as CUDA `graphs` or not; loading is left out.
///
/// # Errors
/// What the plugins or libtorch say, of memory that is too small too.
pub fn measure(
    registry: &Registry,
    device: Device,
    shape: Shape,
    precision: Precision,
    graphs: bool,
    enough: Duration,
) -> Result<Measured> {
    measure_experiment(registry, device, &experiment(shape, precision, graphs)?, shape.size, enough)
}

/// The same of any experiment whose two views are `size` pixels wide.
///
/// # Errors
/// As of [`measure`].
pub fn measure_experiment(
    registry: &Registry,
    device: Device,
    experiment: &Experiment,
    size: u32,
    enough: Duration,
) -> Result<Measured> {
    let (graphs, batch_size) = (experiment.train.cuda_graphs, experiment.train.batch_size);
    Arithmetic::new(experiment.train.precision, device)?.switch()?;
    let setup = Setup::new(experiment, registry, &device_name(device))?;
    let held = Held::now(device)?;
    reset_peak(device).map_err(Error::native("read the device's memory"))?;
    let mut model = Model::new(&setup, experiment, Some(10))?;
    let group = Group::alone();
    let stepper = Stepper::new(&model, &setup.augmentation_description, experiment, &group, 0)?;
    let mut batch = noise(&group, batch_size as usize, size, 0);
    let (mut began, mut steps, mut operations) = (Instant::now(), 0, 0.0);
    let (mut repetitions, mut since) = (Repetitions::default(), began);
    let mut unread: Vec<Launched> = Vec::new();
    let warm_up = if graphs { GRAPHS_WARM_UP } else { WARM_UP };
    let mut news = None;
    loop {
        if steps == warm_up {
            Launched::read(&unread)?;
            unread.clear();
            began = Instant::now();
            since = began;
        }
        batch.step = steps;
        let input = stepper.bring(&batch, device)?;
        let launch = |model: &mut Model| stepper.launch(model, &input, 1e-4);
        unread.push(if steps == 1 {
            let (launched, count) = counted(|| launch(&mut model));
            operations = count.operations;
            launched?
        } else {
            launch(&mut model)?
        });
        news = stepper.news_of_graphs().or(news);
        steps += 1;
        let is_last = steps >= warm_up + LEAST_STEPS && began.elapsed() >= enough;
        if is_last || steps.is_multiple_of(BETWEEN_READS) || device == Device::Cpu {
            Launched::read(&unread)?;
            let now = Instant::now();
            if steps > warm_up {
                repetitions.add(now - since, unread.len() as u64);
            }
            unread.clear();
            since = now;
        }
        if is_last {
            break;
        }
    }
    let seconds_per_step = repetitions.median();
    let memory = device_memory(device).map_err(Error::native("read the device's memory"))?;
    let of_process = held.more()?;
    Ok(Measured {
        images_per_second: batch_size as f64 / seconds_per_step,
        seconds_per_step,
        steps: steps - warm_up,
        operations,
        peak_bytes: memory.map(|memory| memory.peak).or(of_process),
        graphs: news,
    })
}

/// Multiplications and additions a second of one large product, in a number format.
///
/// # Errors
/// libtorch's message.
pub fn matrix_rate(device: Device, precision: Precision) -> Result<f64> {
    let side: i64 = if device.is_cuda() { 8192 } else { 1024 };
    Arithmetic::new(precision, device)?.switch()?;
    let kind = match precision {
        Precision::F16 => Kind::Half,
        Precision::Bf16 => Kind::BFloat16,
        Precision::F32 | Precision::Tf32 => Kind::Float,
    };
    let measured = || {
        let random = || Tensor::f_randn([side, side], (Kind::Float, device))?.f_to_kind(kind);
        let (a, b) = (random()?, random()?);
        let mut product = a.f_mm(&b)?;
        product.f_double_value(&[0, 0])?;
        let (began, mut repetitions) = (Instant::now(), Repetitions::default());
        let (together, most) = if device == Device::Cpu { (1, 100) } else { (10, 10) };
        for count in 0..most {
            if count >= 5 && began.elapsed() >= Duration::from_millis(500) {
                break;
            }
            let since = Instant::now();
            for _ in 0..together {
                product = a.f_mm(&b)?;
            }
            product.f_double_value(&[0, 0])?;
            repetitions.add(since.elapsed(), together);
        }
        Ok(2.0 * (side as f64).powi(3) / repetitions.median())
    };
    tch::no_grad(measured).map_err(Error::torch::<tch::TchError>("multiply matrices"))
}
