//! Lays the layers over one another and keeps who said what.

use super::{
    fault::Fault,
    layer::{KeyPath, Layer, Place, dotted},
    schema::KINDS,
};
use figment::{Figment, Metadata, Profile, Provider, value};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One layer's say about a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Where: `default`, `configs/methods/amdim.toml:4`, `--set …`, `environment …`.
    pub at: String,
    /// What it says.
    pub value: Value,
}

/// For every key (`train.batch_size`) each layer that sets it, in order; the last one holds.
pub type Origins = BTreeMap<String, Vec<Origin>>;

/// Keys of one table that say the same thing in different units: a later layer's replaces an earlier layer's other one.
const ALTERNATIVES: [(&str, &[&str]); 4] = [
    ("train", &["epochs", "steps", "images", "seconds"]),
    ("evaluation", &["every_epochs", "every_steps"]),
    ("checkpoint", &["every_epochs", "every_steps"]),
    ("optimizer", &["warmup_epochs", "warmup_steps"]),
];

/// Drops what a later layer makes meaningless: the `config`, `path` and `weights` of a component that another one replaces, and a
/// budget in another unit. Two units in one layer are a fault.
pub(super) fn settle(layers: &mut [Layer]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for kind in KINDS {
        let mut current: Option<String> = None;
        for index in 0..layers.len() {
            let (earlier, rest) = layers.split_at_mut(index);
            let Some(name) = rest[0].table(kind).and_then(|table| table.get("name")).and_then(Value::as_str) else {
                continue;
            };
            // A pinned build of a component is the same component.
            let name = name.split('@').next().unwrap_or(name).to_owned();
            if current.as_ref().is_some_and(|current| *current != name) {
                for layer in earlier {
                    for key in ["config", "path", "weights", "weights_key", "weights_prefix", "weights_grid"] {
                        layer.drop_key(&[kind.to_owned(), key.to_owned()]);
                    }
                }
            }
            current = Some(name);
        }
    }
    // A learning rate that is said without the batch that it is for is meant as it stands.
    for index in 0..layers.len() {
        let (earlier, rest) = layers.split_at_mut(index);
        let says = |key: &str| rest[0].table("optimizer").is_some_and(|fields| fields.contains_key(key));
        if says("lr") && !says("lr_reference_batch") {
            earlier
                .iter_mut()
                .for_each(|layer| layer.drop_key(&["optimizer".to_owned(), "lr_reference_batch".to_owned()]));
        }
    }
    for (table, keys) in ALTERNATIVES {
        for index in 0..layers.len() {
            let (earlier, rest) = layers.split_at_mut(index);
            let Some(fields) = rest[0].table(table) else { continue };
            let given: Vec<&str> = keys.iter().copied().filter(|&key| fields.contains_key(key)).collect();
            if let [first, second, ..] = given[..] {
                faults.push(two_units(&rest[0], table, first, second));
            }
            for layer in earlier.iter_mut().filter(|_| !given.is_empty()) {
                keys.iter().for_each(|&key| layer.drop_key(&[table.to_owned(), key.to_owned()]));
            }
        }
    }
    faults
}

fn two_units(layer: &Layer, table: &str, first: &str, second: &str) -> Fault {
    let place = |key: &str| layer.places.get(&vec![table.to_owned(), key.to_owned()]).map(Place::to_string);
    let at = [place(first), place(second)].into_iter().flatten().collect::<Vec<_>>().join(" and ");
    Fault::new(format!("`{table}.{first}` and `{table}.{second}` are both given")).at(at).hint("give one of them")
}

/// The values of all layers, a later one over an earlier one; lists are replaced whole.
pub(super) fn merge(layers: &[Layer]) -> Result<Value, Fault> {
    let merged = layers.iter().fold(Figment::new(), |figment, layer| figment.merge(Provided(layer)));
    merged.extract().map_err(|error| Fault::new(format!("the layers can't be merged: {error}")))
}

struct Provided<'a>(&'a Layer);

impl Provider for Provided<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0.file.clone())
    }

    fn data(&self) -> figment::Result<value::Map<Profile, value::Dict>> {
        let dict = value::Value::serialize(&self.0.values)?.into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(dict))
    }
}

/// The place where a key was last set, or else the table that it would stand in.
pub(super) fn place_of<'a>(layers: &'a [Layer], path: &[String]) -> Option<&'a Place> {
    (1..=path.len()).rev().find_map(|length| layers.iter().rev().find_map(|layer| layer.places.get(&path[..length])))
}

/// Who says what about every value of the resolved config.
pub(super) fn origins(resolved: &Value, defaults: &Value, layers: &[Layer]) -> Origins {
    let mut paths = Vec::new();
    leaves(resolved, &mut KeyPath::new(), &mut paths);
    let entry = |path: KeyPath| {
        let default = defaults.as_object().and_then(|fields| at(fields, &path));
        let default = default.map(|value| Origin { at: "default".to_owned(), value: value.clone() });
        let said = layers.iter().filter_map(|layer| {
            let value = layer.value(&path)?.clone();
            Some(Origin { at: layer.places.get(&path)?.to_string(), value })
        });
        let mut said: Vec<Origin> = default.into_iter().chain(said).collect();
        if said.is_empty() {
            // What resolving fills in where none of several alternatives is given.
            let value = resolved.as_object().and_then(|fields| at(fields, &path)).cloned().unwrap_or_default();
            said.push(Origin { at: "default".to_owned(), value });
        }
        (dotted(&path), said)
    };
    paths.into_iter().map(entry).collect()
}

fn at<'a>(fields: &'a Map<String, Value>, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(fields.get(first)?, |value, key| value.get(key))
}

pub(super) fn leaves(value: &Value, path: &mut KeyPath, paths: &mut Vec<KeyPath>) {
    let Value::Object(fields) = value else {
        paths.push(path.clone());
        return;
    };
    for (key, value) in fields {
        path.push(key.clone());
        leaves(value, path, paths);
        path.pop();
    }
}
