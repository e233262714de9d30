//! A run's config as the page shows it: by table, each value with who set it.

use crate::{
    config::{leaves, read_origins},
    record::without_home,
};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// As an experiment flows; others follow.
const ORDER: [&str; 12] = [
    "dataset",
    "augmentation",
    "encoder",
    "loss",
    "optimizer",
    "batch_norm",
    "train",
    "evaluation",
    "checkpoint",
    "distributed",
    "record",
    "plugins",
];
const CONFIG: &str = "config.toml";

/// A config.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// In the order of the page.
    pub tables: Vec<Table>,
    /// Whether it is known who set what.
    pub has_origins: bool,
    values: BTreeMap<String, Value>,
}

/// A table of a config.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub name: String,
    pub settings: Vec<Setting>,
}

/// A value of a config.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Below its table: `batch_size`.
    pub key: String,
    pub value: String,
    /// Where; `default` where nobody did, empty where that is not known.
    pub set_by: String,
    /// What it would be without that, where that is something else, and where it stands.
    pub instead_of: Option<String>,
}

impl Setting {
    /// Whether nobody set it.
    pub fn is_default(&self) -> bool {
        self.set_by == "default"
    }
}

impl Settings {
    /// The value of a key: `train.batch_size`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// A value that is a text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }
}

/// Reads a run's config and its origins.
pub fn read_settings(run: &Path, notices: &mut Vec<String>) -> Settings {
    let origins = read_origins(run).unwrap_or_else(|reason| {
        notices.push(reason);
        None
    });
    let has_origins = origins.is_some();
    let origins = origins.unwrap_or_default();
    let text = fs::read_to_string(run.join(CONFIG)).map_err(|error| error.to_string());
    let parsed = text.and_then(|text| toml::from_str::<Value>(&text).map_err(|error| error.message().to_owned()));
    let values = match parsed {
        Ok(value) => leaves(&value),
        Err(reason) => {
            notices.push(format!("`{CONFIG}` can't be read: {reason}"));
            return Settings::default();
        }
    };
    let mut tables: Vec<Table> = ORDER.map(|name| Table { name: name.to_owned(), settings: Vec::new() }).into();
    for (key, value) in &values {
        let (table, rest) = key.split_once('.').unwrap_or(("", key));
        let index = tables.iter().position(|other| other.name == table).unwrap_or_else(|| {
            tables.push(Table { name: table.to_owned(), settings: Vec::new() });
            tables.len() - 1
        });
        let said = origins.get(key).map_or(&[][..], Vec::as_slice);
        let other = said.iter().rev().find(|origin| origin.value != *value);
        tables[index].settings.push(Setting {
            key: rest.to_owned(),
            value: shown(value),
            set_by: said.last().map(|origin| without_home(&origin.at)).unwrap_or_default(),
            instead_of: other.map(|other| format!("{} ({})", shown(&other.value), without_home(&other.at))),
        });
    }
    let rank = |setting: &Setting| (setting.key != "name", setting.key.starts_with("config"));
    tables.iter_mut().for_each(|table| table.settings.sort_by_key(rank));
    tables.retain(|table| !table.settings.is_empty());
    Settings { tables, has_origins, values }
}

/// A value as a config has it.
pub fn shown(value: &Value) -> String {
    let text = match value {
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    };
    without_home(&text)
}
