//! Values that break the contract: refused at the call that gave them, with what was expected and what came.

use super::{
    calls::{call, facts, features, views},
    rendered::rendered_call,
};
use crate::support::{
    faulty::{Made, fault, faulty, fixture},
    figures::figure,
};
use infomax::{native::SharedState, plugin::Kind};
use infomax_sdk::Mode;

/// The rendered refusal of one wrong value.
fn refusal(kind: Kind, callback: &str, what: &str) -> String {
    let error = match Made::new(&faulty(kind), &fault(callback, what)) {
        Err(error) => error,
        Ok(mut made) => match call(&mut made, callback) {
            Err(error) => error,
            Ok(()) => panic!("{} accepted the fault `{what}` in `{callback}`", kind.name()),
        },
    };
    assert_eq!(error.exit_code(), 3);
    let text = rendered_call(error);
    assert!(text.contains("\nhint: "), "it does not say what to do: {text}");
    text.replace(&fixture("faulty").parent().unwrap().display().to_string(), "[folder]")
}

fn refusals(kind: Kind, cases: &[(&str, &str)]) -> String {
    let line = |(callback, what): &(&str, &str)| format!("{callback}, {what}\n{}\n", refusal(kind, callback, what));
    let lines: Vec<String> = cases.iter().map(line).collect();
    figure("P11", "values that break the contract refused", lines.len(), cases.len());
    lines.join("\n")
}

#[test]
fn p11_wrong_maps_of_an_encoder_are_refused() {
    let mut cases = vec![("describe", "missing"), ("tensors", "undefined")];
    let wrong = ["shape", "rank", "kind", "undefined", "missing", "view_too_few", "detached"];
    cases.extend(wrong.map(|what| ("forward", what)));
    insta::assert_snapshot!(refusals(Kind::Encoder, &cases));
}

#[test]
fn p11_wrong_terms_of_a_loss_are_refused() {
    let mut cases = vec![("describe", "missing"), ("describe", "view_too_few"), ("forward", "detached")];
    let wrong = ["shape", "rank", "kind", "undefined", "term_shape", "term_kind", "term_undefined"];
    cases.extend(wrong.map(|what| ("forward", what)));
    cases.extend(wrong.map(|what| ("forward_backward", what)));
    cases.extend(["gradient_shape", "gradient_missing"].map(|what| ("forward_backward", what)));
    insta::assert_snapshot!(refusals(Kind::Loss, &cases));
}

#[test]
fn p11_wrong_facts_and_pixels_of_a_dataset_are_refused() {
    insta::assert_snapshot!(refusals(Kind::Dataset, &[("facts", "missing"), ("read", "shape"), ("labels", "shape")]));
}

#[test]
fn p11_impossible_views_of_an_augmentation_are_refused() {
    insta::assert_snapshot!(refusals(Kind::Augmentation, &[("describe", "missing"), ("describe", "shape")]));
}

#[test]
fn p11_gradient_mode_autocast_and_threads_are_put_back() {
    for what in ["no_grad_left", "threads_left", "autocast_left"] {
        let before = SharedState::now();
        let Made::Encoder(mut encoder) = Made::new(&faulty(Kind::Encoder), &fault("forward", what)).unwrap() else {
            unreachable!()
        };
        let given = encoder.forward(&views(), Mode::Train);
        // Without gradients the maps are refused for a better reason than a later surprise.
        assert_eq!(given.is_ok(), what != "no_grad_left");
        assert_eq!(SharedState::now(), before, "after the encoder with {what}");

        let Made::Loss(loss) = Made::new(&faulty(Kind::Loss), &fault("forward", what)).unwrap() else { unreachable!() };
        loss.forward(&features(), &facts(), 0..2).unwrap();
        assert_eq!(SharedState::now(), before, "after the loss with {what}");
    }
}
