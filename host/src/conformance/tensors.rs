//! Comparisons of tensors, and what must be as before after a call.

use crate::{
    record::held_bytes,
    tensor::{NamedTensor, take_named},
};
use infomax_abi::{FfiNamedTensor, FfiResult, Instance};
use infomax_sdk::Key;
use tch::{Kind, Tensor};

use super::subject::{said, take};

/// Parameters and buffers of an instance.
pub(super) fn named(
    tensors: extern "C" fn(Instance) -> FfiResult<infomax_abi::abi_stable::std_types::RVec<FfiNamedTensor>>,
    instance: Instance,
) -> Result<Vec<NamedTensor>, String> {
    let given = take(tensors(instance)).map_err(said)?;
    // SAFETY: the plugin handed the tensors over.
    unsafe { take_named(given.into_vec()) }.map_err(said)
}

/// Names are unique, and all numbers finite.
pub(super) fn sound(list: &[NamedTensor]) -> Result<(), String> {
    let mut names: Vec<&str> = list.iter().map(|named| named.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("two tensors are called `{}`", twice[0]));
    }
    match list.iter().find(|named| !finite(&named.tensor)) {
        Some(named) => Err(format!("`{}` is not finite", named.name)),
        None => Ok(()),
    }
}

pub(super) fn finite(tensor: &Tensor) -> bool {
    !tensor.is_floating_point() || bool::try_from(tensor.isfinite().all()).unwrap_or(false)
}

/// The largest difference over the largest magnitude.
pub(super) fn relative(own: &Tensor, expected: &Tensor) -> f64 {
    if own.size() != expected.size() {
        return f64::INFINITY;
    }
    if own.numel() == 0 {
        return 0.0;
    }
    let largest = |t: &Tensor| t.detach().to_kind(Kind::Double).abs().max().double_value(&[]);
    largest(&(own.to_kind(Kind::Double) - expected.to_kind(Kind::Double))) / largest(expected).max(1e-6)
}

/// Uniform in ±1, the same for a seed.
pub(super) fn noise(shape: &[i64], seed: u64) -> Tensor {
    let mut rng = Key::new(seed).purpose("conformance").rng();
    let values: Vec<f32> = (0..shape.iter().product::<i64>()).map(|_| rng.uniform(-1.0, 1.0) as f32).collect();
    Tensor::from_slice(&values).view(shape)
}

/// Copies of tensors, and where they lay.
pub(super) struct Before {
    list: Vec<(String, Tensor, usize)>,
}

impl Before {
    pub fn of(list: &[NamedTensor]) -> Self {
        let copy = |n: &NamedTensor| (n.name.clone(), n.tensor.detach().copy(), n.tensor.data_ptr() as usize);
        Self { list: list.iter().map(copy).collect() }
    }

    /// The same tensors, whatever their numbers: an optimizer would train a ghost otherwise.
    pub fn same_tensors(&self, now: &[NamedTensor]) -> Result<(), String> {
        let replaced = self
            .list
            .iter()
            .zip(now)
            .find(|((name, _, place), now)| *name != now.name || *place != now.tensor.data_ptr() as usize);
        match replaced {
            Some(((name, ..), _)) => Err(format!("`{name}` was replaced: change tensors in place")),
            None if self.list.len() != now.len() => Err("it lists other tensors than before".to_owned()),
            None => Ok(()),
        }
    }

    /// The same numbers; `only` picks by name.
    pub fn same_numbers(&self, now: &[NamedTensor]) -> Result<(), String> {
        match self
            .list
            .iter()
            .zip(now)
            .find(|((_, before, _), now)| now.tensor.detach().ne_tensor(before).any().int64_value(&[]) != 0)
        {
            Some(((name, ..), _)) => Err(format!("`{name}` changed")),
            None => Ok(()),
        }
    }

    /// Fills another instance's tensors.
    pub fn copy_into(&self, other: &mut [NamedTensor]) -> Result<(), String> {
        for ((name, from, _), to) in self.list.iter().zip(other) {
            if *name != to.name || from.size() != to.tensor.size() {
                return Err(format!("two instances of one config differ in `{name}`"));
            }
            tch::no_grad(|| to.tensor.f_copy_(from)).map_err(torch_said)?;
        }
        Ok(())
    }
}

