//! Multinomial logistic regression, to its optimum: what a linear classifier can reach on features, without a schedule to tune.
//!
//! Shapes: N samples · D channels · K classes.
//!
//! # Source
//! The objective is scikit-learn's: `C · Σ cross_entropy + ½ · |W|²`, the bias free; minimised by L-BFGS (Liu and Nocedal 1989).

use super::logistic_objective::{Objective, Samples};
use argmin::{
    core::{
        CostFunction, Error, Executor, Gradient, IterState, KV, Problem, Solver, TerminationReason, TerminationStatus,
    },
    solver::{linesearch::MoreThuenteLineSearch, quasinewton::LBFGS},
};
use std::cell::{Cell, RefCell};
use tch::{TchError, Tensor};

const MEMORY: usize = 10; // scikit-learn's through SciPy
/// Of the slope in coordinates of curvature 1 or less, beside the objective: of what can still be gained no more than 1e-9 of it remains in practice.
const SLOPE_TOLERANCE: f64 = 1e-6;
const MOST_RESTARTS: usize = 20;

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
        let best = RefCell::new((f64::INFINITY, start));
        let (made, mut before) = (Cell::new(0), f64::INFINITY);
        // Where rounding hides the descent, the line search calls it an error: begun again from the best point, until that
        // does not help any more.
        for _ in 0..MOST_RESTARTS {
            let (point, left) = (best.borrow().1.clone(), most_iterations - made.get());
            let watched = Watched { objective: &objective, best: &best };
            let descent = Descent { rule: LBFGS::new(MoreThuenteLineSearch::new(), MEMORY), made: &made };
            let done = Executor::new(watched, descent).configure(|state| state.param(point).max_iters(left)).run();
            let value = best.borrow().0;
            if let (Err(error), false) = (&done, value.is_finite()) {
                return Err(error.to_string());
            }
            if done.is_ok() || made.get() >= most_iterations || value >= before {
                break;
            }
            before = value;
        }
        let (value, point) = best.into_inner();
        let slope = objective.gradient(&point).map_err(|error| error.to_string())?;
        let (weight_kd, bias_k) = objective.classifier(&point).map_err(text)?;
        let (iterations, converged) = (made.get(), is_optimum(value, &slope));
        Ok(Self { weight_kd, bias_k, objective: value * c * samples.count() as f64, converged, iterations })
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

/// An objective whose lowest point is kept, whatever becomes of the descent.
struct Watched<'a> {
    objective: &'a Objective<'a>,
    best: &'a RefCell<(f64, Vec<f64>)>,
}

impl CostFunction for Watched<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, point: &Vec<f64>) -> Result<f64, Error> {
        let value = self.objective.cost(point)?;
        if value < self.best.borrow().0 {
            *self.best.borrow_mut() = (value, point.clone());
        }
        Ok(value)
    }
}

impl Gradient for Watched<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, point: &Vec<f64>) -> Result<Vec<f64>, Error> {
        self.objective.gradient(point)
    }
}

type Rule = LBFGS<MoreThuenteLineSearch<Vec<f64>, Vec<f64>, f64>, Vec<f64>, Vec<f64>, f64>;
type Place = IterState<Vec<f64>, Vec<f64>, (), (), (), f64>;

/// L-BFGS that stops where the slope is small beside the objective: its own rule knows fixed sizes only.
struct Descent<'a> {
    rule: Rule,
    /// Iterations so far.
    made: &'a Cell<u64>,
}

impl Solver<Watched<'_>, Place> for Descent<'_> {
    fn name(&self) -> &str {
        "L-BFGS"
    }

    fn init(&mut self, problem: &mut Problem<Watched<'_>>, state: Place) -> Result<(Place, Option<KV>), Error> {
        self.rule.init(problem, state)
    }

    fn next_iter(&mut self, problem: &mut Problem<Watched<'_>>, state: Place) -> Result<(Place, Option<KV>), Error> {
        self.made.set(self.made.get() + 1);
        self.rule.next_iter(problem, state)
    }

    fn terminate(&mut self, state: &Place) -> TerminationStatus {
        let is_there = state.get_gradient().is_some_and(|slope| is_optimum(state.get_cost(), slope));
        if is_there {
            TerminationStatus::Terminated(TerminationReason::SolverConverged)
        } else {
            TerminationStatus::NotTerminated
        }
    }
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
