//! An instance behind a raw pointer. After a panic it may only be dropped.

use crate::{Error, ErrorKind, Result, guard::guard};
use infomax_abi::{FfiResult, Instance};
use std::sync::atomic::{AtomicBool, Ordering};

/// A component's value with the mark of a panic.
pub struct Held<T> {
    value: T,
    panicked: AtomicBool,
}

/// Moves a value behind a pointer that [`drop_instance`] frees.
pub fn hold<T>(value: T) -> Instance {
    Box::into_raw(Box::new(Held { value, panicked: AtomicBool::new(false) })).cast()
}

/// Calls a method that shares the instance.
///
/// # Safety
/// `instance` came from [`hold`] with the same `T` and was not dropped; no exclusive call is under way.
pub unsafe fn with<T, R>(instance: Instance, call: impl FnOnce(&T) -> Result<R>) -> FfiResult<R> {
    // SAFETY: the caller's promise.
    let held = unsafe { &*instance.cast::<Held<T>>() };
    let result = guard(|| {
        refuse_after_panic(&held.panicked)?;
        call(&held.value)
    });
    note_panic(&held.panicked, &result);
    result
}

/// Asks an instance for what can't fail but by a panic; none after one.
///
/// # Safety
/// As for [`with`].
pub unsafe fn peek<T, R>(instance: Instance, ask: impl FnOnce(&T) -> R) -> Option<R> {
    // SAFETY: the caller's promise.
    unsafe { with(instance, |value| Ok(ask(value))) }.into_result().ok()
}

/// Calls a method that changes the instance.
///
/// # Safety
/// `instance` came from [`hold`] with the same `T` and was not dropped; no other call is under way.
pub unsafe fn with_mut<T, R>(instance: Instance, call: impl FnOnce(&mut T) -> Result<R>) -> FfiResult<R> {
    // SAFETY: the caller's promise.
    let held = unsafe { &mut *instance.cast::<Held<T>>() };
    let Held { value, panicked } = held;
    let result = guard(|| {
        refuse_after_panic(panicked)?;
        call(value)
    });
    note_panic(panicked, &result);
    result
}

/// Frees an instance.
///
/// # Safety
/// `instance` came from [`hold`] with the same `T` and was not dropped.
pub unsafe fn drop_instance<T>(instance: Instance) -> FfiResult<()> {
    guard(|| {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(instance.cast::<Held<T>>()) });
        Ok(())
    })
}

fn refuse_after_panic(panicked: &AtomicBool) -> Result<()> {
    if panicked.load(Ordering::Relaxed) {
        return Err(Error::new("the component panicked in an earlier call and can't be used any more"));
    }
    Ok(())
}

fn note_panic<R>(panicked: &AtomicBool, result: &FfiResult<R>) {
    if let infomax_abi::abi_stable::std_types::RResult::RErr(error) = result {
        if error.kind == ErrorKind::Panic as u32 {
            panicked.store(true, Ordering::Relaxed);
        }
    }
}