/// Runs a call; gradient tracking, the number of threads and libtorch's generator must be as before.
pub(super) fn leaving_no_trace<T>(call: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    const SEED: i64 = 11;
    let draw = || Tensor::rand([4], (Kind::Float, tch::Device::Cpu));
    tch::manual_seed(SEED);
    let expected = draw();
    tch::manual_seed(SEED);
    let tracking = tracks_gradients();
    let threads = tch::get_num_threads();
    let result = call()?;
    if tracks_gradients() != tracking {
        return Err("it left gradient tracking changed: end every guard before you return".to_owned());
    }
    if tch::get_num_threads() != threads {
        return Err("it changed the number of threads".to_owned());
    }
    if draw() != expected {
        return Err("it drew from libtorch's generator: draw from the key".to_owned());
    }
    Ok(result)
}

pub(super) fn tracks_gradients() -> bool {
    let x = Tensor::zeros([1], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
    (&x + 1).requires_grad()
}

/// The slope of `value` along `gradient` at `points`, by central differences, against the gradient's own length.
///
/// The step moves the value by about half a percent: in f32 that stands clear of rounding, and curvature costs little.
pub(super) fn follows_gradient(
    points: &[Tensor],
    gradients: &[Option<Tensor>],
    mut value: impl FnMut() -> Result<f64, String>,
) -> Result<String, String> {
    const SHIFT: f64 = 5e-3;
    const FARTHEST: f64 = 0.02; // of the points' own length
    const TOLERANCE: f64 = 0.05;
    let length = |list: &mut dyn Iterator<Item = &Tensor>| -> f64 {
        list.map(|t| t.detach().to_kind(Kind::Double).square().sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt()
    };
    let slope = length(&mut gradients.iter().flatten());
    let at = value()?;
    let (scale, reach) = (at.abs().max(0.1), length(&mut points.iter()));
    let step = (SHIFT * scale / slope.max(1e-30)).min(FARTHEST * reach.max(1e-3));
    if slope * step < 1e-4 * scale {
        return Ok("flat where it was looked: nothing to compare with".to_owned());
    }
    let mut moved = |by: f64| -> Result<f64, String> {
        let shift = |by: f64| {
            for (point, gradient) in points.iter().zip(gradients) {
                if let Some(gradient) = gradient {
                    let change = gradient.to_kind(point.kind()) * (by / slope);
                    let _ = tch::no_grad(|| point.shallow_clone().f_add_(&change));
                }
            }
        };
        shift(by);
        let result = value();
        shift(-by);
        result
    };
    let found = (moved(step)? - moved(-step)?) / (2.0 * step);
    if (found / slope - 1.0).abs() > TOLERANCE {
        return Err(format!("along its gradient of length {slope:.4e} the value rises by {found:.4e}"));
    }
    Ok(format!(
        "the value rises by {:.2} % of the gradient's length (to within {:.0} %)",
        100.0 * found / slope,
        100.0 * TOLERANCE
    ))
}

/// libtorch's message without the C++ backtrace behind it.
pub(super) fn torch_said(error: tch::TchError) -> String {
    error.to_string().lines().next().unwrap_or_default().trim_end().to_owned()
}

/// Whether calls leave memory behind: the memory held after a warm-up and after as many calls again, twice.
pub(super) fn growth(
    calls: usize,
    mut call: impl FnMut() -> Result<(), String>,
    most_kib: f64,
) -> Result<String, String> {
    let mut round = || -> Result<f64, String> {
        let before = held_kib();
        (0..calls).try_for_each(|_| call())?;
        Ok((held_kib() - before) / calls as f64)
    };
    round()?; // what is made on first use
    let grown = round()?.min(round()?);
    if grown > most_kib {
        return Err(format!("it leaves {grown:.0} KiB behind at every call: {} calls kept growing", 2 * calls));
    }
    Ok(format!("{} calls more grow by {:.1} KiB each", calls, grown.max(0.0)))
}

fn held_kib() -> f64 {
    held_bytes().unwrap_or_default() as f64 / 1024.0
}

/// How many images a second a call takes, forward and backward, on one thread: the best of a few rounds.
pub(super) fn rate(images: i64, mut call: impl FnMut() -> Result<(), String>) -> Result<String, String> {
    const ROUNDS: usize = 5;
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = std::time::Instant::now();
        call()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(format!("{:.0} images/s forward and backward, {images} at a time, one thread", images as f64 / best))
}
