//! What must fit into a run's length: the warm-up, and the schedules that lead to the last update. How many updates that is, is
//! known only once the data are open.

use super::budget::Plan;
use crate::{
    checkpoint::RunState,
    config::{Budget, Experiment, LENGTHS, Optimizer, ScheduleName, is_within},
    error::{Error, Fault, Result},
    optimizer::Schedule,
};
use infomax_sdk::Momentum;

/// Makes sure that a run's schedules fit its length, and that one that goes on keeps its place on them.
///
/// # Errors
/// A warm-up that is longer than the run (exit code 2); a length other than the one that the schedules were laid out for
/// (exit code 5), unless a key of the length is overridden.
pub fn check_length(
    experiment: &Experiment,
    plan: Plan,
    schedule: &Schedule,
    momentum: Option<Momentum>,
    state: &RunState,
    overrides: &[String],
) -> Result<()> {
    if let Some(fault) = warmup_fault(experiment, plan, schedule) {
        return Err(Error::config(fault));
    }
    let (Some(then), now) = (state.planned_steps, plan.steps) else { return Ok(()) };
    let overridden = LENGTHS.iter().any(|key| overrides.iter().any(|name| is_within(key, name)));
    if Some(then) == now || overridden {
        return Ok(());
    }
    let moves = momentum.filter(|momentum| momentum.start != momentum.end);
    let what = match (moves, experiment.optimizer.schedule) {
        (Some(m), _) => format!("the momentum encoder's momentum goes from {} to {} over the run", m.start, m.end),
        (None, ScheduleName::Cosine) => "the learning rate follows a cosine over the run".to_owned(),
        (None, ScheduleName::Milestones) => return Ok(()),
    };
    let now = now.map_or("a number of updates that is not known".to_owned(), |now| format!("{now} updates"));
    let message = format!("{what}, which was to have {then} updates and has {now}: it would leave its place");
    let (key, _) = budget_of(experiment);
    let hint = format!("keep the length, begin another run, or go on all the same with `--override {key}`");
    Err(Error::Checkpoint { fault: Fault::new(message).at(format!("step {}", state.step)).hint(hint) })
}

/// What is wrong where the learning rate would still rise at the end of the run.
pub fn warmup_fault(experiment: &Experiment, plan: Plan, schedule: &Schedule) -> Option<Fault> {
    let steps = plan.steps?;
    let warmup = schedule.warmup_steps();
    if warmup <= steps {
        return None;
    }
    let optimizer = &experiment.optimizer;
    let (key, value) = match optimizer.warmup_epochs {
        Some(epochs) => ("optimizer.warmup_epochs", epochs),
        None => ("optimizer.warmup_steps", optimizer.warmup_steps.unwrap_or(Optimizer::DEFAULT_WARMUP_STEPS)),
    };
    let in_updates = |key: &str, value: u64, updates: u64| match key.ends_with("steps") {
        true => format!("`{key}` = {value}"),
        false => format!("`{key}` = {value} ({updates} updates)"),
    };
    let (length, amount) = budget_of(experiment);
    let message = format!("{} is longer than {}", in_updates(key, value, warmup), in_updates(length, amount, steps));
    Some(Fault::new(message).hint(format!("lower `{key}`, or train for longer")))
}

/// The key that says how long the run is, and what it says.
fn budget_of(experiment: &Experiment) -> (&'static str, u64) {
    match experiment.train.budget() {
        Budget::Epochs(epochs) => ("train.epochs", epochs),
        Budget::Steps(steps) => ("train.steps", steps),
        Budget::Images(images) => ("train.images", images),
        Budget::Seconds(seconds) => ("train.seconds", seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Train;
    use serde_json::json;

    fn experiment(train: Train, warmup_steps: Option<u64>, warmup_epochs: Option<u64>) -> Experiment {
        let parts = ["dataset", "augmentation", "encoder", "loss"].map(|kind| (kind, json!({"name": "any"})));
        let mut experiment: Experiment = serde_json::from_value(parts.into_iter().collect()).unwrap();
        experiment.optimizer = Optimizer { warmup_steps, warmup_epochs, ..Optimizer::default() };
        experiment.train = train;
        experiment
    }

    /// With 20 updates an epoch and 10 images a batch.
    fn fault(experiment: &Experiment) -> Option<String> {
        let plan = Plan::new(experiment.train.budget(), 10, 20);
        let schedule = Schedule::new(&experiment.optimizer, 20, plan.steps.unwrap_or(0));
        warmup_fault(experiment, plan, &schedule).map(|fault| fault.message)
    }

    #[test]
    fn every_pair_of_units_is_compared_in_updates() {
        let lengths = [
            Train { epochs: Some(2), ..Train::default() },
            Train { steps: Some(40), ..Train::default() },
            Train { images: Some(400), ..Train::default() },
        ];
        for train in lengths {
            for (fits, too_long) in [((Some(40), None), (Some(41), None)), ((None, Some(2)), (None, Some(3)))] {
                assert_eq!(fault(&experiment(train.clone(), fits.0, fits.1)), None);
                let message = fault(&experiment(train.clone(), too_long.0, too_long.1)).unwrap();
                assert!(message.contains("optimizer.warmup_") && message.contains("train."), "{message}");
            }
        }
        assert!(fault(&experiment(Train { steps: Some(40), ..Train::default() }, None, None)).is_some(), "the default");
        let seconds = Train { seconds: Some(1), ..Train::default() };
        assert_eq!(fault(&experiment(seconds, Some(1_000_000), None)), None, "nobody knows");
    }

    #[test]
    fn a_run_keeps_its_place_on_schedules_that_lead_to_its_end() {
        let state = RunState { step: 5, planned_steps: Some(40), ..RunState::default() };
        let byol = || Some(Momentum { start: 0.99, end: 1.0 });
        let constant = || Some(Momentum { start: 0.99, end: 0.99 });
        let check = |steps, schedule, momentum, overrides: &[&str]| {
            let mut experiment = experiment(Train { steps: Some(steps), ..Train::default() }, Some(0), None);
            experiment.optimizer.schedule = schedule;
            let plan = Plan::new(experiment.train.budget(), 10, 20);
            let schedule = Schedule::new(&experiment.optimizer, 20, steps);
            let overrides: Vec<String> = overrides.iter().map(|&name| name.to_owned()).collect();
            check_length(&experiment, plan, &schedule, momentum, &state, &overrides)
        };
        assert!(check(40, ScheduleName::Milestones, byol(), &[]).is_ok());
        let error = check(60, ScheduleName::Milestones, byol(), &[]).unwrap_err();
        assert!(error.exit_code() == 5 && error.to_string().contains("0.99"), "{error}");
        assert!(check(60, ScheduleName::Milestones, byol(), &["train.steps"]).is_ok());
        assert!(check(60, ScheduleName::Milestones, byol(), &["train"]).is_ok());
        assert!(check(60, ScheduleName::Milestones, constant(), &[]).is_ok());
        assert!(check(60, ScheduleName::Milestones, None, &[]).is_ok());
        assert!(check(60, ScheduleName::Cosine, None, &[]).is_err());
    }
}
