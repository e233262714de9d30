//! Files that components read what they are from, as a network out of PyTorch: by their hash they take part in what a run or a cell is.

use super::Component;
use crate::{
    error::{Error, Fault, Result},
    hash::sha256,
};
use serde_json::Value;
use std::{collections::BTreeMap, fs};

/// The hash of each file that a component's config names and its schema marks with `"read": true`, by the dotted key.
///
/// # Errors
/// A file that can't be read.
pub fn read_files(component: &Component, config: &Value) -> Result<BTreeMap<String, String>> {
    let kind = component.kind.name();
    let manifest = &component.library.candidate.manifest;
    let own = manifest.components.iter().find(|other| other.kind == kind && other.name == component.name);
    let fields = own.and_then(|own| own.schema["properties"].as_object()).into_iter().flatten();
    let mut files = BTreeMap::new();
    for (field, _) in fields.filter(|(_, schema)| schema["read"] == true) {
        if let Some(path) = config[field].as_str() {
            // A pipe would be waited for.
            let is_file = fs::metadata(path).map_err(Error::io("read", path))?.is_file();
            if !is_file {
                let fault = Fault::new(format!("`{kind}.config.{field}` = `{path}` is no regular file"));
                return Err(Error::config(fault.hint("name a file")));
            }
            let bytes = fs::read(path).map_err(Error::io("read", path))?;
            files.insert(format!("{kind}.config.{field}"), sha256(bytes));
        }
    }
    Ok(files)
}
