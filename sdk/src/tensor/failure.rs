//! What happens when an operator fails: the plugin's code is left, up to the boundary or to [`attempt`].

use crate::{Error, Result};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind},
};

/// A failed operator on its way out.
pub(crate) struct Failure {
    message: String,
    place: &'static Location<'static>,
}

impl Failure {
    /// As the error that crosses the boundary.
    fn into_error(self) -> Error {
        Error { place: Some(self.place.to_string()), ..Error::new(self.message) }
    }
}

/// Leaves the plugin's code because of an operator.
#[cold]
#[track_caller]
pub(super) fn fail(operator: &str, message: &str) -> ! {
    fail_on(operator, "", message)
}

/// The same, with the shapes that the operator was given.
#[cold]
#[track_caller]
pub(super) fn fail_on(operator: &str, shapes: &str, message: &str) -> ! {
    let place = Location::caller();
    let on = if shapes.is_empty() { String::new() } else { format!(" on {shapes}") };
    resume_unwind(Box::new(Failure { message: format!("`{operator}` failed{on}: {message}"), place }))
}

/// The error of a failed operator; anything else comes back.
pub(crate) fn caught(payload: Box<dyn Any + Send>) -> Result<Error, Box<dyn Any + Send>> {
    payload.downcast::<Failure>().map(|failure| failure.into_error())
}

/// Runs code whose operators may fail, and goes on.
///
/// # Errors
/// The first operator that failed: its name, the shapes, what libtorch says, and the line of the source.
pub fn attempt<T>(work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| match caught(payload) {
        Ok(error) => error,
        Err(panic) => resume_unwind(panic),
    })
}
