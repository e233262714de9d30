//! What every plugin must pass, whoever wrote it: called through the boundary as the host calls it, so that an author's
//! own test finds what a user would.
//!
//! In: a library's table of functions and its manifest; for a component that is too large or useless with its defaults, a
//! config. Out: a [`Report`]. `infomax plugin check` prints its lines as they come; an author's own test calls that by
//! `infomax_sdk::check!()`.

mod augmentation;
mod batch;
mod dataset;
mod encoder;
mod loss;
mod ranks;
mod report;
mod schema;
mod subject;
mod tensors;

pub use report::{Line, Report, Tell, Verdict};

use infomax_abi::PluginModuleRef;
use infomax_sdk::FeatureMap;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use subject::Subject;

/// What a component is checked with in place of defaults.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub kind: String,
    pub name: String,
    pub config: Value,
    /// Sides of the images that an encoder takes, in place of the usual ones.
    pub sides: Vec<u32>,
    /// Maps that a loss reads, the first being the representation, in place of the usual ones.
    pub maps: Vec<FeatureMap>,
}

/// Checks every component of a library and tells each check as it ends.
pub fn check(module: PluginModuleRef, manifest: &[u8], given: &[Given], tell: Box<Tell>) -> Report {
    let mut report = Report::new(tell);
    let manifest: Value = match serde_json::from_slice(manifest) {
        Ok(manifest) => manifest,
        Err(error) => {
            report.add("the library".to_owned(), "manifest", Err(format!("it is not JSON: {error}")));
            return report;
        }
    };
    // Tests of several libraries may share a process: what they draw must not depend on each other.
    let _serial = subject::serial();
    for component in manifest["components"].as_array().into_iter().flatten() {
        let text = |key: &str| component[key].as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text("kind"), text("name"));
        let given = given.iter().find(|given| given.kind == kind && given.name == name);
        let capabilities = component["capabilities"].as_array().into_iter().flatten();
        let mut subject = Subject {
            module,
            schema: component["schema"].clone(),
            capabilities: capabilities.filter_map(Value::as_str).map(str::to_owned).collect(),
            config: given.map_or_else(|| json!({}), |given| given.config.clone()),
            sides: given.map(|given| given.sides.clone()).unwrap_or_default(),
            maps: given.map(|given| given.maps.clone()).unwrap_or_default(),
            report: &mut report,
            kind,
            name,
        };
        // Odd numbers that a component gives may trip the kit itself: that is the component's fault too.
        let checked = catch_unwind(AssertUnwindSafe(|| of_kind(&mut subject)));
        if checked.is_err() {
            subject.verdict::<()>("the checks themselves", Err("they could not go on with what it gave".to_owned()));
        }
    }
    report
}

fn of_kind(subject: &mut Subject<'_>) {
    schema::check(subject);
    match subject.kind.as_str() {
        "dataset" => dataset::check(subject),
        "augmentation" => augmentation::check(subject),
        "encoder" => encoder::check(subject),
        "loss" => loss::check(subject),
        other => {
            let message = format!("the kind `{other}` is none of dataset, augmentation, encoder, loss");
            subject.verdict::<()>("manifest", Err(message));
        }
    }
}
