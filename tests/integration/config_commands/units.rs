//! Every number that a config can hold has a unit, so that `config explain` can say it.

use crate::support::workspace::built;
use infomax::{config::host_schema, plugin::Candidate};
use serde_json::Value;

/// The schema that a field refers to, and of a field that may be left out the one of its value.
fn plain<'a>(whole: &'a Value, part: &'a Value) -> &'a Value {
    if let Some(name) = part["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return plain(whole, &whole["$defs"][name]);
    }
    let choices = part["anyOf"].as_array().into_iter().flatten();
    let value = choices.into_iter().find(|choice| choice["type"] != "null");
    value.map_or(part, |value| plain(whole, value))
}

fn is_number(whole: &Value, part: &Value) -> bool {
    let part = plain(whole, part);
    let is =
        |name: &str| part["type"] == name || part["type"].as_array().is_some_and(|all| all.iter().any(|t| t == name));
    let items = || part.get("items").or_else(|| part["prefixItems"].get(0));
    is("integer") || is("number") || (is("array") && items().is_some_and(|items| is_number(whole, items)))
}

/// Counts the numbers of a schema, and lists those without a unit.
fn walk(whole: &Value, part: &Value, path: &str, numbers: &mut usize, without: &mut Vec<String>) {
    for (name, field) in plain(whole, part)["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if is_number(whole, field) {
            *numbers += 1;
            if field["unit"].as_str().or_else(|| plain(whole, field)["unit"].as_str()).is_none() {
                without.push(path);
            }
        } else {
            walk(whole, field, &path, numbers, without);
        }
    }
}

#[test]
fn every_number_of_the_host_and_of_every_reference_plugin_has_a_unit() {
    let (mut numbers, mut without) = (0, Vec::new());
    let host = host_schema();
    walk(&host, &host, "host", &mut numbers, &mut without);
    let mut components = 0;
    for plugin in ["amdim", "augmentations", "datasets", "encoders", "losses"] {
        let path = built().join(format!("libinfomax_{plugin}.so"));
        let candidate = Candidate::read(&path, &[]).unwrap_or_else(|error| panic!("{}", error.fault()));
        for component in candidate.manifest.components {
            let name = format!("{} {}", component.kind, component.name);
            walk(&component.schema, &component.schema, &name, &mut numbers, &mut without);
            components += 1;
        }
    }
    println!("units: {} of {numbers} numbers, {components} components", numbers - without.len());
    assert!(without.is_empty(), "{without:?}");
    assert!(numbers > 150 && components >= 25, "{numbers} numbers of {components} components");
}
