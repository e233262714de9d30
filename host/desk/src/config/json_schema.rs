//! JSON Schema 2020-12 as far as schemars writes it: which parts of a value break which keyword. A schema that asks for more than
//! is checked here is refused, not followed in part.

use super::layer::KeyPath;
use regex_lite::Regex;
use serde_json::{Map, Number, Value};
use std::{cmp::Ordering, collections::BTreeSet};

/// A part of a value that breaks a keyword.
#[derive(Debug, PartialEq)]
pub(super) struct Broken<'a> {
    pub path: KeyPath,
    pub value: &'a Value,
    pub rule: Rule<'a>,
}

/// What is broken, as far as it is told apart.
#[derive(Debug, PartialEq)]
pub(super) enum Rule<'a> {
    /// A table has keys that nobody knows.
    Unknown(Vec<&'a str>),
    /// A table lacks a key.
    Missing(&'a str),
    /// A text that does not match.
    Pattern(&'a str),
    MultipleOf(&'a Value),
    UniqueItems,
    /// A type, a range, a length, a choice: the schema's part says what was expected.
    Other,
}

/// Assertions that schemars never writes.
const UNCHECKED: [&str; 8] = [
    "$dynamicRef",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "maxContains",
    "minContains",
    "unevaluatedItems",
];
/// References that lead to one another at the same value; more are a circle, which allows everything.
const MOST_REFERENCES: usize = 64;

/// Says why a schema can't be checked by.
///
/// # Errors
/// A keyword that holds what it must not, or one that is not checked here.
pub(super) fn check_schema(root: &Value, schema: &Value) -> Result<(), String> {
    let fields = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(fields) => fields,
        other => return Err(format!("{other} stands where a schema must")),
    };
    for (keyword, held) in fields {
        let is_right = match keyword.as_str() {
            unchecked if UNCHECKED.contains(&unchecked) => return Err(format!("`{unchecked}` is not supported")),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => held.is_number(),
            "multipleOf" => held.as_f64().is_some_and(|number| number > 0.0),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => held.is_u64(),
            "uniqueItems" => held.is_boolean(),
            "type" => held.is_string() || texts(held).is_some(),
            "enum" => held.is_array(),
            "required" => texts(held).is_some(),
            "pattern" => {
                check_pattern(keyword, held.as_str().ok_or("`pattern` holds no text")?)?;
                true
            }
            "$ref" => held.as_str().and_then(|target| target_of(root, target)).is_some(),
            "properties" | "patternProperties" | "$defs" => {
                let parts = held.as_object().ok_or_else(|| format!("`{keyword}` holds no table"))?;
                if keyword == "patternProperties" {
                    parts.keys().try_for_each(|pattern| check_pattern(keyword, pattern))?;
                }
                parts.values().try_for_each(|part| check_schema(root, part))?;
                true
            }
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                let parts = held.as_array().ok_or_else(|| format!("`{keyword}` holds no list"))?;
                parts.iter().try_for_each(|part| check_schema(root, part))?;
                true
            }
            "additionalProperties"
            | "else"
            | "if"
            | "items"
            | "not"
            | "propertyNames"
            | "then"
            | "unevaluatedProperties" => {
                check_schema(root, held)?;
                true
            }
            _ => true,
        };
        if !is_right {
            return Err(format!("`{keyword}` holds {held}"));
        }
    }
    Ok(())
}

fn check_pattern(keyword: &str, pattern: &str) -> Result<(), String> {
    Regex::new(pattern).map(drop).map_err(|error| format!("`{keyword}` holds `{pattern}`: {error}"))
}

/// What a value breaks of a schema that [`check_schema`] has passed, in the order of its keywords and the value's keys.
pub(super) fn broken<'a>(schema: &'a Value, value: &'a Value) -> Vec<Broken<'a>> {
    let mut check = Check { root: schema, path: Vec::new(), references: 0, broken: Vec::new() };
    check.value(schema, value);
    check.broken
}

struct Check<'a> {
    root: &'a Value,
    path: KeyPath,
    references: usize,
    broken: Vec<Broken<'a>>,
}

