//! Fills in what a config leaves out, from the defaults that the schemas state.

use super::schema::{plain, type_name};
use serde_json::{Map, Value};

/// Completes a value, and writes whole numbers as the schema's type asks (`lr = 1` is `1.0`, `steps = 1e6` is `1000000`).
pub(super) fn fill(root: &Value, schema: &Value, value: &mut Value) {
    let schema = plain(root, schema);
    match value {
        Value::Object(fields) => {
            for (key, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                if !fields.contains_key(key)
                    && let Some(default) = default_of(root, field)
                {
                    fields.insert(key.clone(), default);
                }
                if let Some(value) = fields.get_mut(key) {
                    fill(root, field, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(each) = schema.get("items") {
                items.iter_mut().for_each(|item| fill(root, each, item));
            }
        }
        Value::Number(number) => match type_name(schema) {
            Some("number") if !number.is_f64() => *value = Value::from(number.as_f64()),
            Some("integer") if number.is_f64() => {
                if let Some(whole) = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15) {
                    *value = Value::from(whole as i64);
                }
            }
            _ => {}
        },
        _ => {}
    }
}

/// The stated default; a table whose fields all have one counts as stated.
fn default_of(root: &Value, field: &Value) -> Option<Value> {
    if let Some(default) = field.get("default") {
        return (!default.is_null()).then(|| default.clone());
    }
    let required = |field: &Value| field.get("required").and_then(Value::as_array).is_some_and(|r| !r.is_empty());
    let is_table = field.get("properties").is_some() && !required(field);
    is_table.then(|| {
        let mut table = Value::Object(Map::new());
        fill(root, field, &mut table);
        table
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_take_the_type_of_the_schema() {
        let schema = json!({"properties": {"lr": {"type": "number"}, "steps": {"type": ["integer", "null"]},
            "betas": {"items": {"type": "number"}, "default": [1, 0.5]}}});
        let mut value = json!({"lr": 1, "steps": 1e6});
        fill(&schema, &schema, &mut value);
        assert_eq!(value.to_string(), r#"{"lr":1.0,"steps":1000000,"betas":[1.0,0.5]}"#);
    }
}
