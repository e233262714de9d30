//! What differs between two resolved configs, key by key.

use super::layer::dotted;
use serde_json::Value;
use std::collections::BTreeMap;

/// A key whose value differs; none where a config does not have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// As a reader writes it: `train.batch_size`.
    pub key: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// Every key whose value differs, in alphabetical order. Lists are compared whole.
pub fn difference(before: &Value, after: &Value) -> Vec<Change> {
    let (mut old, mut new) = (leaves(before), leaves(after));
    let keys: std::collections::BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    let change = |key: String| Change { before: old.remove(&key), after: new.remove(&key), key };
    keys.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

/// Every value that is no table, by its key; an empty table counts as one.
pub fn leaves(value: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    collect(value, &mut Vec::new(), &mut found);
    found
}

fn collect(value: &Value, path: &mut Vec<String>, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() || path.is_empty() => {
            for (key, value) in fields {
                path.push(key.clone());
                collect(value, path, found);
                path.pop();
            }
        }
        other => drop(found.insert(dotted(path), other.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_are_told_by_key_with_both_values() {
        let before = json!({"a": {"x": 1, "same": [1, 2]}, "gone": true});
        let after = json!({"a": {"x": 2, "same": [1, 2]}, "new": {"y": "z"}});
        let told: Vec<_> = difference(&before, &after)
            .into_iter()
            .map(|change| (change.key, change.before.unwrap_or_default(), change.after.unwrap_or_default()))
            .collect();
        let expected =
            [("a.x", json!(1), json!(2)), ("gone", json!(true), json!(null)), ("new.y", json!(null), json!("z"))];
        assert_eq!(told, expected.map(|(key, before, after)| (key.to_owned(), before, after)));
        assert!(difference(&before, &before).is_empty());
    }
}