impl<'a> Check<'a> {
    fn push(&mut self, value: &'a Value, rule: Rule<'a>) {
        self.broken.push(Broken { path: self.path.clone(), value, rule });
    }

    fn value(&mut self, schema: &'a Value, value: &'a Value) {
        let Some(keywords) = schema.as_object() else {
            if schema == &Value::Bool(false) {
                self.push(value, Rule::Other);
            }
            return;
        };
        for (keyword, held) in keywords {
            match keyword.as_str() {
                "pattern" if !matches(held, value) => {
                    self.push(value, Rule::Pattern(held.as_str().unwrap_or_default()));
                }
                "multipleOf" if !is_multiple(held, value) => self.push(value, Rule::MultipleOf(held)),
                "uniqueItems" if held == &Value::Bool(true) && repeats(value) => self.push(value, Rule::UniqueItems),
                "$ref" => self.reference(held, value),
                "allOf" => parts(held).for_each(|part| self.value(part, value)),
                "items" => self.items(keywords, held, value),
                "prefixItems" => {
                    for (at, (part, item)) in parts(held).zip(parts(value)).enumerate() {
                        self.inside(at.to_string(), part, item);
                    }
                }
                "required" => {
                    let Some(fields) = value.as_object() else { continue };
                    let missing = parts(held).filter_map(Value::as_str).filter(|&key| !fields.contains_key(key));
                    missing.for_each(|key| self.push(value, Rule::Missing(key)));
                }
                "properties" if !is_closed(keywords) => self.properties(held, value),
                "patternProperties" if !is_closed(keywords) => {
                    for (key, field) in value.as_object().into_iter().flatten() {
                        matching(keywords, key).for_each(|schema| self.inside(key.clone(), schema, field));
                    }
                }
                "additionalProperties" if is_closed(keywords) => self.closed(keywords, held, value),
                "unevaluatedProperties" => self.unevaluated(keywords, held, value),
                "if" => {
                    let then = if self.holds(held, value) { "then" } else { "else" };
                    if let Some(part) = keywords.get(then) {
                        self.value(part, value);
                    }
                }
                keyword if !self.is_right(keyword, held, value) => self.push(value, Rule::Other),
                _ => {}
            }
        }
    }

    /// The keywords that are told by what was expected.
    fn is_right(&self, keyword: &str, held: &'a Value, value: &'a Value) -> bool {
        let order = || Some(order(value.as_number()?, held.as_number()?));
        let size = |size: Option<usize>| Some((size? as u64).cmp(&held.as_u64()?));
        let length = || size(value.as_str().map(|text| text.chars().count()));
        let items = || size(value.as_array().map(Vec::len));
        let fields = || size(value.as_object().map(Map::len));
        match keyword {
            "type" => held.as_str().into_iter().chain(texts(held).into_iter().flatten()).any(|name| is_of(name, value)),
            "const" => canonical(held) == canonical(value),
            "enum" => parts(held).any(|choice| canonical(choice) == canonical(value)),
            "minimum" => order() != Some(Ordering::Less),
            "maximum" => order() != Some(Ordering::Greater),
            "exclusiveMinimum" => order().is_none_or(Ordering::is_gt),
            "exclusiveMaximum" => order().is_none_or(Ordering::is_lt),
            "minLength" => length() != Some(Ordering::Less),
            "maxLength" => length() != Some(Ordering::Greater),
            "minItems" => items() != Some(Ordering::Less),
            "maxItems" => items() != Some(Ordering::Greater),
            "minProperties" => fields() != Some(Ordering::Less),
            "maxProperties" => fields() != Some(Ordering::Greater),
            "anyOf" => parts(held).any(|part| self.holds(part, value)),
            "oneOf" => parts(held).filter(|part| self.holds(part, value)).count() == 1,
            "not" => !self.holds(held, value),
            "propertyNames" => {
                let names: Vec<Value> =
                    value.as_object().into_iter().flat_map(Map::keys).cloned().map(Value::String).collect();
                names.iter().all(|name| {
                    Check { root: self.root, path: Vec::new(), references: 0, broken: Vec::new() }.holds(held, name)
                })
            }
            _ => true,
        }
    }

