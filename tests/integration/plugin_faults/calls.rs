//! Panics and errors in every callback of every kind: the host survives, the error says where, the instance is only
//! dropped afterwards.

use super::rendered::rendered_call;
use crate::support::faulty::{Made, fault, faulty, fixture, request};
use crate::support::figures::figure;
use infomax::{
    error::Error,
    plugin::{Kind, PluginError, request_text},
    tensor::{Facts, Feature, Features},
};
use infomax_abi::{FfiResult, abi_stable::std_types::RResult};
use infomax_sdk::{Error as ComponentError, ErrorKind, ImageRef, Key, Mode, Source, ViewMut, guard::from_ffi};
use serde_json::json;
use tch::{Device, Kind as Dtype, Tensor};

/// Callbacks with an error to return, of each kind; a made instance is needed from the third on.
const CALLBACKS: [(Kind, &[&str]); 4] = [
    (Kind::Dataset, &["describe", "create", "facts", "read", "labels"]),
    (Kind::Augmentation, &["describe", "create", "train_views", "eval_view"]),
    (Kind::Encoder, &["describe", "create", "forward", "tensors", "save", "load"]),
    (
        Kind::Loss,
        &[
            "describe",
            "create",
            "forward",
            "forward_backward",
            "before_step",
            "after_update",
            "tensors",
            "save",
            "load",
        ],
    ),
];
/// Those that can't return one: the host passes over `locate` and warns of `drop`.
const SILENT: usize = 1 + 4;

pub fn views() -> Vec<Tensor> {
    [1, 2].map(|_| Tensor::rand([2, 3, 4, 4], (Dtype::Float, Device::Cpu))).into()
}

pub fn features() -> Features {
    let item = |view| Feature {
        view,
        source: Source::Encoder,
        map: "r1".to_owned(),
        tensor: Tensor::rand([2, 4, 1, 1], (Dtype::Float, Device::Cpu)).set_requires_grad(true),
    };
    Features::new(vec![item(0), item(1)])
}

pub fn facts() -> Facts {
    Facts {
        step: 0,
        total_steps: 10,
        epoch: 0,
        key: Key::new(1),
        world_size: 1,
        dtype: infomax_sdk::Kind::F32,
        labels: None,
        indices: None,
    }
}

/// Calls one callback of a made component.
pub fn call(made: &mut Made, callback: &str) -> Result<(), PluginError> {
    let pixels = [7; 48];
    let image = ImageRef { width: 4, height: 4, pixels: &pixels };
    let (mut first, mut second) = ([0; 48], [0; 48]);
    match (made, callback) {
        (Made::Dataset(dataset), "facts") => dataset.facts().map(drop),
        (Made::Dataset(dataset), "read") => dataset.read(0, 1).map(drop),
        (Made::Dataset(dataset), "labels") => dataset.labels(0, 64).map(drop),
        (Made::Augmentation(augmentation), "train_views") => {
            let view = |pixels| ViewMut { width: 4, height: 4, pixels };
            augmentation.train_views(image, Key::new(1), &mut [view(&mut first[..]), view(&mut second[..])])
        }
        (Made::Augmentation(augmentation), "eval_view") => {
            augmentation.eval_view(image, &mut ViewMut { width: 4, height: 4, pixels: &mut first })
        }
        (Made::Encoder(encoder), "forward") => encoder.forward(&views(), Mode::Train).map(drop),
        (Made::Encoder(encoder), "tensors") => encoder.tensors().map(drop),
        (Made::Encoder(encoder), "save") => encoder.save().map(drop),
        (Made::Encoder(encoder), "load") => encoder.load(&json!({})),
        (Made::Loss(loss), "forward") => loss.forward(&features(), &facts(), 0..2).map(drop),
        (Made::Loss(loss), "forward_backward") => loss.forward_backward(&features(), &facts(), 0..2).map(drop),
        (Made::Loss(loss), "before_step") => loss.before_step(&facts()),
        (Made::Loss(loss), "after_update") => loss.after_update(&features(), &facts()),
        (Made::Loss(loss), "tensors") => loss.tensors().map(drop),
        (Made::Loss(loss), "save") => loss.save().map(drop),
        (Made::Loss(loss), "load") => loss.load(&json!({})),
        (_, other) => panic!("no callback `{other}`"),
    }
}

/// The error of the faulty callback, and of the next call to the same instance where there is one.
fn fail(kind: Kind, callback: &str, what: &str) -> (PluginError, Option<PluginError>) {
    match Made::new(&faulty(kind), &fault(callback, what)) {
        Err(error) => (error, None),
        Ok(mut made) => {
            let error = call(&mut made, callback).expect_err("the fault happens");
            (error, Some(call(&mut made, callback).expect_err("a second call fails, too")))
        }
    }
}

/// What an error of a call says, apart from its text.
fn facts_of(error: &PluginError) -> (&str, &str, &str, &ComponentError) {
    match error {
        PluginError::Call { component, library, call, error, .. } => (component, library, call, error),
        other => panic!("not an error of a call: {}", other.fault()),
    }
}

