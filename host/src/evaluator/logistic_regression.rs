//! Multinomial logistic regression, to its optimum: what a linear classifier can reach on features, without a schedule to tune.
//!
//! Shapes: N samples · D channels · K classes.
//!
//! # Source
//! The objective is scikit-learn's: `C · Σ cross_entropy + ½ · |W|²`, the bias free; minimised by L-BFGS (Liu and Nocedal 1989).

use argmin::{
    core::{CostFunction, Executor, Gradient},
    solver::{linesearch::MoreThuenteLineSearch, quasinewton::LBFGS},
};
use std::cell::RefCell;
use tch::{Kind, TchError, Tensor};

const MEMORY: usize = 10; // scikit-learn's through SciPy
const GRADIENT_TOLERANCE: f64 = 1e-6; // of the mean cross-entropy's gradient
const COST_TOLERANCE: f64 = 1e-12;
const MOST_RESTARTS: usize = 20;

/// A fitted classifier.
#[derive(Debug)]
pub struct LogisticRegression {
    weight_kd: Tensor,
    bias_k: Tensor,
    /// The objective's value at the optimum.
    pub objective: f64,
    parameters: Vec<f64>,
}

impl Clone for LogisticRegression {
    fn clone(&self) -> Self {
        Self {
            weight_kd: self.weight_kd.shallow_clone(),
            bias_k: self.bias_k.shallow_clone(),
            objective: self.objective,
            parameters: self.parameters.clone(),
        }
    }
}

struct Problem<'a> {
    x_nd: &'a Tensor,
    labels_n: &'a Tensor,
    classes: i64,
    /// 1 / (C · N): the objective is divided by C · N, so that its size does not depend on them.
    penalty: f64,
    /// The lowest objective that was met, and where.
    best: &'a RefCell<(f64, Vec<f64>)>,
}

impl LogisticRegression {
    /// Fits features (N, D) f64 with labels (N) in 0..classes; `c` weighs the data against the penalty. Starts from another fit
    /// where one is given.
    ///
    /// # Errors
    /// libtorch's or the minimiser's message.
    pub fn fit(
        x_nd: &Tensor,
        labels_n: &Tensor,
        classes: i64,
        c: f64,
        most_iterations: u64,
        start: Option<&Self>,
    ) -> Result<Self, String> {
        let (n, d) = (x_nd.size()[0], x_nd.size()[1]);
        let count = (classes * (d + 1)) as usize;
        let start = start.map_or_else(|| vec![0.0; count], |fit| fit.parameters.clone());
        let best = RefCell::new((f64::INFINITY, start));
        let problem = || Problem { x_nd, labels_n, classes, penalty: 1.0 / (c * n as f64), best: &best };
        let mut before = f64::INFINITY;
        // Where rounding hides the descent, the line search calls it an error: begun again from the best point, until that
        // does not help any more.
        for _ in 0..MOST_RESTARTS {
            let solver = LBFGS::new(MoreThuenteLineSearch::new(), MEMORY);
            let solver =
                solver.with_tolerance_grad(GRADIENT_TOLERANCE).and_then(|s| s.with_tolerance_cost(COST_TOLERANCE));
            let solver = solver.map_err(|error| error.to_string())?;
            let from = best.borrow().1.clone();
            let run = Executor::new(problem(), solver).configure(|state| state.param(from).max_iters(most_iterations));
            let done = run.run();
            let value = best.borrow().0;
            if let (Err(error), false) = (&done, value.is_finite()) {
                return Err(error.to_string());
            }
            if done.is_ok() || before - value <= COST_TOLERANCE * value.abs() {
                break;
            }
            before = value;
        }
        let (objective, parameters) = best.take();
        let scratch = RefCell::default();
        let problem = Problem { x_nd, labels_n, classes, penalty: 0.0, best: &scratch };
        let (weight_kd, bias_k) = problem.split(&parameters).map_err(|error| error.to_string())?;
        Ok(Self { objective: objective * c * n as f64, weight_kd, bias_k, parameters })
    }

    /// The class that each row of features most likely has, (N).
    ///
    /// # Errors
    /// libtorch's.
    pub fn classify(&self, x_nd: &Tensor) -> Result<Tensor, TchError> {
        x_nd.f_linear(&self.weight_kd, Some(&self.bias_k))?.f_argmax(1, false)
    }
}

