//! Multinomial logistic regression, to its optimum: what a linear classifier can reach on features, without a schedule to tune.
//!
//! Shapes: N samples · D channels · K classes.
//!
//! # Source
//! The objective is scikit-learn's: `C · Σ cross_entropy + ½ · |W|²`, the bias free; minimised by L-BFGS (Liu and Nocedal 1989).

use super::logistic_objective::Samples;
use infomax_solvers::{Minimum, Smooth, minimise};
use tch::{TchError, Tensor};

/// Of the slope in coordinates of curvature 1 or less, beside the objective: of what can still be gained no more than 1e-9 of it remains in practice.
const SLOPE_TOLERANCE: f64 = 1e-6;

/// A fitted classifier.
#[derive(Debug)]
pub struct LogisticRegression {
    weight_kd: Tensor,
    bias_k: Tensor,
    /// The objective's value at the end.
    pub objective: f64,
    /// Whether that is the optimum, not where the allowed iterations ended.
    pub converged: bool,
    /// How many were made.
    pub iterations: u64,
}

impl LogisticRegression {
    /// Fits samples; `c` weighs the data against the penalty. Starts from another fit where one is given.
    ///
    /// # Errors
    /// libtorch's or the minimiser's message.
    pub fn fit(samples: &Samples, c: f64, most_iterations: u64, start: Option<&Self>) -> Result<Self, String> {
        let text = |error: TchError| error.to_string();
        let objective = samples.objective(c).map_err(text)?;
        let start = match start {
            Some(fit) => objective.point_of(&fit.weight_kd, &fit.bias_k).map_err(text)?,
            None => vec![0.0; objective.size()],
        };
        let Minimum { point, value, iterations } = minimise(&objective, start, most_iterations, is_optimum)?;
        let slope = objective.slope(&point).map_err(|error| error.to_string())?;
        let (weight_kd, bias_k) = objective.classifier(&point).map_err(text)?;
        let objective = value * c * samples.count() as f64;
        Ok(Self { weight_kd, bias_k, objective, converged: is_optimum(value, &slope), iterations })
    }

    /// The class that each row of features most likely has, (N).
    ///
    /// # Errors
    /// libtorch's.
    pub fn classify(&self, x_nd: &Tensor) -> Result<Tensor, TchError> {
        x_nd.f_linear(&self.weight_kd, Some(&self.bias_k))?.f_argmax(1, false)
    }
}

fn is_optimum(value: f64, slope: &[f64]) -> bool {
    slope.iter().map(|s| s * s).sum::<f64>().sqrt() <= SLOPE_TOLERANCE * value
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn the_optimum_is_found_and_separates_what_is_separable_whatever_the_scales() {
        tch::manual_seed(5);
        let labels = Tensor::arange(300, (Kind::Int64, Device::Cpu)).remainder(3);
        let centres = Tensor::eye(3, (Kind::Double, Device::Cpu)) * 4.0;
        let noise = Tensor::randn([300, 3], (Kind::Double, Device::Cpu));
        let x = centres.index_select(0, &labels) + noise;
        let fit = |x: &Tensor, c: f64, start: Option<&LogisticRegression>| {
            LogisticRegression::fit(&Samples::new(x, &labels, 3).unwrap(), c, 500, start).unwrap()
        };
        let plain = fit(&x, 1.0, None);
        let right = plain.classify(&x).unwrap().eq_tensor(&labels).sum(Kind::Int64).int64_value(&[]);
        assert!(plain.converged && plain.iterations < 100 && right > 285, "{plain:?}, {right} of 300");
        let again = fit(&x, 1.0, Some(&plain));
        assert!(again.iterations <= 1 && (again.objective / plain.objective - 1.0).abs() < 1e-9);
        // Nearly without a penalty, scales make no difference.
        let scale = Tensor::from_slice(&[1e-4, 1.0, 1e4]);
        let (one, other) = (fit(&x, 1e6, None), fit(&(&x * &scale), 1e14, None));
        let class = |fit: &LogisticRegression, x: &Tensor| Vec::<i64>::try_from(fit.classify(x).unwrap()).unwrap();
        assert!(one.converged && other.converged && other.iterations < 200, "{one:?} {other:?}");
        let differ = class(&one, &x).iter().zip(class(&other, &(&x * &scale))).filter(|(a, b)| **a != *b).count();
        assert!(differ <= 2, "{differ} of 300");
    }

    #[test]
    fn too_few_iterations_are_told() {
        tch::manual_seed(6);
        let labels = Tensor::randint(4, [200], (Kind::Int64, Device::Cpu));
        let samples = Samples::new(&Tensor::randn([200, 10], (Kind::Double, Device::Cpu)), &labels, 4).unwrap();
        let fit = LogisticRegression::fit(&samples, 10.0, 1, None).unwrap();
        assert!(!fit.converged && fit.iterations == 1);
        assert!(LogisticRegression::fit(&samples, 10.0, 1000, Some(&fit)).unwrap().converged);
        let broken = Tensor::from_slice(&[1.0, f64::NAN]).view([2, 1]);
        assert!(Samples::new(&broken, &Tensor::from_slice(&[0i64, 1]), 2).is_err());
    }
}