    /// Whether a value breaks nothing.
    fn holds(&self, schema: &Value, value: &Value) -> bool {
        let mut check = Check { root: self.root, path: Vec::new(), references: self.references, broken: Vec::new() };
        check.value(schema, value);
        check.broken.is_empty()
    }

    fn inside(&mut self, key: String, schema: &'a Value, value: &'a Value) {
        self.path.push(key);
        let references = std::mem::take(&mut self.references);
        self.value(schema, value);
        self.references = references;
        self.path.pop();
    }

    fn reference(&mut self, target: &'a Value, value: &'a Value) {
        let target = target.as_str().and_then(|target| target_of(self.root, target));
        if let Some(schema) = target.filter(|_| self.references < MOST_REFERENCES) {
            self.references += 1;
            self.value(schema, value);
            self.references -= 1;
        }
    }

    /// Those that `prefixItems` leaves.
    fn items(&mut self, keywords: &'a Map<String, Value>, schema: &'a Value, value: &'a Value) {
        let before = keywords.get("prefixItems").map_or(0, |first| parts(first).count());
        for (at, item) in parts(value).enumerate().skip(before) {
            self.inside(at.to_string(), schema, item);
        }
    }

    fn properties(&mut self, properties: &'a Value, value: &'a Value) {
        for (key, schema) in properties.as_object().into_iter().flatten() {
            if let Some(field) = value.as_object().and_then(|fields| fields.get(key)) {
                self.inside(key.clone(), schema, field);
            }
        }
    }

    /// A table whose further keys are not allowed or have a schema of their own.
    fn closed(&mut self, keywords: &'a Map<String, Value>, rest: &'a Value, value: &'a Value) {
        let properties = keywords.get("properties").and_then(Value::as_object);
        let mut unknown = Vec::new();
        for (key, field) in value.as_object().into_iter().flatten() {
            let named = properties.and_then(|properties| properties.get(key));
            let mut known = named.into_iter().chain(matching(keywords, key)).peekable();
            match known.peek() {
                Some(_) => known.for_each(|schema| self.inside(key.clone(), schema, field)),
                None if rest == &Value::Bool(false) => unknown.push(key.as_str()),
                None => self.inside(key.clone(), rest, field),
            }
        }
        if !unknown.is_empty() {
            self.push(value, Rule::Unknown(unknown));
        }
    }

    /// Keys that no other keyword here, nor a part that applies here, has seen.
    fn unevaluated(&mut self, keywords: &'a Map<String, Value>, rest: &'a Value, value: &'a Value) {
        let mut seen = BTreeSet::new();
        self.see(keywords, value, &mut seen);
        let mut unknown = Vec::new();
        for (key, field) in value.as_object().into_iter().flatten().filter(|(key, _)| !seen.contains(key.as_str())) {
            if rest == &Value::Bool(false) {
                unknown.push(key.as_str());
            } else {
                self.inside(key.clone(), rest, field);
            }
        }
        if !unknown.is_empty() {
            self.push(value, Rule::Unknown(unknown));
        }
    }

    fn see(&self, keywords: &'a Map<String, Value>, value: &'a Value, seen: &mut BTreeSet<&'a str>) {
        let has = value.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
        if keywords.contains_key("additionalProperties") {
            seen.extend(has);
        } else {
            let properties = keywords.get("properties").and_then(Value::as_object);
            let is_named = |key: &str| properties.is_some_and(|properties| properties.contains_key(key));
            seen.extend(has.filter(|&key| is_named(key) || matching(keywords, key).next().is_some()));
        }
        let branches = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|key| keywords.get(key)).flat_map(parts);
        let target = keywords.get("$ref").and_then(Value::as_str).and_then(|target| target_of(self.root, target));
        let condition = keywords.get("if").map(|part| (part, if self.holds(part, value) { "then" } else { "else" }));
        let chosen = condition.and_then(|(_, key)| keywords.get(key));
        let parts = branches.chain(target).chain(condition.map(|(part, _)| part)).chain(chosen);
        for part in parts.filter(|part| self.references < MOST_REFERENCES && self.holds(part, value)) {
            let deeper =
                Check { root: self.root, path: Vec::new(), references: self.references + 1, broken: Vec::new() };
            if let Some(keywords) = part.as_object() {
                deeper.see(keywords, value, seen);
                if keywords.contains_key("unevaluatedProperties") {
                    seen.extend(value.as_object().into_iter().flat_map(Map::keys).map(String::as_str));
                }
            }
        }
    }
}