impl Problem<'_> {
    fn split(&self, parameters: &[f64]) -> Result<(Tensor, Tensor), TchError> {
        let d = self.x_nd.size()[1];
        let all = Tensor::f_from_slice(parameters)?.f_to_device(self.x_nd.device())?;
        let weight_kd = all.f_narrow(0, 0, self.classes * d)?.f_view([self.classes, d])?;
        Ok((weight_kd, all.f_narrow(0, self.classes * d, self.classes)?))
    }

    fn value(&self, parameters: &[f64]) -> Result<f64, TchError> {
        let (weight_kd, bias_k) = self.split(parameters)?;
        let logits = self.x_nd.f_linear(&weight_kd, Some(&bias_k))?;
        let loss = logits.f_cross_entropy_loss::<&Tensor>(self.labels_n, None, tch::Reduction::Mean, -100, 0.0)?;
        let penalty = weight_kd.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
        Ok(loss.f_double_value(&[])? + 0.5 * self.penalty * penalty)
    }

    /// By hand: (softmax − one-hot)ᵀ · x / N.
    fn slope(&self, parameters: &[f64]) -> Result<Vec<f64>, TchError> {
        let (weight_kd, bias_k) = self.split(parameters)?;
        let n = self.x_nd.size()[0] as f64;
        let mut residual_nk = self.x_nd.f_linear(&weight_kd, Some(&bias_k))?.f_softmax(1, Kind::Double)?;
        let own = self.labels_n.f_unsqueeze(1)?;
        let one = own.f_ones_like()?.f_to_kind(Kind::Double)?;
        residual_nk = residual_nk.f_scatter_add(1, &own, &one.f_neg()?)?.f_divide_scalar(n)?;
        let of_weight = residual_nk.f_transpose(0, 1)?.f_matmul(self.x_nd)?;
        let of_weight = of_weight.f_add(&weight_kd.f_multiply_scalar(self.penalty)?)?;
        let of_bias = residual_nk.f_sum_dim_intlist(&[0i64][..], false, Kind::Double)?;
        Vec::<f64>::try_from(Tensor::f_cat(&[of_weight.f_reshape([-1])?, of_bias], 0)?.f_to_device(tch::Device::Cpu)?)
    }
}

impl CostFunction for Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, parameters: &Vec<f64>) -> Result<f64, argmin::core::Error> {
        let value = tch::no_grad(|| self.value(parameters))?;
        if value < self.best.borrow().0 {
            *self.best.borrow_mut() = (value, parameters.clone());
        }
        Ok(value)
    }
}

impl Gradient for Problem<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, parameters: &Vec<f64>) -> Result<Vec<f64>, argmin::core::Error> {
        Ok(tch::no_grad(|| self.slope(parameters))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_optimum_has_no_slope_and_separates_what_is_separable() {
        tch::manual_seed(5);
        let labels = Tensor::arange(300, (Kind::Int64, tch::Device::Cpu)).remainder(3);
        let centres = Tensor::eye(3, (Kind::Double, tch::Device::Cpu)) * 4.0;
        let noise = Tensor::randn([300, 3], (Kind::Double, tch::Device::Cpu));
        let x = centres.index_select(0, &labels) + noise;
        let fit = LogisticRegression::fit(&x, &labels, 3, 1.0, 500, None).unwrap();
        let right = fit.classify(&x).unwrap().eq_tensor(&labels).sum(Kind::Int64).int64_value(&[]);
        assert!(right > 285, "{right} of 300");
        let scratch = RefCell::default();
        let problem = Problem { x_nd: &x, labels_n: &labels, classes: 3, penalty: 1.0 / 300.0, best: &scratch };
        let slope = problem.slope(&fit.parameters).unwrap();
        assert!(slope.iter().all(|g| g.abs() < 1e-5), "{slope:?}");
        // By finite differences, away from the optimum.
        let point: Vec<f64> = (0..12).map(|i| f64::from(i) * 0.1 - 0.5).collect();
        let slope = problem.slope(&point).unwrap();
        for i in 0..12 {
            let moved = |by: f64| {
                let mut point = point.clone();
                point[i] += by;
                problem.value(&point).unwrap()
            };
            assert!(((moved(1e-5) - moved(-1e-5)) / 2e-5 - slope[i]).abs() < 1e-8);
        }
        let again = LogisticRegression::fit(&x, &labels, 3, 1.0, 500, Some(&fit)).unwrap();
        assert!((again.objective - fit.objective).abs() < 1e-6 * fit.objective);
    }
}
