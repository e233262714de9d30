//! Numbers that are not finite: the step says which, and changes nothing.

use crate::support::{faulty::fixture, workspace::root};
use infomax::{
    config::Experiment,
    dataset::{TrainBatch, Views},
    distributed::Group,
    plugin::Registry,
    train::{Model, Setup, StepOutcome, Stepper},
};
use serde_json::json;
use tch::{Kind, Tensor};

const FAULT_STEP: u64 = 7;
const BATCH: usize = 8;

/// A model of faulty components, and what makes its updates.
fn model(encoder: &str, loss: &str, by_hand: bool) -> (Model, Stepper) {
    let library = fixture("faulty");
    let table = |callback: &str, fault: &str| {
        let config = json!({ "callback": callback, "fault": fault, "step": FAULT_STEP, "by_hand": by_hand });
        json!({ "name": "faulty", "path": library, "config": config })
    };
    let call = if by_hand { "forward_backward" } else { "forward" };
    let experiment = json!({
        "dataset": table("nowhere", "none"),
        "augmentation": table("nowhere", "none"),
        "encoder": table("forward", encoder),
        "loss": table(call, loss),
        "train": { "batch_size": BATCH },
    });
    let experiment: Experiment = serde_json::from_value(experiment).unwrap();
    let registry = Registry::search(vec![root().join("no-such-folder")], &[], None);
    let setup = Setup::new(&experiment, &registry, "cpu").unwrap_or_else(|error| panic!("{error}"));
    let model = Model::new(&setup, &experiment, None).unwrap_or_else(|error| panic!("{error}"));
    let stepper = Stepper::new(&model, &setup.augmentation_description, &experiment, &Group::alone(), 10).unwrap();
    (model, stepper)
}

fn step(model: &mut Model, stepper: &Stepper, step: u64) -> StepOutcome {
    let view = |salt: usize| (0..BATCH * 48).map(|i| ((i * 37 + salt * 11 + step as usize) % 251) as u8).collect();
    let indices: Vec<i64> = (0..BATCH as i64).collect();
    let (views, labels) = (Views::Bytes(vec![view(1), view(2)]), vec![0; BATCH]);
    let batch = TrainBatch { step, epoch: 0, views, labels, indices, all_labelled: true };
    stepper.step(model, &batch, 1e-2).unwrap_or_else(|error| panic!("{error}"))
}

/// Every parameter, bit for bit, and the optimizer's state.
fn bits(model: &Model) -> Vec<(String, Vec<u32>)> {
    let read = |tensor: &Tensor| {
        let numbers = Vec::<f32>::try_from(tensor.detach().to_kind(Kind::Float).reshape([-1])).unwrap();
        numbers.into_iter().map(f32::to_bits).collect()
    };
    let tensors = model.tensors().unwrap();
    let own = tensors.iter().map(|named| (named.name.clone(), read(&named.tensor)));
    own.chain(model.optimizer.state().iter().map(|(name, tensor)| (name.clone(), read(tensor)))).collect()
}

/// Steps up to and with the faulty one; gives what that one called not finite.
fn skipped(encoder: &str, loss: &str, by_hand: bool) -> String {
    let (mut model, stepper) = model(encoder, loss, by_hand);
    let mut before = bits(&model);
    for number in 0..FAULT_STEP {
        let outcome = step(&mut model, &stepper, number);
        assert_eq!(outcome.skipped, None, "step {number}");
        let now = bits(&model);
        assert_ne!(now, before, "step {number} updates");
        before = now;
    }
    let outcome = step(&mut model, &stepper, FAULT_STEP);
    assert_eq!(bits(&model), before, "a step that is not finite changes nothing");
    outcome.skipped.expect("the step is skipped")
}

#[test]
fn p12_nan_in_one_term_is_named_and_changes_nothing() {
    assert_eq!(skipped("none", "term_not_a_number", false), "loss/size");
    assert_eq!(skipped("none", "term_not_a_number", true), "loss/size");
}

#[test]
fn p12_nan_in_the_total_changes_nothing() {
    for by_hand in [false, true] {
        assert!(skipped("none", "not_a_number", by_hand).starts_with("loss"));
        assert!(skipped("not_a_number", "none", by_hand).starts_with("loss"));
    }
}

#[test]
fn p11_replaced_parameter_is_named() {
    let (mut model, stepper) = model("replaced", "none", false);
    model.check_identities().unwrap_or_else(|error| panic!("{}", error.fault()));
    step(&mut model, &stepper, 0);
    let error = model.check_identities().unwrap_err();
    let text = super::rendered::rendered_call(error);
    assert!(text.contains("`weight` was replaced") && text.contains("\nhint: change tensors in place"), "{text}");
}
