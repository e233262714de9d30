use argmin::{
    core::{
        CostFunction, Error, Executor, Gradient, IterState, KV, Problem, Solver, TerminationReason, TerminationStatus,
    },
    solver::{linesearch::MoreThuenteLineSearch, quasinewton::LBFGS},
};
use std::cell::{Cell, RefCell};

const MEMORY: usize = 10; // scikit-learn's through SciPy
const MOST_RESTARTS: usize = 20;

/// What an objective may fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A function with a slope everywhere.
pub trait Smooth {
    /// # Errors
    /// The function's own.
    fn value(&self, point: &[f64]) -> Result<f64, BoxError>;

    /// # Errors
    /// The function's own.
    fn slope(&self, point: &[f64]) -> Result<Vec<f64>, BoxError>;
}

/// The lowest point that was found.
#[derive(Clone, Debug)]
pub struct Minimum {
    pub point: Vec<f64>,
    pub value: f64,
    pub iterations: u64,
}

/// Descends by L-BFGS (Liu and Nocedal 1989) until `is_optimum` says so of a value and its slope, or the iterations are made.
///
/// # Errors
/// An objective that has no value anywhere it was asked for one.
pub fn minimise(
    objective: &dyn Smooth,
    start: Vec<f64>,
    most_iterations: u64,
    is_optimum: fn(f64, &[f64]) -> bool,
) -> Result<Minimum, String> {
    let best = RefCell::new((f64::INFINITY, start));
    let (made, mut before) = (Cell::new(0), f64::INFINITY);
    // Where rounding hides the descent, the line search calls it an error: begun again from the best point, until that
    // does not help any more.
    for _ in 0..MOST_RESTARTS {
        let (point, left) = (best.borrow().1.clone(), most_iterations - made.get());
        let watched = Watched { objective, best: &best };
        let descent = Descent { rule: LBFGS::new(MoreThuenteLineSearch::new(), MEMORY), made: &made, is_optimum };
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
    Ok(Minimum { point, value, iterations: made.get() })
}

/// An objective whose lowest point is kept, whatever becomes of the descent.
struct Watched<'a> {
    objective: &'a dyn Smooth,
    best: &'a RefCell<(f64, Vec<f64>)>,
}

impl CostFunction for Watched<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, point: &Vec<f64>) -> Result<f64, Error> {
        let value = self.objective.value(point).map_err(Error::from_boxed)?;
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
        self.objective.slope(point).map_err(Error::from_boxed)
    }
}

type Rule = LBFGS<MoreThuenteLineSearch<Vec<f64>, Vec<f64>, f64>, Vec<f64>, Vec<f64>, f64>;
type Place = IterState<Vec<f64>, Vec<f64>, (), (), (), f64>;

/// L-BFGS with a rule of its own for where it stops: argmin's knows fixed sizes only.
struct Descent<'a> {
    rule: Rule,
    made: &'a Cell<u64>,
    is_optimum: fn(f64, &[f64]) -> bool,
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
        let is_there = state.get_gradient().is_some_and(|slope| (self.is_optimum)(state.get_cost(), slope));
        if is_there {
            TerminationStatus::Terminated(TerminationReason::SolverConverged)
        } else {
            TerminationStatus::NotTerminated
        }
    }
}
