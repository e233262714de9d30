//! A resolved config as text: complete, in the schema's order, byte-equal for equal values.

use super::schema;
use serde_json::{Map, Value};
use std::fmt::Write;

/// Writes a value with a table at its root.
pub(super) fn write(whole: &Value, value: &Value) -> String {
    let mut text = String::new();
    let mut path = Vec::new();
    if let Value::Object(root) = value {
        table(whole, root, &mut path, &mut text);
    }
    text
}

fn table(whole: &Value, fields: &Map<String, Value>, path: &mut Vec<String>, text: &mut String) {
    let keys = ordered(schema::at(whole, path), fields);
    let (tables, plain): (Vec<&String>, Vec<&String>) = keys.into_iter().partition(|&name| fields[name].is_object());
    // The root and tables that only hold tables need no header.
    if !path.is_empty() && (!plain.is_empty() || tables.is_empty()) {
        let gap = if text.is_empty() { "" } else { "\n" };
        let header: Vec<String> = path.iter().map(|part| key(part)).collect();
        let _ = writeln!(text, "{gap}[{}]", header.join("."));
    }
    for name in plain {
        let _ = writeln!(text, "{} = {}", key(name), inline(&fields[name]));
    }
    for name in tables {
        path.push(name.clone());
        if let Value::Object(inner) = &fields[name] {
            table(whole, inner, path, text);
        }
        path.pop();
    }
}

/// The schema's order; keys that it doesn't list come last, sorted.
fn ordered<'a>(part: Option<&Value>, fields: &'a Map<String, Value>) -> Vec<&'a String> {
    let listed: Vec<&String> = part.and_then(|s| s["properties"].as_object()).into_iter().flat_map(Map::keys).collect();
    let position = |name: &String| listed.iter().position(|&known| known == name).unwrap_or(usize::MAX);
    let mut keys: Vec<&String> = fields.keys().collect();
    keys.sort_by(|a, b| position(a).cmp(&position(b)).then(a.cmp(b)));
    keys
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { name.to_owned() } else { quoted(name) }
}

/// A value as TOML writes it behind a key.
pub fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            let pairs: Vec<String> =
                keys.iter().map(|name| format!("{} = {}", key(name), inline(&fields[*name]))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        // JSON's booleans and numbers are TOML's.
        other => other.to_string(),
    }
}

/// A basic string; JSON's escapes are TOML's, but for the delete character.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_reads_back_as_the_same_value() {
        let value = json!({"a": {"x": 1, "y": 2e-4, "z": 1e-30, "s": "a\"b\\c\n\u{1}\u{7f}é", "l": [[1.0], [{"k k": true}]]},
            "b": {"c": {}, "d.e": {"f": 1e300}}});
        let text = write(&json!({}), &value);
        let back: Value = toml::from_str(&text).unwrap();
        assert_eq!(back, value, "{text}");
    }
}
