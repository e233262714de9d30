//! Checks of the config: its schema, its defaults, its bounds, and requests that make no sense.

use super::subject::{Subject, all, no_panic, take};
use infomax_abi::abi_stable::std_types::RStr;
use infomax_sdk::ErrorKind;
use serde_json::{Map, Value, json};

pub(super) fn check(subject: &mut Subject<'_>) {
    subject.verdict("schema", schema(&subject.schema));
    let verdict = defaults(subject);
    subject.verdict("defaults", verdict);
    let verdict = bounds(subject);
    subject.verdict("bounds", verdict);
    let verdict = nonsense(subject);
    subject.verdict("requests that make no sense", verdict);
}

fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

/// Closed, and every field described and with a default.
fn schema(schema: &Value) -> Result<(), String> {
    if schema["additionalProperties"] != json!(false) && fields(schema).next().is_some() {
        return Err("it takes fields that it does not know: add `#[serde(deny_unknown_fields)]`".to_owned());
    }
    all(fields(schema).map(|(name, field)| {
        if field["description"].as_str().is_none_or(str::is_empty) {
            return Err(format!("`{name}` has no description: write a doc comment on the field"));
        }
        let optional = field["type"].as_array().is_some_and(|types| types.contains(&json!("null")))
            || field["anyOf"].as_array().is_some_and(|any| any.contains(&json!({"type": "null"})));
        if field.get("default").is_none() && !optional {
            return Err(format!("`{name}` has no default: add `#[serde(default)]` on the struct"));
        }
        Ok(())
    }))
}

/// The schema's defaults, spelled out, mean what an empty config means.
fn defaults(subject: &Subject<'_>) -> Result<(), String> {
    let spelled: Map<String, Value> = fields(&subject.schema)
        .filter_map(|(name, field)| Some((name.clone(), field.get("default")?.clone())))
        .collect();
    let describe = |config: Value| {
        let mut request = super::loss::plausible(subject.request());
        request.config = config;
        subject.describe(&request).map_err(|error| (error.kind, error.to_string()))
    };
    let (empty, spelled) = (describe(json!({})), describe(Value::Object(spelled)));
    if empty != spelled {
        return Err(format!("with its defaults spelled out it says {spelled:?}, without {empty:?}"));
    }
    match describe(json!({"no_such_field": 1})) {
        Err((ErrorKind::Config, _)) => Ok(()),
        other => Err(format!("an unknown field is to be refused as a config error, it says {other:?}")),
    }
}

/// Each number at either end of its range: an answer or a refusal, never a panic.
fn bounds(subject: &Subject<'_>) -> Result<(), String> {
    all(fields(&subject.schema).flat_map(|(name, field)| {
        ["minimum", "maximum"].into_iter().filter_map(move |end| Some((name, field.get(end)?.clone()))).map(
            |(name, value)| {
                let mut request = super::loss::plausible(subject.request());
                if !request.config.is_object() {
                    request.config = json!({});
                }
                request.config[name] = value.clone();
                no_panic(&format!("`{name}` = {value}"), &subject.describe(&request))
            },
        )
    }))
}

/// Text that is no request, and a name that the library does not have.
fn nonsense(subject: &Subject<'_>) -> Result<(), String> {
    for text in ["", "{", "[]", "{\"config\": 7}", "\u{0}"] {
        let answer = subject.describe_text(text);
        no_panic(&format!("the request {text:?}"), &answer)?;
        if answer.is_ok() {
            return Err(format!("it takes {text:?} for a request"));
        }
    }
    let unknown: RStr<'_> = "no such component".into();
    match take(subject.module.describe()(subject.kind.as_str().into(), unknown, "{}".into())) {
        Err(error) if error.kind == ErrorKind::Config => Ok(()),
        other => Err(format!("an unknown name is to be refused as a config error, it says {other:?}")),
    }
}
