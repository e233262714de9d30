//! What the same classifiers reach on the encoder as it was initialised: the number to be better than.

use super::{
    evaluate::Tester,
    model::{Model, classifier_settings},
    setup::Setup,
    step::Stepper,
};
use crate::{
    config::{Experiment, Stage},
    dataset::{OrderedWorkers, TrainBatch},
    error::{Error, Result},
    evaluator::Classifiers,
    optimizer::{Optimizer, Schedule, Trained},
};

/// Trains classifiers on a frozen fresh encoder over some batches, and tests them; `tell` hears of each of the
/// `steps`, and of each image of the test: what it is, which one, of how many.
///
/// # Errors
/// What the plugins or libtorch say.
#[expect(clippy::too_many_arguments, reason = "the parts of a run, which it does not own")]
pub fn untrained_top1(
    setup: &Setup,
    experiment: &Experiment,
    classes: usize,
    batches: OrderedWorkers<TrainBatch>,
    steps: u64,
    tester: &Tester,
    schedule: &Schedule,
    stop: &dyn Fn() -> Result<bool>,
    tell: &mut dyn FnMut(&str, u64, u64),
) -> Result<Vec<(String, f64)>> {
    let mut experiment = experiment.clone();
    experiment.encoder.weights = None;
    let beside = experiment.train.stage == Stage::Pretrain;
    if !beside {
        experiment.train.stage = Stage::Classifiers;
    }
    let experiment = &experiment;
    let mut model = Model::new(setup, experiment, Some(classes))?;
    let stepper = Stepper::new(&model, &setup.augmentation_description, experiment, &tester.group, 0)?;
    if !beside {
        for batch in batches {
            if stop()? {
                return Ok(Vec::new());
            }
            let batch = batch?;
            tell("step", batch.step, steps);
            stepper.step(&mut model, &batch, schedule.lr(batch.step, batch.epoch))?;
        }
        let classifiers = model.classifiers.take().expect("asked for above");
        return tested(&mut model, &classifiers, tester, tell);
    }
    let classifiers = model.classifiers.take().expect("asked for above");
    let own = classifier_settings(experiment);
    let settings = own.as_ref().unwrap_or(&experiment.optimizer);
    let mut optimizer = Optimizer::new(Trained::of("evaluator", &classifiers.tensors()), settings);
    for batch in batches {
        if stop()? {
            return Ok(Vec::new());
        }
        let batch = batch?;
        tell("step", batch.step, steps);
        optimizer.clear_gradients()?;
        stepper.classify_only(&mut model, &classifiers, &batch)?;
        optimizer.update(own.as_ref().map_or_else(|| schedule.lr(batch.step, batch.epoch), |own| own.lr), None)?;
    }
    model.share_buffers(&tester.group)?;
    tested(&mut model, &classifiers, tester, tell)
}

fn tested(
    model: &mut Model,
    classifiers: &Classifiers,
    tester: &Tester,
    tell: &mut dyn FnMut(&str, u64, u64),
) -> Result<Vec<(String, f64)>> {
    match tester.test(model, classifiers, &mut |done, of| tell("image", done, of))? {
        Some(result) if result.is_empty() => Err(Error::Bug { what: "no classifier to test".to_owned() }),
        tested => Ok(tested.unwrap_or_default()),
    }
}
