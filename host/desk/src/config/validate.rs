//! Checks a merged config against the whole schema and says every fault in words, with its place.

use super::{
    fault::Fault,
    json_schema::{Broken, Rule, broken, check_schema},
    layer::{KeyPath, Layer, Place, dotted},
    merge::place_of,
    nearest, schema,
};
use serde_json::{Map, Value};

/// Faults that are listed; a file that is no config at all has thousands.
const MOST_FAULTS: usize = 100;

/// All faults of a value, and of numbers that could not become one.
pub(super) fn validate(whole: &Value, value: &Value, layers: &[Layer]) -> Vec<Fault> {
    let check = Check { whole, layers };
    let mut faults = Listed::default();
    for bad in layers.iter().flat_map(|layer| &layer.bad_numbers) {
        faults.push(|| {
            let expected = schema::at(whole, &bad.path).map_or_else(|| "a finite number".to_owned(), expected);
            let message = format!("`{}` is {}, expected {expected}", dotted(&bad.path), bad.text);
            Fault { message, at: Some(bad.at.clone()), hint: meaning(whole, &bad.path) }
        });
    }
    match check_schema(whole, whole) {
        Ok(()) => broken(whole, value).iter().for_each(|part| check.describe(part, &mut faults)),
        Err(error) => faults.push(|| Fault::new(format!("a component's schema can't be checked by: {error}"))),
    }
    faults.finish()
}

/// Each fault once, since a value may break two keywords of its schema, and no more than can be read: the rest is counted,
/// and not put into words.
#[derive(Default)]
struct Listed {
    faults: Vec<Fault>,
    more: usize,
}

impl Listed {
    fn push(&mut self, say: impl FnOnce() -> Fault) {
        if self.faults.len() == MOST_FAULTS {
            self.more += 1;
            return;
        }
        let fault = say();
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    fn finish(mut self) -> Vec<Fault> {
        if self.more > 0 {
            self.faults.push(Fault::new(format!("and {} more", self.more)));
        }
        self.faults
    }
}

struct Check<'a> {
    whole: &'a Value,
    layers: &'a [Layer],
}

impl Check<'_> {
    fn describe(&self, broken: &Broken<'_>, faults: &mut Listed) {
        let Broken { path, value, rule } = broken;
        match rule {
            Rule::Unknown(keys) => {
                for key in keys {
                    faults.push(|| self.unknown(path, key, value));
                }
            }
            Rule::Missing(key) => {
                if let Some(fault) = self.missing(path, key) {
                    faults.push(|| fault);
                }
            }
            rule => faults.push(|| self.wrong(path, value, rule)),
        }
    }

    fn place(&self, path: &[String]) -> Option<String> {
        let last = self.layers.iter().rev().find(|layer| !layer.file.is_empty());
        place_of(self.layers, path)
            .map(Place::to_string)
            .or_else(|| Some(last.map_or_else(|| "no config file is given".to_owned(), |layer| layer.file.clone())))
    }

    fn unknown(&self, table: &[String], key: &str, instance: &Value) -> Fault {
        let is_table = instance.get(key).is_some_and(Value::is_object);
        let message = match (table, is_table) {
            ([], true) => format!("unknown table `{key}`"),
            ([], false) => format!("unknown field `{key}` outside of any table"),
            (table, _) => format!("unknown field `{key}` in table `{}`", dotted(table)),
        };
        let none = Map::new();
        let known = schema::at(self.whole, table).and_then(|s| s["properties"].as_object()).unwrap_or(&none);
        let near =
            nearest::nearest(key, known.keys().map(String::as_str)).map(|name| format!("did you mean `{name}`?"));
        let elsewhere = || self.elsewhere(key).map(|path| format!("did you mean `{path}`?"));
        let list = || nearest::proposal(key, known.keys().map(String::as_str));
        let path: KeyPath = table.iter().cloned().chain([key.to_owned()]).collect();
        let hint = near.or_else(elsewhere).or_else(list).or_else(|| Some("it takes no fields".to_owned()));
        Fault { message, at: self.place(&path), hint }
    }

    /// The key of this name in another of the host's tables.
    fn elsewhere(&self, key: &str) -> Option<String> {
        let tables = self.whole["properties"].as_object()?;
        let name = tables.iter().find(|(_, table)| table["properties"].get(key).is_some()).map(|(name, _)| name)?;
        Some(format!("{name}.{key}"))
    }

    fn missing(&self, table: &[String], key: &str) -> Option<Fault> {
        let path: KeyPath = table.iter().cloned().chain([key.to_owned()]).collect();
        if self.layers.iter().any(|layer| layer.bad_numbers.iter().any(|bad| bad.path == path)) {
            return None;
        }
        let (message, hint) = if table.is_empty() {
            (
                format!("missing table `{key}`"),
                format!("name a component: `--set {key}.name=…`, or extend a file that does"),
            )
        } else {
            let what = meaning(self.whole, &path).unwrap_or_else(|| format!("`{}`", dotted(&path)));
            (format!("missing field `{key}` in table `{}`", dotted(table)), format!("set {what}"))
        };
        Some(Fault { message, at: self.place(&path), hint: Some(hint) })
    }

    fn wrong(&self, path: &[String], value: &Value, rule: &Rule<'_>) -> Fault {
        let none = Value::Null;
        let part = schema::at(self.whole, path).unwrap_or(&none);
        let choices = schema::choices(part);
        let examples: Vec<&str> = part["examples"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let expected = match rule {
            Rule::Pattern(pattern) if examples.is_empty() => format!("text like `{pattern}`"),
            Rule::Pattern(_) => format!("text like {}", listed(&examples)),
            Rule::UniqueItems => "a list without repetitions".to_owned(),
            Rule::MultipleOf(of) => format!("a multiple of {of}"),
            _ => expected(part),
        };
        let message = format!("`{}` is {}, expected {expected}", dotted(path), in_words(value, part));
        let hint = value.as_str().and_then(|text| {
            let near = nearest::nearest(text, choices.iter().map(String::as_str).chain(examples.iter().copied()));
            near.map(|name| format!("did you mean `{name}`?"))
        });
        let text_wanted = schema::type_name(part) == Some("string") && value.is_number();
        let quote = || text_wanted.then(|| format!("write it in quotes: `\"{value}\"`"));
        Fault { message, at: self.place(path), hint: hint.or_else(quote).or_else(|| meaning(self.whole, path)) }
    }
}

