//! Pieces of config that stand in a file of another kind, such as a study: values that keep their places, so that what is
//! wrong with them is told where it stands.

use super::{
    document, extends,
    fault::Fault,
    layer::{KeyPath, Layer, Place},
    merge::place_of,
    overrides, validate,
};
use serde_json::{Map, Value};
use std::path::Path;

/// A part of an experiment, to be laid over its files.
#[derive(Clone, Debug, Default)]
pub struct Piece(pub(super) Layer);

impl Piece {
    /// Reads a whole TOML file, whatever its tables mean.
    ///
    /// # Errors
    /// A file that can't be read, or is not TOML.
    pub fn read(path: &Path) -> Result<Self, Vec<Fault>> {
        document::read_plain(path, &path.display().to_string()).map(Self)
    }

    /// Reads a config file with what it extends, as an experiment's files are read.
    ///
    /// # Errors
    /// Files that can't be read, or are not TOML.
    pub fn read_config(path: &Path) -> Result<Vec<Self>, Vec<Fault>> {
        extends::read(path).map(|layers| layers.into_iter().map(Self).collect())
    }

    /// All values.
    pub fn values(&self) -> &Map<String, Value> {
        &self.0.values
    }

    /// Everything in which the values break a JSON Schema, each with its place.
    pub fn faults(&self, schema: &Value) -> Vec<Fault> {
        let mut schema = schema.clone();
        super::schema::bound_numbers(&mut schema);
        validate::validate(&schema, &Value::Object(self.0.values.clone()), std::slice::from_ref(&self.0))
    }

    /// Where a value stands, or else the table around it.
    pub fn place(&self, path: &[&str]) -> Option<String> {
        place_of(std::slice::from_ref(&self.0), &owned(path)).map(Place::to_string)
    }

    /// The table at a path as a piece of its own; empty where there is none.
    #[must_use]
    pub fn below(&self, path: &[&str]) -> Self {
        let path = owned(path);
        let within = |known: &KeyPath| known.starts_with(&path) && known.len() > path.len();
        let places = self.0.places.iter().filter(|(known, _)| within(known));
        let values = self.0.value(&path).and_then(Value::as_object).cloned().unwrap_or_default();
        Self(Layer {
            file: self.0.file.clone(),
            values,
            places: places.map(|(known, place)| (known[path.len()..].to_vec(), place.clone())).collect(),
            bad_numbers: Vec::new(),
        })
    }

    /// Takes out what the piece names under `extends`, as a config file does.
    ///
    /// # Errors
    /// Anything but names.
    pub fn take_extends(&mut self) -> Result<Vec<String>, Fault> {
        let shown = self.0.file.clone();
        let named = document::take_extends(&mut self.0, &shown)?;
        Ok(named.into_iter().map(|(name, _)| name).collect())
    }

    /// Sets a value, or every value of a table, at a dotted key; it stands where `path` stands in `file`.
    ///
    /// # Errors
    /// A text that is no key.
    pub fn set(&mut self, key: &str, value: &Value, file: &Self, path: &[&str]) -> Result<(), Fault> {
        let place = place_of(std::slice::from_ref(&file.0), &owned(path)).cloned();
        let place = place.unwrap_or_else(|| Place::Words(file.0.file.clone()));
        let no_key = || Fault::new(format!("`{key}` is no key")).at(place.to_string()).hint("write `train.batch_size`");
        let path = overrides::key_path(key).ok_or_else(no_key)?;
        put(&mut self.0, path, value, &place);
        Ok(())
    }
}

fn put(layer: &mut Layer, path: KeyPath, value: &Value, place: &Place) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let path = path.iter().chain([key]).cloned().collect();
                put(layer, path, value, place);
            }
        }
        value => layer.set(&path, value.clone(), place),
    }
}

fn owned(path: &[&str]) -> KeyPath {
    path.iter().map(|&part| part.to_owned()).collect()
}
