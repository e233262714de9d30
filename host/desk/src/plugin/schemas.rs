//! Components' schemas out of the registry: what a config is checked against.

use super::{Kind, PluginError, Registry};
use crate::{config::ComponentSchemas, error::Fault};
use serde_json::Value;
use std::path::Path;

/// Components' schemas out of the registry.
pub struct Schemas<'a>(pub &'a Registry);

impl ComponentSchemas for Schemas<'_> {
    fn schema(&self, kind: &str, name: &str, path: Option<&str>) -> Result<Value, Fault> {
        let kind = Kind::from_name(kind).ok_or_else(|| Fault::new(format!("unknown kind `{kind}`")))?;
        self.0.schema(kind, name, path.map(Path::new)).map_err(|error| {
            let fault = error.fault();
            // The place in the config says more than the folders that were searched.
            if matches!(error, PluginError::Unknown { .. }) { Fault { at: None, ..fault } } else { fault }
        })
    }
}
