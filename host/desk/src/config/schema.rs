//! The JSON Schema of a whole experiment: the host's, with each chosen component's in the place of its `config`.

use super::{experiment::Experiment, fault::Fault};
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use std::sync::OnceLock;

/// The tables that name a component.
pub const KINDS: [&str; 4] = ["dataset", "augmentation", "encoder", "loss"];

/// Where the schemas of components come from: the plugin registry.
pub trait ComponentSchemas {
    /// The JSON Schema of a component's `config` table.
    ///
    /// # Errors
    /// An unknown component: the nearest name and the list of known ones.
    fn schema(&self, kind: &str, name: &str, path: Option<&str>) -> Result<Value, Fault>;
}

/// The JSON Schema of the host's own tables; a component's `config` is any table.
pub fn host_schema() -> Value {
    static MADE: OnceLock<Value> = OnceLock::new();
    MADE.get_or_init(make_host_schema).clone()
}

fn make_host_schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Experiment>().to_value();
    bound_numbers(&mut schema);
    schema
}

/// The host's schema with a component's in the place of each chosen `config`.
pub(super) fn compose(chosen: &[(&str, Value)]) -> Value {
    let mut whole = host_schema();
    for (kind, schema) in chosen {
        let place = format!("/properties/{kind}/properties/config");
        let mut schema = schema.clone();
        if let Some(fields) = schema.as_object_mut() {
            fields.shift_remove("$schema");
            fields.shift_remove("$id");
            fields.insert("default".to_owned(), json!({}));
        }
        move_references(&mut schema, &place);
        bound_numbers(&mut schema);
        if let Some(slot) = whole.pointer_mut(&place) {
            *slot = schema;
        }
    }
    whole
}

/// Makes a schema's references to its own parts hold where it now stands.
fn move_references(schema: &mut Value, place: &str) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(target) if key == "$ref" && target.starts_with('#') => {
                        *target = format!("#{place}{}", &target[1..]);
                    }
                    _ => move_references(value, place),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, place)),
        _ => {}
    }
}

/// Gives every number the range of its Rust type, so that a value which can't be stored is refused here.
pub(super) fn bound_numbers(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(bound_numbers),
        Value::Object(fields) => {
            fields.values_mut().for_each(bound_numbers);
            let (low, high) = match fields.get("format").and_then(Value::as_str) {
                Some("uint8") => (json!(0), json!(u8::MAX)),
                Some("uint16") => (json!(0), json!(u16::MAX)),
                Some("uint32") => (json!(0), json!(u32::MAX)),
                Some("uint64" | "uint") => (json!(0), json!(i64::MAX)),
                Some("int8") => (json!(i8::MIN), json!(i8::MAX)),
                Some("int16") => (json!(i16::MIN), json!(i16::MAX)),
                Some("int32") => (json!(i32::MIN), json!(i32::MAX)),
                Some("float") => (json!(-f64::from(f32::MAX)), json!(f64::from(f32::MAX))),
                _ => return,
            };
            if !fields.contains_key("exclusiveMinimum") {
                fields.entry("minimum").or_insert(low);
            }
            if !fields.contains_key("exclusiveMaximum") {
                fields.entry("maximum").or_insert(high);
            }
        }
        _ => {}
    }
}

/// The part of the schema `root` that describes the value at a path.
pub(super) fn at<'a>(root: &'a Value, path: &[String]) -> Option<&'a Value> {
    let mut schema = plain(root, root);
    for key in path {
        let field = |schema: &'a Value| {
            let additional = || schema.get("additionalProperties").filter(|s| s.is_object());
            let item = || schema.get("items").filter(|s| s.is_object());
            schema.get("properties").and_then(|fields| fields.get(key)).or_else(additional).or_else(item)
        };
        let found = field(schema).or_else(|| branches(schema).find_map(|branch| field(plain(root, branch))));
        schema = plain(root, found?);
    }
    Some(schema)
}

/// The field of the schema `root` at a path, as it stands in its table: what an optional field wraps has no default of its own.
pub(super) fn field<'a>(root: &'a Value, path: &[String]) -> Option<&'a Value> {
    let (key, table) = path.split_last()?;
    let table = at(root, table)?;
    let inside = |schema: &'a Value| schema.get("properties").and_then(|fields| fields.get(key));
    inside(table).or_else(|| branches(table).find_map(|branch| inside(plain(root, branch))))
}

/// A schema without the wrapping of an optional field, and what it refers to.
pub(super) fn plain<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..16 {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let Some(found) = root.pointer(target.trim_start_matches('#')) else { return schema };
            schema = found;
            continue;
        }
        let mut others = branches(schema).filter(|branch| branch.get("type") != Some(&json!("null")));
        let is_optional = branches(schema).any(|branch| branch.get("type") == Some(&json!("null")));
        match (is_optional, others.next(), others.next()) {
            (true, Some(only), None) => schema = only,
            _ => return schema,
        }
    }
    schema
}

/// The alternatives that a schema offers.
pub(super) fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)).filter_map(Value::as_array).flatten()
}

/// The type that a schema asks for; `null` doesn't count.
pub(super) fn type_name(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|&name| name != "null"),
        _ => None,
    }
}

/// The values that an enumeration allows, as they are read; empty where the schema isn't one.
pub(super) fn choices(schema: &Value) -> Vec<String> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let single = schema.get("const").into_iter();
    let inside = branches(schema).flat_map(|branch| {
        let listed = branch.get("enum").and_then(Value::as_array).into_iter().flatten();
        listed.chain(branch.get("const"))
    });
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    listed.chain(single).chain(inside).filter(|value| !value.is_null()).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn every_number_of_the_host_has_a_range_and_a_unit_and_every_field_a_sentence() {
        fn walk(schema: &Value, path: &str) {
            for (key, field) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{key}");
                assert!(field["description"].is_string(), "{path} has no description");
                if matches!(type_name(field), Some("integer" | "number")) {
                    assert!(field["minimum"].is_number() && field["maximum"].is_number(), "{path}: {field}");
                }
                let counted = [field, &field["items"]].map(type_name);
                if counted.iter().any(|name| matches!(name, Some("integer" | "number"))) {
                    assert!(field["unit"].is_string(), "{path} has no unit; `dimensionless` is one");
                }
                walk(field, &path);
            }
        }
        walk(&host_schema(), "");
    }

    #[test]
    fn parts_are_found_by_path_through_references_and_options() {
        let component = json!({"type": "object", "additionalProperties": false, "$defs": {"Inner": {"type": "object",
            "properties": {"x": {"type": "integer", "format": "uint8"}}}},
            "properties": {"inner": {"anyOf": [{"$ref": "#/$defs/Inner"}, {"type": "null"}]}}});
        let whole = compose(&[("loss", component)]);
        assert_eq!(at(&whole, &path("loss.config.inner.x")).unwrap()["maximum"], json!(255));
        assert_eq!(type_name(at(&whole, &path("train.epochs")).unwrap()), Some("integer"));
        assert_eq!(choices(at(&whole, &path("train.precision")).unwrap()), ["f32", "tf32", "f16", "bf16"]);
        assert!(at(&whole, &path("train.nothing")).is_none());
    }
}