/// Panics in each callback, and returns what the host said.
fn panic_everywhere(what: &str, message: impl Fn(&str) -> String) -> usize {
    let mut survived = 0;
    for (kind, callbacks) in CALLBACKS {
        for &callback in callbacks {
            let (error, again) = fail(kind, callback, what);
            let (component, library, call, inner) = facts_of(&error);
            assert_eq!(component, format!("{} `faulty`", kind.name()));
            assert!(library.contains("infomax-plugin-faulty 0.1.0") && library.contains("libinfomax_faulty.so"));
            assert_eq!((call, inner.kind), (callback, ErrorKind::Panic), "{}", error.fault());
            let (expected, got) = (message(callback), &inner.message);
            assert!(got.contains(&expected), "{}: `{got}`, expected `{expected}`", kind.name());
            assert!(inner.place.as_ref().is_some_and(|place| place.contains(".rs:")), "no place: {:?}", inner.place);
            assert_eq!(error.exit_code(), 3);
            if let Some(again) = again {
                let (.., inner) = facts_of(&again);
                assert_eq!(inner.message, "the component panicked in an earlier call and can't be used any more");
            }
            rendered_call(error);
            survived += 1;
        }
    }
    survived
}

/// What a component's own `drop` gives back, which the host only logs.
fn dropped(kind: Kind, what: &str) -> ComponentError {
    let component = faulty(kind);
    let text = request_text(&fault("drop", what));
    let (name, text) = (component.name.as_str().into(), text.as_str().into());
    let module = component.library.module;
    fn made<T>(result: FfiResult<T>) -> T {
        result.into_result().map_err(from_ffi).unwrap_or_else(|error| panic!("{error}"))
    }
    let result = match kind {
        Kind::Dataset => {
            let ffi = made(module.create_dataset()(name, text));
            ffi.vtable.drop()(ffi.instance)
        }
        Kind::Augmentation => {
            let ffi = made(module.create_augmentation()(name, text));
            ffi.vtable.drop()(ffi.instance)
        }
        Kind::Encoder => {
            let ffi = made(module.create_encoder()(name, text));
            ffi.vtable.drop()(ffi.instance)
        }
        Kind::Loss => {
            let ffi = made(module.create_loss()(name, text));
            ffi.vtable.drop()(ffi.instance)
        }
    };
    match result {
        RResult::ROk(()) => panic!("dropping did not fail"),
        RResult::RErr(error) => from_ffi(error),
    }
}

fn panic_silently(what: &str) -> usize {
    let located = |request| {
        let Made::Dataset(dataset) = Made::new(&faulty(Kind::Dataset), &request).unwrap() else { unreachable!() };
        dataset.locate(0, 3)
    };
    assert_eq!(located(request(json!({}))), "drawn, split 0, image 3");
    assert_eq!(located(fault("locate", what)), "split 0, image 3");
    for kind in Kind::ALL {
        drop(Made::new(&faulty(kind), &fault("drop", what)).unwrap());
        assert_eq!(dropped(kind, what).kind, ErrorKind::Panic);
    }
    SILENT
}

#[test]
fn components_without_a_fault_answer_every_callback() {
    for (kind, callbacks) in CALLBACKS {
        for &callback in &callbacks[2..] {
            let mut made = Made::new(&faulty(kind), &fault(callback, "none")).unwrap();
            call(&mut made, callback).unwrap_or_else(|error| panic!("{}", error.fault()));
        }
    }
}

#[test]
fn p08_panic_in_any_callback_is_an_error_that_names_it() {
    let debug = |callback: &str| {
        let words = callback.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
        format!("panicked: faulty {}", words.collect::<String>())
    };
    let survived = panic_everywhere("panic", debug) + panic_silently("panic");
    assert_eq!(survived, 29);
    figure("P08", "callbacks whose panic is survived", survived, 29);
    let text = rendered_call(fail(Kind::Loss, "after_update", "panic").0);
    let folder = fixture("faulty").parent().unwrap().display().to_string();
    insta::assert_snapshot!(text.replace(&folder, "[folder]"));
}

#[test]
fn p09_panic_with_a_payload_that_is_no_text_is_an_error() {
    let survived = panic_everywhere("panic_with_number", |_| "panicked: a payload that is not text".to_owned());
    assert_eq!(survived + panic_silently("panic_with_number"), 29);
}

#[test]
fn p09_panic_in_drop_is_reported() {
    for kind in Kind::ALL {
        let error = dropped(kind, "panic");
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Panic, "panicked: faulty Drop"));
    }
}

#[test]
fn p10_exception_of_libtorch_under_a_panicking_method_is_an_error() {
    let shapes = "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)";
    let survived = panic_everywhere("torch_panic", |_| shapes.to_owned()) + panic_silently("torch_panic");
    assert_eq!(survived, 29);
}

#[test]
fn p10_error_of_libtorch_comes_with_its_first_line() {
    let mut seen = 0;
    for (kind, callbacks) in CALLBACKS {
        for &callback in callbacks.iter().filter(|name| !["facts", "tensors", "save"].contains(name)) {
            let (error, again) = fail(kind, callback, "torch_error");
            let (.., call, inner) = facts_of(&error);
            assert_eq!((call, inner.kind), (callback, ErrorKind::Plugin));
            let expected = "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)";
            assert_eq!(inner.message, format!("`matmul` failed on [2, 3] and [2, 3]: {expected}"));
            // The line of the plugin's source.
            assert!(
                inner.place.as_ref().is_some_and(|place| place.contains("faulty/src/trip.rs:")),
                "{:?}",
                inner.place
            );
            // An error, unlike a panic, leaves the instance in use.
            assert!(again.is_none_or(|again| facts_of(&again).3.message.ends_with(expected)));
            assert_eq!(error.exit_code(), 3);
            rendered_call(error);
            seen += 1;
        }
    }
    assert_eq!(seen, 19);
    let text = Error::from(fail(Kind::Encoder, "forward", "torch_error").0).to_string();
    let folder = fixture("faulty").parent().unwrap().display().to_string();
    insta::assert_snapshot!(text.replace(&folder, "[folder]"));
}
