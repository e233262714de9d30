//! What a frozen encoder's features are worth: a linear classifier at its optimum, nearest neighbours, how much of its space it
//! uses. Nothing is chosen on the test images.

use super::Features;
use crate::{
    error::{Error, Result},
    evaluator::{LogisticRegression, Neighbours, Samples, spread},
};
use infomax_sdk::Key;
use serde::Serialize;
use std::rc::Rc;
use tch::{Kind, TchError, Tensor};

/// Weights of the data against the penalty that are tried, from strong to weak penalty; DINOv2's grid, thinned.
const STRENGTHS: [f64; 7] = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0];
/// Share of the training images that the strength is chosen on.
const CHOSEN_ON: f64 = 0.1;
/// Enough to tell strengths apart, each from where the last one ended; and to the optimum with the chosen one.
const ITERATIONS: [u64; 2] = [50, 1000];
/// A channel whose deviation is a smaller share than this of its own size, or of the whole representation's, does not change but
/// for rounding in f32 (6e-8 a number, some times that after many layers): it stays 0. Rounding depends on the size of batches.
const LEAST_DEVIATION: [f64; 2] = [1e-4, 1e-6];

/// What is measured besides the linear classifier.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub classes: i64,
    pub knn_k: u64,
    pub knn_temperature: f64,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub train_images: i64,
    pub test_images: i64,
    /// In percent.
    pub linear_top1: f64,
    /// The weight of the data that was chosen on a part of the training images.
    pub linear_c: f64,
    /// Whether the linear classifier came to its optimum.
    pub linear_converged: bool,
    /// In percent.
    pub knn_top1: f64,
    pub feature_std: f64,
    pub rankme: f64,
    pub uniformity: f64,
}

/// What is said of each test image, in the order of the features: labels.
#[derive(Clone, Debug)]
pub struct Said {
    pub linear: Vec<i64>,
    pub knn: Vec<i64>,
}

/// Measures features on the test images, with the labels of the training images.
///
/// # Errors
/// libtorch's or the minimiser's message.
pub fn measure(train: &Features, test: &Features, settings: Settings) -> Result<(Measured, Said)> {
    let Linear { class_n, top1: linear_top1, c: linear_c, converged: linear_converged } =
        linear(train, test, settings.classes)?;
    let others = || -> Result<(Measured, Said), TchError> {
        let neighbours =
            Neighbours::new(&train.x_nd, &train.labels_n, settings.classes, settings.knn_k, settings.knn_temperature)?;
        let count = test.x_nd.size()[0];
        let knn_n = neighbours.classify_all(&test.x_nd)?;
        let right = correct(&knn_n, &test.labels_n)?;
        let said = Said { linear: Vec::try_from(&class_n)?, knn: Vec::try_from(&knn_n)? };
        let [(_, feature_std), (_, rankme), (_, uniformity)] = spread(&test.x_nd)?;
        let measured = Measured {
            train_images: train.x_nd.size()[0],
            test_images: count,
            linear_top1,
            linear_c,
            linear_converged,
            knn_top1: 100.0 * right as f64 / count as f64,
            feature_std,
            rankme,
            uniformity,
        };
        Ok((measured, said))
    };
    tch::no_grad(others).map_err(Error::torch("measure the representation"))
}

/// What a linear classifier reaches.
struct Linear {
    /// The class of every test image.
    class_n: Tensor,
    /// In percent.
    top1: f64,
    /// The strength that was chosen.
    c: f64,
    converged: bool,
}

fn linear(train: &Features, test: &Features, classes: i64) -> Result<Linear> {
    let torch = || Error::torch("fit a linear classifier");
    let (x, mean, inverse_std) = standardised(&train.x_nd).map_err(torch())?;
    let x_test = scaled(&test.x_nd, &mean, &inverse_std).map_err(torch())?;
    let fit = |samples: &Samples, c: f64, most: u64, start: Option<&LogisticRegression>| {
        let fit = tch::no_grad(|| LogisticRegression::fit(samples, c, most, start));
        fit.map_err(|message| Error::Torch { action: "fit a linear classifier", message })
    };
    let (fitted, chosen) = parts(train.x_nd.size()[0]);
    let part = |tensor: &Tensor, rows: &[i64]| tensor.f_index_select(0, &Tensor::f_from_slice(rows)?);
    let mut best: (i64, f64, Option<Rc<LogisticRegression>>) = (-1, STRENGTHS[STRENGTHS.len() / 2], None);
    if !chosen.is_empty() {
        let pick = |rows: &[i64]| Ok((part(&x, rows)?, part(&train.labels_n, rows)?));
        let ((x_fit, y_fit), (x_pick, y_pick)) =
            pick(&fitted).and_then(|fitted| Ok((fitted, pick(&chosen)?))).map_err(torch())?;
        let samples = Samples::new(&x_fit, &y_fit, classes).map_err(torch())?;
        drop(x_fit);
        let mut last: Option<Rc<LogisticRegression>> = None;
        for c in STRENGTHS {
            let next = Rc::new(fit(&samples, c, ITERATIONS[0], last.as_deref())?);
            let right = next.classify(&x_pick).and_then(|class| correct(&class, &y_pick)).map_err(torch())?;
            if right > best.0 {
                best = (right, c, Some(next.clone()));
            }
            last = Some(next);
        }
    }
    let samples = Samples::new(&x, &train.labels_n, classes).map_err(torch())?;
    let whole = fit(&samples, best.1, ITERATIONS[1], best.2.as_deref())?;
    if !whole.converged {
        let (made, c) = (whole.iterations, best.1);
        log::warn!(
            "the linear classifier (C = {c:e}) is not at its optimum after {made} iterations: linear_top1 may differ there"
        );
    }
    let class_n = whole.classify(&x_test).map_err(torch())?;
    let right = correct(&class_n, &test.labels_n).map_err(torch())?;
    let top1 = 100.0 * right as f64 / x_test.size()[0] as f64;
    Ok(Linear { class_n, top1, c: best.1, converged: whole.converged })
}

