//! What the same classifiers reach on the encoder as it was initialised: the number to be better than.

use super::{
    evaluate::Tester,
    model::{Model, classifier_settings},
    setup::Setup,
    step::Stepper,
};
use crate::{
    config::Experiment,
    dataset::{OrderedWorkers, TrainBatch},
    error::{Error, Result},
    optimizer::{Optimizer, Schedule, Trained},
};

/// Trains classifiers on a frozen fresh encoder over some batches, and tests them.
///
/// # Errors
/// What the plugins or libtorch say.
pub fn untrained_top1(
    setup: &Setup,
    experiment: &Experiment,
    classes: usize,
    batches: OrderedWorkers<TrainBatch>,
    tester: &Tester,
    schedule: &Schedule,
    stop: &dyn Fn() -> Result<bool>,
) -> Result<Vec<(String, f64)>> {
    let mut model = Model::new(setup, experiment, Some(classes))?;
    let stepper = Stepper::new(&model, &setup.augmentation_description, experiment, &tester.group, 0)?;
    let classifiers = model.classifiers.take().expect("asked for above");
    let own = classifier_settings(experiment);
    let settings = own.as_ref().unwrap_or(&experiment.optimizer);
    let mut optimizer = Optimizer::new(Trained::of("evaluator", &classifiers.tensors()), settings);
    for batch in batches {
        if stop()? {
            return Ok(Vec::new());
        }
        let batch = batch?;
        optimizer.clear_gradients()?;
        stepper.classify_only(&mut model, &classifiers, &batch)?;
        optimizer.update(own.as_ref().map_or_else(|| schedule.lr(batch.step, batch.epoch), |own| own.lr))?;
    }
    model.share_buffers(&tester.group)?;
    let result = tester.test(&mut model, &classifiers)?;
    if result.is_empty() { Err(Error::Bug { what: "no classifier to test".to_owned() }) } else { Ok(result) }
}
