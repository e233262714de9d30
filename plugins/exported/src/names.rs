//! Names: patterns over parameters, and the names of outputs.

use crate::config::Tagged;
use infomax_sdk::{Error, Result, Tags};
use serde_json::Value;

/// The tags of a parameter: the last entry that fits it.
pub fn tags(entries: &[Tagged], name: &str) -> Tags {
    let last = entries.iter().rev().find(|entry| fits(&entry.parameters, name));
    last.map_or_else(Tags::default, |entry| Tags { decay: entry.decay, lr_scale: entry.lr_scale, ..Tags::default() })
}

/// Makes sure that each entry fits a parameter.
///
/// # Errors
/// An entry that fits none: some names that there are.
pub fn check_tags<'a>(entries: &[Tagged], names: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
    let Some(idle) = entries.iter().find(|entry| !names.clone().any(|name| fits(&entry.parameters, name))) else {
        return Ok(());
    };
    let some: Vec<String> = names.take(5).map(|name| format!("`{name}`")).collect();
    let message = format!("`tags`: no parameter is called `{}`; there are {}, …", idle.parameters, some.join(", "));
    Err(Error::config(message).hint("`*` stands for any text: `*.bias`"))
}

/// Whether a name fits a pattern in which `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The name of an output that is not used.
pub const LEFT_OUT: &str = "_";

/// The names of a program's outputs: as the config says, or the file, or the keys of a dictionary, or `out`, `out0`, ….
///
/// # Errors
/// Another number of names than of outputs, or a name twice.
pub fn outputs(chosen: &[String], of_file: &[String], structure: Option<&str>, count: usize) -> Result<Vec<String>> {
    let keys = || structure.and_then(keys).filter(|keys| keys.len() == count);
    let names = if !chosen.is_empty() {
        chosen.to_vec()
    } else if of_file.len() == count {
        of_file.to_vec()
    } else if let Some(keys) = keys() {
        keys
    } else if count == 1 {
        vec!["out".to_owned()]
    } else {
        (0..count).map(|at| format!("out{at}")).collect()
    };
    if names.len() != count {
        let message = format!("`outputs` names {} outputs, the file has {count}", names.len());
        return Err(Error::config(message).hint("name them all, in the order in which `forward` gives them"));
    }
    if names.iter().all(|name| name == LEFT_OUT) {
        return Err(Error::config(format!("`outputs` leaves every output out: all are `{LEFT_OUT}`")));
    }
    let is_twice = |(at, name): &(usize, &String)| *name != LEFT_OUT && names[..*at].contains(name);
    if let Some(twice) = names.iter().enumerate().find(is_twice) {
        return Err(Error::config(format!("`outputs` has `{}` twice", twice.1)));
    }
    Ok(names)
}

/// The keys of a flat dictionary, as the file says the structure.
fn keys(structure: &str) -> Option<Vec<String>> {
    let spec: Value = serde_json::from_str(structure).ok()?;
    let root = spec.get(1)?;
    let is_leaf = |child: &Value| child.get("type").is_some_and(Value::is_null);
    if !root.get("children_spec")?.as_array()?.iter().all(is_leaf) || !root.get("type")?.as_str()?.ends_with("dict") {
        return None;
    }
    let context: Value = serde_json::from_str(root.get("context")?.as_str()?).ok()?;
    let list = if context.is_array() { &context } else { context.get(1)? };
    list.as_array()?.iter().map(|key| key.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("*.bias", "layer1.0.bn1.bias", true),
            ("*.bias", "bias", false),
            ("bn*.weight", "bn1.weight", true),
            ("*", "fc.weight", true),
            ("fc.weight", "fc.weight", true),
            ("fc.weight", "fc.weights", false),
            ("layer1.*.conv*.weight", "layer1.0.conv2.weight", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn outputs_are_called_as_the_nearest_source_says() {
        let dict = r#"[1, {"type": "builtins.dict", "context": "[\"map\", \"z\"]", "children_spec": [{"type": null}, {"type": null}]}]"#;
        let named = |chosen: &[&str], file: &[&str], count| {
            let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
            outputs(&owned(chosen), &owned(file), Some(dict), count)
        };
        assert_eq!(named(&["a", "b"], &["c", "d"], 2).unwrap(), ["a", "b"]);
        assert_eq!(named(&[], &["c", "d"], 2).unwrap(), ["c", "d"]);
        assert_eq!(named(&[], &[], 2).unwrap(), ["map", "z"]);
        assert_eq!(named(&[], &[], 1).unwrap(), ["out"]);
        assert_eq!(named(&[], &[], 3).unwrap(), ["out0", "out1", "out2"]);
        assert_eq!(named(&["_", "_", "z"], &[], 3).unwrap(), ["_", "_", "z"]);
        assert!(named(&["_", "_"], &[], 2).is_err());
        assert!(named(&["a"], &[], 2).is_err() && named(&["a", "a"], &[], 2).is_err());
    }
}