/// Rows to fit on, and rows to choose the strength on; of very few images none are taken away.
fn parts(count: i64) -> (Vec<i64>, Vec<i64>) {
    let mut rows: Vec<i64> = (0..count).collect();
    Key::new(0).purpose("strength").rng().shuffle(&mut rows);
    let held = (count as f64 * CHOSEN_ON).floor() as usize;
    let chosen = rows.split_off(rows.len() - held);
    (rows, chosen)
}

/// Each channel with mean 0 and deviation 1 over the training images, in f64; 0 where it never changes.
fn standardised(x_nd: &Tensor) -> Result<(Tensor, Tensor, Tensor), TchError> {
    let x = x_nd.f_to_kind(Kind::Double)?;
    let mean = x.f_mean_dim(&[0i64][..], true, Kind::Double)?;
    let std = x.f_std_dim(&[0i64][..], false, true)?;
    let square = x.f_square()?.f_mean_dim(&[0i64][..], true, Kind::Double)?;
    let [of_own, of_all] = LEAST_DEVIATION;
    let least = square.f_sqrt()?.f_multiply_scalar(of_own)?;
    let least = least.f_maximum(&square.f_mean(Kind::Double)?.f_sqrt()?.f_multiply_scalar(of_all)?)?;
    let inverse = std.f_reciprocal()?.f_masked_fill(&std.f_le_tensor(&least)?, 0.0)?;
    Ok((scaled(&x, &mean, &inverse)?, mean, inverse))
}

fn scaled(x_nd: &Tensor, mean: &Tensor, inverse_std: &Tensor) -> Result<Tensor, TchError> {
    x_nd.f_to_kind(Kind::Double)?.f_sub(mean)?.f_mul(inverse_std)
}

fn correct(class_n: &Tensor, labels_n: &Tensor) -> Result<i64, TchError> {
    class_n.f_eq_tensor(labels_n)?.f_sum(Kind::Int64)?.f_int64_value(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use infomax_sdk::Key;
    use tch::Device;

    const CLASSES: i64 = 4;

    /// Rows of sixteen numbers, close to normal ones. libtorch's own draws are every test's.
    fn normal(what: &str, seed: u64, rows: i64) -> Tensor {
        const STEPS: u64 = 1 << 20;
        let mut rng = Key::new(seed).purpose(what).rng();
        let mut number = || (0..12).map(|_| rng.below(STEPS) as f32 / STEPS as f32).sum::<f32>() - 6.0;
        Tensor::from_slice(&(0..rows * 16).map(|_| number()).collect::<Vec<_>>()).reshape([rows, 16])
    }

    /// Features of images sorted by class: `signal` times what tells the classes apart, on a constant, with the rounding of batches
    /// of a size.
    fn features(count: i64, signal: f64, batch_size: i64) -> Features {
        let labels_n = Tensor::arange(count, (Kind::Int64, Device::Cpu)).divide_scalar_mode(count / CLASSES, "floor");
        let labels_n = labels_n.to_kind(Kind::Int64).clamp_max(CLASSES - 1);
        let constant = normal("constant", 0, 1) * 1.5;
        let classes = normal("classes", 0, CLASSES).index_select(0, &labels_n) * signal;
        let batch_n = Tensor::arange(count, (Kind::Int64, Device::Cpu)).divide_scalar_mode(batch_size, "floor");
        let rounding =
            normal("rounding", batch_size as u64, count).index_select(0, &batch_n.to_kind(Kind::Int64)) * 2e-7;
        Features {
            x_nd: &constant * (rounding + 1.0) + classes,
            labels_n,
            positions_n: Tensor::arange(count, (Kind::Int64, Device::Cpu)),
        }
    }

    fn measured(signal: f64, batch_size: i64) -> Measured {
        let settings = Settings { classes: CLASSES, knn_k: 20, knn_temperature: 0.1 };
        measure(&features(200, signal, batch_size), &features(100, signal, batch_size), settings).unwrap().0
    }

    #[test]
    fn what_a_collapsed_encoder_is_worth_does_not_depend_on_the_size_of_batches() {
        let of = |batch_size| {
            let measured = measured(0.0, batch_size);
            (measured.linear_top1, measured.linear_c, measured.knn_top1)
        };
        let alone = of(1);
        assert_eq!(alone.0, 25.0, "chance");
        for batch_size in [2, 7, 25, 50, 64, 200] {
            assert_eq!(of(batch_size), alone, "in batches of {batch_size}");
        }
    }

    #[test]
    fn small_differences_that_are_real_are_used() {
        for batch_size in [1, 7, 64] {
            let Measured { linear_top1, .. } = measured(1e-3, batch_size);
            assert!(linear_top1 > 99.0, "{linear_top1} in batches of {batch_size}");
        }
    }
}