/// Whether further keys are held to something.
fn is_closed(keywords: &Map<String, Value>) -> bool {
    keywords.get("additionalProperties").is_some_and(|rest| rest != &Value::Bool(true))
}

/// The schemas of `patternProperties` that a key is held to.
fn matching<'a>(keywords: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a Value> {
    let patterns = keywords.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
    patterns.filter(move |(pattern, _)| is_match(pattern, key)).map(|(_, schema)| schema)
}

/// The part of the document that a reference names.
fn target_of<'a>(root: &'a Value, target: &str) -> Option<&'a Value> {
    root.pointer(target.strip_prefix('#')?)
}

/// The elements of a list.
fn parts(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => false,
    }
}

fn order(left: &Number, right: &Number) -> Ordering {
    match (left.as_i128(), right.as_i128()) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left.as_f64().unwrap_or(f64::NAN).total_cmp(&right.as_f64().unwrap_or(f64::NAN)),
    }
}

fn matches(pattern: &Value, value: &Value) -> bool {
    let (Some(pattern), Some(text)) = (pattern.as_str(), value.as_str()) else { return true };
    is_match(pattern, text)
}

fn is_match(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
}

fn is_multiple(of: &Value, value: &Value) -> bool {
    match (value.as_i64(), of.as_i64()) {
        (Some(value), Some(of)) if of > 0 => value % of == 0,
        _ => {
            let (Some(value), Some(of)) = (value.as_f64(), of.as_f64()) else { return true };
            // Neither is exact in binary: 0.3 is a multiple of 0.1.
            let times = value / of;
            (times - times.round()).abs() <= 1e-9 * times.abs().max(1.0)
        }
    }
}

fn repeats(value: &Value) -> bool {
    let mut seen = BTreeSet::new();
    parts(value).any(|item| !seen.insert(canonical(item).to_string()))
}