/// What a field is for, from its schema: the first sentence of its description.
fn meaning(whole: &Value, path: &[String]) -> Option<String> {
    // An element of a list is described with the list.
    let field = path.iter().rposition(|part| !part.bytes().all(|b| b.is_ascii_digit()))?;
    let text = described(whole, &path[..=field])?;
    let sentence = text.split(". ").next().unwrap_or(text).trim_end_matches('.').replace('\n', " ");
    // Within a sentence, unless it starts with a name such as `SHA-256`.
    let mut letters = sentence.chars();
    let (first, rest) = (letters.next()?, letters.as_str());
    let is_name = rest.starts_with(|c: char| !c.is_lowercase() && c != ' ');
    let first = if is_name { first.to_string() } else { first.to_lowercase().to_string() };
    Some(format!("`{}`: {first}{rest}", dotted(&path[..=field])))
}

/// The description where the field stands; what it refers to may have none of its own.
pub(super) fn described<'a>(whole: &'a Value, path: &[String]) -> Option<&'a str> {
    let field = schema::field(whole, path)?;
    field["description"].as_str().or_else(|| schema::plain(whole, field)["description"].as_str())
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The value as the message shows it; with its type where that is what's wrong.
fn in_words(value: &Value, part: &Value) -> String {
    let (name, right) = match value {
        Value::String(_) => ("a string", "string"),
        Value::Bool(_) => ("a boolean", "boolean"),
        Value::Array(_) => ("a list", "array"),
        Value::Object(_) => ("a table", "object"),
        Value::Number(_) | Value::Null => ("a number", "number"),
    };
    let mut text = value.to_string();
    if text.chars().count() > 60 {
        text = text.chars().take(57).collect::<String>() + "…";
    }
    match (value, schema::type_name(part)) {
        (Value::Object(_), wanted) if wanted != Some(right) => name.to_owned(),
        (Value::Number(_), _) => text,
        (_, Some(wanted)) if wanted != right => format!("{name} ({text})"),
        _ => format!("`{}`", value.as_str().map_or(text.clone(), |_| text.trim_matches('"').to_owned())),
    }
}

/// What a schema allows, in words: `an integer from 2 to 1048576`.
pub(super) fn expected(part: &Value) -> String {
    let choices = schema::choices(part);
    if !choices.is_empty() {
        return if choices.len() == 1 {
            format!("`{}`", choices[0])
        } else {
            format!("one of {}", listed(&choices.iter().map(String::as_str).collect::<Vec<_>>()))
        };
    }
    let limit = |key: &str| part.get(key).filter(|limit| limit.is_number()).map(Value::to_string);
    match schema::type_name(part) {
        Some("integer") => format!("an integer{}", range(&limit)),
        Some("number") => format!("a finite number{}", range(&limit)),
        Some("string") => match (limit("minLength"), limit("maxLength")) {
            (Some(low), Some(high)) => format!("text of {low} to {high} characters"),
            _ => "text in quotes".to_owned(),
        },
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("object") => "a table".to_owned(),
        Some("array") => {
            let each = part.get("items").filter(|items| items.is_object()).map(expected);
            let of = each.map(|each| format!(", each {each}")).unwrap_or_default();
            match (limit("minItems"), limit("maxItems")) {
                (Some(low), Some(high)) if low == high => format!("a list of {low} values{of}"),
                (Some(low), _) if low == "1" => format!("a list that is not empty{of}"),
                (Some(low), _) => format!("a list of at least {low} values{of}"),
                (None, Some(high)) => format!("a list of at most {high} values{of}"),
                (None, None) => format!("a list{of}"),
            }
        }
        _ => "one of the forms that the schema allows".to_owned(),
    }
}

fn range(limit: &dyn Fn(&str) -> Option<String>) -> String {
    let low = limit("minimum").map(|n| format!("from {n}")).or(limit("exclusiveMinimum").map(|n| format!("above {n}")));
    let high = limit("maximum").map(|n| format!("to {n}")).or(limit("exclusiveMaximum").map(|n| format!("below {n}")));
    match (low, high) {
        (Some(low), Some(high)) => format!(" {low} {high}"),
        (Some(one), None) | (None, Some(one)) => format!(" {one}"),
        (None, None) => String::new(),
    }
}
