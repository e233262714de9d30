//! One layer of a config: a file, the environment or the `--set`s, with the place of every key.

use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt};

/// A key's path from the root: `["train", "batch_size"]`.
pub(super) type KeyPath = Vec<String>;

/// Where a key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a file; both count from 1.
    File { file: String, line: usize, column: usize },
    /// Anywhere else, in words.
    Words(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, .. } => write!(f, "{file}:{line}"),
            Self::Words(words) => f.write_str(words),
        }
    }
}

/// A number that JSON can't hold: not finite, or beyond 64 bits. It is left out of the layer's values.
#[derive(Clone, Debug)]
pub(super) struct BadNumber {
    pub(super) path: KeyPath,
    pub(super) text: String,
    pub(super) at: String,
}

/// One layer of a config.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    /// The file's name as messages show it; empty where the layer is none.
    pub(super) file: String,
    pub(super) values: Map<String, Value>,
    pub(super) places: BTreeMap<KeyPath, Place>,
    pub(super) bad_numbers: Vec<BadNumber>,
}

impl Layer {
    /// Sets one value, making tables on the way; what stood in the way is replaced.
    pub(super) fn set(&mut self, path: &[String], value: Value, place: &Place) {
        for length in 1..=path.len() {
            self.places.insert(path[..length].to_vec(), place.clone());
        }
        let Some((last, tables)) = path.split_last() else { return };
        let mut table = &mut self.values;
        for key in tables {
            let entry = table.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
            if !entry.is_object() {
                *entry = Value::Object(Map::new());
            }
            table = entry.as_object_mut().expect("made a table above");
        }
        match (table.get_mut(last), value) {
            (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
            (_, value) => {
                table.insert(last.clone(), value);
            }
        }
    }

    /// The table of this name, if the layer has one.
    pub(super) fn table(&self, name: &str) -> Option<&Map<String, Value>> {
        self.values.get(name).and_then(Value::as_object)
    }

    /// What the layer says about a key.
    pub(super) fn value(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.values.get(first)?, |value, key| value.get(key))
    }

    /// Whether the layer says anything about a key, right or wrong.
    pub(super) fn says(&self, path: &[String]) -> bool {
        self.value(path).is_some() || self.bad_numbers.iter().any(|bad| bad.path.starts_with(path))
    }

    /// Takes a key out, with everything below it.
    pub(super) fn drop_key(&mut self, path: &[String]) {
        let Some((last, tables)) = path.split_last() else { return };
        let table = tables.iter().try_fold(&mut self.values, |table, key| table.get_mut(key)?.as_object_mut());
        if let Some(table) = table {
            table.shift_remove(last);
        }
        self.places.retain(|known, _| !known.starts_with(path));
        self.bad_numbers.retain(|bad| !bad.path.starts_with(path));
    }
}

/// A path as a reader writes it: `train.batch_size`, `optimizer.betas[0]`.
pub(super) fn dotted(path: &[String]) -> String {
    let mut text = String::new();
    for part in path {
        if !text.is_empty() && !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            text.push_str(&format!("[{part}]"));
            continue;
        }
        if !text.is_empty() {
            text.push('.');
        }
        let bare = !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        text.push_str(&if bare { part.clone() } else { format!("{part:?}") });
    }
    text
}
