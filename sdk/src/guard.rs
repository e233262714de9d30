//! The panic guard: a panic in a component becomes an error inside the plugin, because one that reaches the boundary
//! would end the host.

use crate::{Error, ErrorKind, Result};
use infomax_abi::{
    FfiError, FfiResult,
    abi_stable::std_types::{RResult, RString},
};
use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

thread_local! {
    static LAST_PANIC_PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a component's code; an error, a failed operator or a panic becomes an error that can cross the boundary.
pub fn guard<T>(call: impl FnOnce() -> Result<T>) -> FfiResult<T> {
    note_panic_places();
    let result = panic::catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| Err(panic_error(payload)));
    match result {
        Ok(value) => RResult::ROk(value),
        Err(error) => RResult::RErr(into_ffi(error)),
    }
}

/// Each library has a panic hook of its own; this one notes the place instead of printing it.
fn note_panic_places() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let place = info.location().map(ToString::to_string);
            LAST_PANIC_PLACE.with(|last| *last.borrow_mut() = place);
        }));
    });
}

fn panic_error(payload: Box<dyn std::any::Any + Send>) -> Error {
    let payload = match crate::tensor::failure::caught(payload) {
        Ok(error) => return error,
        Err(payload) => payload,
    };
    let text = match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => match payload.downcast::<&str>() {
            Ok(text) => (*text).to_owned(),
            Err(payload) => {
                // A payload whose drop panics again would end the process: leak it.
                std::mem::forget(payload);
                "a payload that is not text".to_owned()
            }
        },
    };
    let place = LAST_PANIC_PLACE.with(|last| last.borrow_mut().take());
    let message = text.lines().next().unwrap_or_default();
    Error { kind: ErrorKind::Panic, place, ..Error::new(format!("panicked: {message}")) }
}

/// The form of an error that crosses the boundary.
pub fn into_ffi(error: Error) -> FfiError {
    FfiError {
        kind: error.kind as u32,
        message: error.message.into(),
        causes: error.causes.into_iter().map(RString::from).collect(),
        hint: error.hint.unwrap_or_default().into(),
        place: error.place.unwrap_or_default().into(),
        detail: RString::new(),
    }
}

/// An error that came across the boundary.
pub fn from_ffi(error: FfiError) -> Error {
    let text = |text: RString| (!text.is_empty()).then(|| text.into_string());
    Error {
        kind: ErrorKind::from_code(error.kind),
        message: error.message.into_string(),
        causes: error.causes.into_iter().map(RString::into_string).collect(),
        hint: text(error.hint),
        place: text(error.place),
    }
}