/// The value as equal ones are written alike: 2.0 as 2, keys in order.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            // Below it every whole number is exact.
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 2f64.powi(53) => {
                (float as i64).into()
            }
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(key, field)| (key.clone(), canonical(field))).collect();
            fields.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(fields.into_iter().collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The paths of what is broken.
    fn paths(schema: &Value, value: &Value) -> Vec<String> {
        check_schema(schema, schema).unwrap();
        broken(schema, value).iter().map(|broken| broken.path.join(".")).collect()
    }

    #[test]
    fn each_keyword_holds_and_breaks() {
        for (schema, right, wrong) in [
            (json!({"type": "integer"}), json!(2.0), json!(2.5)),
            (json!({"type": ["string", "null"]}), json!(null), json!(1)),
            (json!({"enum": [1, "a"]}), json!(1.0), json!("b")),
            (json!({"const": {"a": 1, "b": [2]}}), json!({"b": [2.0], "a": 1}), json!({"a": 1})),
            (json!({"minimum": 0, "maximum": u64::MAX}), json!(u64::MAX), json!(-1)),
            (json!({"exclusiveMinimum": 0.0, "exclusiveMaximum": 1}), json!(0.5), json!(1.0)),
            (json!({"multipleOf": 0.1}), json!(0.3), json!(0.35)),
            (json!({"multipleOf": 4}), json!(12), json!(13)),
            (json!({"minLength": 2, "maxLength": 3}), json!("äöü"), json!("ä")),
            (json!({"pattern": "^a+$"}), json!("aa"), json!("ab")),
            (json!({"minItems": 1, "maxItems": 2}), json!([1]), json!([])),
            (json!({"uniqueItems": true}), json!([1, "1", [1]]), json!([{"a": 1, "b": 2}, {"b": 2, "a": 1.0}])),
            (json!({"minProperties": 1, "maxProperties": 1}), json!({"a": 1}), json!({"a": 1, "b": 1})),
            (json!({"propertyNames": {"pattern": "^a"}}), json!({"ab": 1}), json!({"b": 1})),
            (
                json!({"patternProperties": {"^[0-9]+$": {"type": "string"}}, "additionalProperties": false}),
                json!({"1": "a"}),
                json!({"a": "a"}),
            ),
            (json!({"required": ["a"]}), json!({"a": null}), json!({})),
            (json!({"anyOf": [{"type": "string"}, {"minimum": 3}]}), json!(3), json!(2)),
            (json!({"oneOf": [{"minimum": 1}, {"minimum": 2}]}), json!(1), json!(2)),
            (json!({"not": {"const": 0}}), json!(1), json!(0)),
            (json!({"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"minimum": 1}}), json!("a"), json!(0)),
            (json!({"not": true}), json!(null), json!(null)),
            (json!(false), json!(null), json!(null)),
        ] {
            check_schema(&schema, &schema).unwrap();
            assert_eq!(broken(&schema, &wrong).len(), 1, "{schema}: {wrong}");
            if right != wrong {
                assert_eq!(broken(&schema, &right), [], "{schema}: {right}");
            }
        }
    }

    #[test]
    fn places_are_told_through_tables_lists_and_references() {
        let schema = json!({
            "$defs": {"Leaf": {"type": "object", "properties": {"x": {"type": "integer"}}, "additionalProperties": false}},
            "properties": {
                "first": {"prefixItems": [{"type": "string"}], "items": {"$ref": "#/$defs/Leaf"}},
                "all": {"allOf": [{"$ref": "#/$defs/Leaf"}, {"required": ["y"]}]},
            },
            "additionalProperties": {"type": "boolean"},
        });
        let value = json!({"first": [1, {"x": "a", "z": 1}], "other": 1, "all": {"x": 1}, "fine": true});
        assert_eq!(paths(&schema, &value), ["first.0", "first.1.x", "first.1", "other", "all"]);
        let rules: Vec<_> = broken(&schema, &value).into_iter().map(|broken| broken.rule).collect();
        let unknown = Rule::Unknown(vec!["z"]);
        assert_eq!(rules, [Rule::Other, Rule::Other, unknown, Rule::Other, Rule::Missing("y")]);
    }

    #[test]
    fn a_flattened_table_knows_the_keys_of_all_its_parts() {
        let schema = json!({
            "properties": {"a": true},
            "oneOf": [
                {"properties": {"kind": {"const": "b"}, "b": {"type": "integer"}}, "required": ["kind"]},
                {"properties": {"kind": {"const": "c"}, "c": {"type": "integer"}}, "required": ["kind"]},
            ],
            "$ref": "#/$defs/More",
            "$defs": {"More": {"properties": {"d": true}}},
            "unevaluatedProperties": false,
        });
        assert_eq!(broken(&schema, &json!({"a": 1, "kind": "b", "b": 1, "d": 1})), []);
        let value = json!({"a": 1, "kind": "b", "c": 1});
        assert_eq!(broken(&schema, &value).last().unwrap().rule, Rule::Unknown(vec!["c"]));
    }

    #[test]
    fn a_circle_of_references_ends() {
        let schema = json!({"$ref": "#/$defs/A", "$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}]},
            "Tree": {"properties": {"child": {"$ref": "#/$defs/Tree"}}, "additionalProperties": false}}});
        assert_eq!(paths(&schema, &json!(1)), [""; 0]);
        let tree = json!({"$ref": "#/$defs/Tree", "$defs": schema["$defs"]});
        assert_eq!(paths(&tree, &json!({"child": {"child": {"leaf": 1}}})), ["child.child"]);
    }

    #[test]
    fn what_is_not_checked_is_refused() {
        for (schema, said) in [
            (json!({"dependentRequired": {}}), "`dependentRequired` is not supported"),
            (json!({"properties": {"a": {"minimum": "1"}}}), "`minimum` holds \"1\""),
            (json!({"items": [1]}), "[1] stands where a schema must"),
            (json!({"$ref": "#/$defs/None"}), "`$ref` holds \"#/$defs/None\""),
            (json!({"$ref": "https://example.org"}), "`$ref` holds \"https://example.org\""),
            (json!({"anyOf": [{"pattern": "(?=a)"}]}), "`pattern` holds `(?=a)`"),
        ] {
            let error = check_schema(&schema, &schema).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
