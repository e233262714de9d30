//! Capturing a step: the same host code runs once more while the device writes down what it is given, as several graphs, since
//! each part of a step that draws from libtorch's generator has a seed of its own.

use super::{
    graphs::{Not, Ready, Seen, captured_part, difference, known},
    input::Input,
    model::Model,
    step::Stepper,
};
use crate::{
    error::{Error, Result},
    native::{
        graphs::{Capture, Graph, Pool},
        watch::{mark, watched},
    },
    plugin::draws::giving,
    tensor::Facts,
};
use infomax_sdk::Key;
use std::cell::RefCell;
use tch::Tensor;

/// Marks of a watched step, before and after the loss is told of it.
pub(super) const BEFORE: &str = "@before";
/// See [`BEFORE`].
pub(super) const BEGUN: &str = "@begun";
/// Begins the mark of a seed.
const SEED: &str = "@seed";

/// What a replay does, in order.
#[derive(Debug)]
pub(super) enum Action {
    /// Sets the seed of what follows.
    Seed {
        purpose: &'static str,
        pass: Option<u64>,
    },
    Replay(Graph),
}

/// A capture under way.
struct Taking {
    device: usize,
    pool: Pool,
    /// Whether anything is drawn after each seed, in their order.
    draws: Vec<bool>,
    next: usize,
    open: Option<Capture>,
    actions: Vec<Action>,
}

thread_local! {
    static TAKING: RefCell<Option<Taking>> = const { RefCell::new(None) };
}

/// Seeds libtorch's generators for a part of a step.
///
/// # Errors
/// While a step is captured: libtorch's message.
pub(in crate::train) fn seed(step: Key, purpose: &'static str, pass: Option<u64>) -> Result<()> {
    let is_captured = TAKING.with_borrow_mut(|taking| {
        let Some(taking) = taking else { return Ok(false) };
        taking.cut(purpose, pass).map(|()| true)
    });
    if !is_captured.map_err(Error::native("capture a step"))? {
        mark(&format!("{SEED} {purpose} {pass:?}"));
        let key = step.purpose(purpose);
        tch::manual_seed(pass.map_or(key, |pass| key.fold(pass)).torch_seed());
    }
    Ok(())
}

/// Tells the loss of a step before it.
///
/// # Errors
/// What the plugin says.
pub(in crate::train) fn before_step(model: &mut Model, facts: &Facts) -> Result<()> {
    mark(BEFORE);
    let told = model.loss.as_mut().map_or(Ok(()), |loss| loss.before_step(facts));
    mark(BEGUN);
    Ok(told?)
}

impl Taking {
    /// Ends a graph and begins another, where something is drawn by the seed.
    fn cut(&mut self, purpose: &'static str, pass: Option<u64>) -> Result<(), String> {
        let draws = self.draws.get(self.next).copied();
        self.next += 1;
        if draws.ok_or("a seed is set that was not set in the step before")? {
            self.end()?;
            self.actions.push(Action::Seed { purpose, pass });
            self.begin()?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), String> {
        self.open = Some(Capture::begin(self.device, self.pool)?);
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        if let Some(open) = self.open.take() {
            self.actions.push(Action::Replay(open.end()?));
        }
        Ok(())
    }
}

/// Captures a step of a batch in memory that stays; what the device is given meanwhile is not done.
pub(super) fn capture(
    stepper: &Stepper,
    model: &mut Model,
    device: usize,
    input: Input,
    seen: Seen,
) -> Result<Ready, Not> {
    let refused = |message: String| Not::Ever(format!("the step can't be captured: {message}"));
    let in_words = |error: Error| {
        let fault = error.faults().into_iter().next();
        refused(fault.map_or_else(|| error.to_string(), |fault| fault.message))
    };
    let known = known(model).map_err(in_words)?;
    let mut draws = seen.draws;
    for draw in &mut draws {
        draw.tensor = draw.again(stepper.key(input.step)).map_err(refused)?;
    }
    let pool = Pool::new(device).map_err(refused)?;
    let mut taking =
        Taking { device, pool, draws: drawn_after_seeds(&seen.text), next: 0, open: None, actions: Vec::new() };
    taking.begin().map_err(refused)?;
    TAKING.set(Some(taking));
    let ((computed, draws), watched) =
        watched(&known, true, || giving(draws, || stepper.compute(model, &input, false)));
    let mut taking = TAKING.take().expect("put there above");
    // First of all: until the capture ends nothing else can be done.
    let ended = taking.end();
    let computed = computed.map_err(in_words)?;
    ended.map_err(refused)?;
    let draws = draws.map_err(refused)?;
    let (before, now): (Vec<&str>, Vec<&str>) =
        (captured_part(&seen.text).filter(is_call).collect(), captured_part(&watched.text).filter(is_call).collect());
    if let Some(difference) = difference(&before.join("\n"), &now.join("\n")) {
        return Err(refused(format!("it asked for something else than the step before: {difference}")));
    }
    let parameters = model.optimizers().flat_map(|optimizer| optimizer.trained());
    let gradient =
        |parameter: &Tensor| Some((parameter.shallow_clone(), parameter.grad())).filter(|(_, g)| g.defined());
    let gradients = parameters.filter_map(|trained| gradient(&trained.tensor)).collect();
    let computed = computed.again();
    Ok(Ready { input, actions: taking.actions, draws, computed, gradients, attached: true, _kept: watched })
}

/// A line that is a call of libtorch.
fn is_call(line: &&str) -> bool {
    line.starts_with([' ', '~', '?'])
}

/// Whether anything is drawn from libtorch's generator after each seed of a watched step, before the next.
fn drawn_after_seeds(text: &str) -> Vec<bool> {
    let mut draws = Vec::new();
    for line in captured_part(text) {
        if line.starts_with(SEED) {
            draws.push(false);
        } else if let Some(last) = draws.last_mut().filter(|_| line.starts_with('~')) {
            *last = true;
        }
    }
    draws
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_counts_where_something_is_drawn_by_it() {
        let text = "@seed encoder Some(0)\n relu\n@seed loss None\n@before\n~rand\n@begun\n@draw\n?randint\n@drawn\n mm\n\
                    @seed evaluator None\n~dropout\n mm\n";
        assert_eq!(drawn_after_seeds(text), [false, false, true]);
        assert_eq!(captured_part(text).filter(is_call).collect::<Vec<_>>(), [" relu", " mm", "~dropout", " mm"]);
    }
}
