//! What every plugin must pass, whoever wrote it: called through the boundary as the host calls it, so that an author's
//! own test finds what a user would.
//!
//! In: a library's table of functions and its manifest; for a component that is too large or useless with its defaults, a
//! config. Out: a [`Report`]. An author's test is one line:
//!
//! ```ignore
//! #[test]
//! fn conforms() {
//!     infomax_sdk::conformance::check(InfomaxPlugin::module(), InfomaxPlugin::MANIFEST, &[]).assert();
//! }
//! ```

mod augmentation;
mod dataset;
mod encoder;
mod loss;
mod report;
mod schema;
mod subject;
mod tensors;

pub use report::{Finding, Report};

use infomax_abi::PluginModuleRef;
use serde_json::{Value, json};
use subject::Subject;

/// Checks every component of a library. `configs` are (kind, name, config) in place of defaults.
pub fn check(module: PluginModuleRef, manifest: &[u8], configs: &[(&str, &str, Value)]) -> Report {
    let mut report = Report::default();
    let manifest: Value = match serde_json::from_slice(manifest) {
        Ok(manifest) => manifest,
        Err(error) => {
            report.add("the library", "manifest", Err(format!("it is not JSON: {error}")));
            return report;
        }
    };
    // Tests of several libraries may share a process: what they draw must not depend on each other.
    let _serial = subject::serial();
    for component in manifest["components"].as_array().into_iter().flatten() {
        let text = |key: &str| component[key].as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text("kind"), text("name"));
        let given = configs.iter().find(|(k, n, _)| *k == kind && *n == name);
        let capabilities = component["capabilities"].as_array().into_iter().flatten();
        let mut subject = Subject {
            module,
            schema: component["schema"].clone(),
            capabilities: capabilities.filter_map(Value::as_str).map(str::to_owned).collect(),
            config: given.map_or_else(|| json!({}), |(_, _, config)| config.clone()),
            report: &mut report,
            kind,
            name,
        };
        schema::check(&mut subject);
        match subject.kind.as_str() {
            "dataset" => dataset::check(&mut subject),
            "augmentation" => augmentation::check(&mut subject),
            "encoder" => encoder::check(&mut subject),
            "loss" => loss::check(&mut subject),
            other => {
                let message = format!("the kind `{other}` is none of dataset, augmentation, encoder, loss");
                subject.verdict("manifest", Err(message));
            }
        }
    }
    report
}
