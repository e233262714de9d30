//! The component under test, and what every kind's checks share.

use super::{Report, report::Measured};
use infomax_abi::{
    FfiResult, PluginModuleRef,
    abi_stable::std_types::{RResult, RStr},
};
use infomax_sdk::{Error, ErrorKind, FeatureMap, guard::from_ffi, requests::Request};
use serde_json::Value;
use std::sync::{Mutex, MutexGuard, PoisonError};

static SERIAL: Mutex<()> = Mutex::new(());

/// One library at a time: libtorch's generator is shared by the whole process.
pub(super) fn serial() -> MutexGuard<'static, ()> {
    SERIAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The component under test.
pub(super) struct Subject<'a> {
    pub module: PluginModuleRef,
    pub kind: String,
    pub name: String,
    pub schema: Value,
    pub capabilities: Vec<String>,
    pub config: Value,
    /// Sides of images and maps in place of the usual ones; empty for those.
    pub sides: Vec<u32>,
    pub maps: Vec<FeatureMap>,
    pub report: &'a mut Report,
}

impl Subject<'_> {
    fn label(&self) -> String {
        format!("{} `{}`", self.kind, self.name)
    }

    pub fn verdict<M: Into<Measured>>(&mut self, check: &'static str, verdict: Result<M, String>) {
        self.report.add(self.label(), check, verdict.map(Into::into));
    }

    pub fn note(&mut self, why: impl std::fmt::Display) {
        self.report.add_not_made(self.label(), why.to_string());
    }

    /// A request with the component's config.
    pub fn request(&self) -> Request {
        Request { config: self.config.clone(), device: "cpu".to_owned(), ..Request::default() }
    }

    /// What the component says of itself.
    pub fn describe(&self, request: &Request) -> Result<Value, Error> {
        let text = serde_json::to_string(request).expect("a request is plain data");
        self.describe_text(&text)
    }

    /// The same for a request as text, well formed or not.
    pub fn describe_text(&self, request: &str) -> Result<Value, Error> {
        let name: RStr<'_> = self.name.as_str().into();
        let answer = take(self.module.describe()(self.kind.as_str().into(), name, request.into()))?;
        serde_json::from_str(&answer).map_err(|error| Error::new(format!("its description is not JSON: {error}")))
    }
}

/// A call's result.
pub(super) fn take<T>(result: FfiResult<T>) -> Result<T, Error> {
    match result {
        RResult::ROk(value) => Ok(value),
        RResult::RErr(error) => Err(from_ffi(error)),
    }
}

/// A refusal in words is an answer, a panic is not.
pub(super) fn no_panic<T>(what: &str, result: &Result<T, Error>) -> Result<(), String> {
    match result {
        Err(error) if error.kind == ErrorKind::Panic => {
            let place = error.place.as_deref().unwrap_or("?");
            Err(format!("{what}: it {} at {place}; return an error instead", error.message))
        }
        _ => Ok(()),
    }
}

/// The first failure.
pub(super) fn all(verdicts: impl IntoIterator<Item = Result<(), String>>) -> Result<(), String> {
    verdicts.into_iter().collect()
}

/// An error as text, for verdicts.
pub(super) fn said(error: Error) -> String {
    error.to_string()
}
