//! Which settings tell the groups of a comparison apart: only keys that differ become columns, and of a component that differs only
//! its name and what varies under one name.

use crate::config::{KINDS, is_within, shown};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Settings of a group by key.
pub type Settings = BTreeMap<String, Value>;

/// Keys, or tables, that say where a run's files lie and what is kept of it: no result and no time depends on them.
const WITHOUT_EFFECT: [&str; 9] = [
    "record",
    "checkpoint",
    "plugins",
    "dataset.path",
    "augmentation.path",
    "encoder.path",
    "loss.path",
    "train.log_every_steps",
    "train.max_skipped_steps_in_a_row",
];

/// A key that tells groups apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// As in a config: `encoder.config.depth`.
    pub key: String,
    /// As short as it is still unique: `depth`; `encoder` for `encoder.name`.
    pub short: String,
}

/// Whether a key can change a result or a time.
pub fn has_effect(key: &str) -> bool {
    !WITHOUT_EFFECT.iter().any(|name| is_within(key, name))
}

/// The keys that differ, as columns, and those that follow from one of them.
pub fn columns(groups: &[Settings]) -> (Vec<Column>, Vec<String>) {
    let keys: BTreeSet<&String> = groups.iter().flat_map(Settings::keys).collect();
    let differ = |key: &str| groups.iter().any(|group| group.get(key) != groups[0].get(key));
    let (follow, shown): (Vec<&String>, Vec<&String>) =
        keys.into_iter().filter(|key| differ(key)).partition(|key| follows_from_name(key, groups));
    let mut shown: Vec<&String> = shown;
    shown.sort_by_key(|key| (place(key), !key.ends_with(".name"), key.as_str()));
    let columns = shown.iter().map(|key| Column { key: (*key).clone(), short: short(key, &shown) }).collect();
    (columns, follow.into_iter().cloned().collect())
}

/// Whether a component's field is the same wherever the component's name is.
fn follows_from_name(key: &str, groups: &[Settings]) -> bool {
    let Some((table, _)) = key.split_once('.') else { return false };
    let name = format!("{table}.name");
    if key == name || groups.iter().all(|group| group.get(&name) == groups[0].get(&name)) {
        return false;
    }
    // A rate is one whatever the optimizer is called; only what one of them alone has goes with its name.
    if !KINDS.contains(&table) && groups.iter().all(|group| group.contains_key(key)) {
        return false;
    }
    let mut known: BTreeMap<String, Option<&Value>> = BTreeMap::new();
    groups.iter().all(|group| {
        let value = group.get(key);
        let named = group.get(&name).map(Value::to_string).unwrap_or_default();
        *known.entry(named).or_insert(value) == value
    })
}

/// As an experiment flows.
fn place(key: &str) -> usize {
    const ORDER: [&str; 6] = ["dataset", "augmentation", "encoder", "loss", "optimizer", "train"];
    let table = key.split('.').next().unwrap_or_default();
    ORDER.iter().position(|name| *name == table).unwrap_or(ORDER.len())
}

/// The shortest end of a key that no other has; a component for its name.
fn short(key: &str, all: &[&String]) -> String {
    if let Some(component) = key.strip_suffix(".name") {
        return component.to_owned();
    }
    let is_unique = |end: &str| all.iter().filter(|other| other.ends_with(&format!(".{end}"))).count() == 1;
    let mut end = key.len();
    while let Some(dot) = key[..end].rfind('.') {
        if is_unique(&key[dot + 1..]) {
            return key[dot + 1..].to_owned();
        }
        end = dot;
    }
    key.to_owned()
}

/// A setting as a table has it: texts bare, all else as in a config.
pub fn cell(value: Option<&Value>) -> String {
    match value {
        None => "–".to_owned(),
        Some(Value::String(text)) => printable(text),
        Some(value) => printable(&shown(value)),
    }
}

/// A group in a few words: `nt-xent, depth 3`.
pub fn label(columns: &[Column], settings: &Settings) -> String {
    let words = columns.iter().filter_map(|column| {
        let value = settings.get(&column.key)?;
        let text = cell(Some(value));
        Some(if column.key.ends_with(".name") { text } else { format!("{} {text}", column.short) })
    });
    words.collect::<Vec<_>>().join(", ")
}

/// A text without what would move a terminal's cursor or break a line.
pub fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn group(settings: &[(&str, Value)]) -> Settings {
        settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    #[test]
    fn keys_that_differ_are_columns_in_the_order_of_an_experiment() {
        let a =
            group(&[("loss.config.depth", json!(1)), ("encoder.config.depth", json!(1)), ("train.steps", json!(5))]);
        let b =
            group(&[("loss.config.depth", json!(2)), ("encoder.config.depth", json!(2)), ("train.steps", json!(5))]);
        let (found, follow) = columns(&[a, b.clone()]);
        let told: Vec<_> = found.iter().map(|column| (column.key.as_str(), column.short.as_str())).collect();
        assert_eq!(
            told,
            [("encoder.config.depth", "encoder.config.depth"), ("loss.config.depth", "loss.config.depth")]
        );
        assert!(follow.is_empty());
        assert_eq!(columns(&[b.clone(), b]).0, []);
    }

    #[test]
    fn what_a_component_s_name_decides_is_no_column_and_what_varies_under_it_is() {
        let row = |loss: &str, extra: &[(&str, Value)]| {
            let mut row = group(extra);
            row.insert("loss.name".to_owned(), json!(loss));
            row
        };
        let groups = [
            row("amdim", &[("loss.config.clip", json!(20)), ("loss.config.reg", json!(1))]),
            row("amdim", &[("loss.config.clip", json!(10)), ("loss.config.reg", json!(1))]),
            row("nt-xent", &[("loss.config.temperature", json!(0.5))]),
        ];
        let (found, follow) = columns(&groups);
        assert_eq!(found.iter().map(|column| column.short.as_str()).collect::<Vec<_>>(), ["loss", "clip"]);
        assert_eq!(follow, ["loss.config.reg", "loss.config.temperature"]);
        assert_eq!(label(&found, &groups[1]), "amdim, clip 10");
        assert_eq!(label(&found, &groups[2]), "nt-xent");
        assert_eq!(cell(groups[2].get("loss.config.clip")), "–");
    }

    #[test]
    fn a_rate_is_a_column_though_the_optimizer_is_another() {
        let row = |name: &str, lr: f64, own: &str| {
            group(&[("optimizer.name", json!(name)), ("optimizer.lr", json!(lr)), (own, json!(1))])
        };
        let (found, follow) = columns(&[row("adam", 0.1, "optimizer.betas"), row("sgd", 1.0, "optimizer.momentum")]);
        assert_eq!(found.iter().map(|column| column.short.as_str()).collect::<Vec<_>>(), ["optimizer", "lr"]);
        assert_eq!(follow, ["optimizer.betas", "optimizer.momentum"]);
    }

    #[test]
    fn where_files_lie_has_no_effect() {
        for key in ["record.name", "checkpoint.keep", "plugins.search", "loss.path", "train.log_every_steps"] {
            assert!(!has_effect(key), "{key}");
        }
        for key in ["records", "loss.pathology", "train.steps", "evaluation.every_steps", "train.threads"] {
            assert!(has_effect(key), "{key}");
        }
    }

    #[test]
    fn nothing_moves_a_terminal_s_cursor() {
        assert_eq!(cell(Some(&json!("a\u{1b}[2Jb\nc"))), "a\\u{1b}[2Jb\\nc");
        assert_eq!(cell(Some(&json!(["x", 1]))), "[\"x\", 1]");
    }
}
