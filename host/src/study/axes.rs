//! The axes of a study: what each of their values sets.
//!
//! An axis is a list of values of one key (`"optimizer.lr" = [1e-3, 5e-4]`), of several keys that go together
//! (`"optimizer.lr, train.batch_size" = [[1e-3, 64], [2e-3, 128]]`), of components (`loss = ["amdim", "nt-xent"]`; a name with a
//! `/` is a fragment, a table the component's whole table), or a table of named pieces of config. For searches it may be a range.

use super::file::{SearchKind, Study};
use crate::{
    config::{Fault, KINDS, Piece, shown},
    error::{Error, Result},
};
use infomax_sdk::KeyedRng;
use serde_json::{Map, Value};

/// One thing that varies.
#[derive(Clone, Debug)]
pub struct Axis {
    /// As the file names it.
    pub name: String,
    pub choices: Choices,
}

/// What an axis may be.
#[derive(Clone, Debug)]
pub enum Choices {
    /// One of these.
    List(Vec<Choice>),
    /// Any number of a range.
    Range(Range),
}

/// One value of an axis.
#[derive(Clone, Debug)]
pub struct Choice {
    /// As tables show it.
    pub label: String,
    /// A number or a truth value where the axis is one key, or else the label.
    pub value: Value,
    /// What it sets.
    pub above: Vec<Piece>,
}

/// A range of numbers for one key.
#[derive(Clone, Debug)]
pub struct Range {
    low: f64,
    high: f64,
    is_logarithmic: bool,
    is_integer: bool,
    study: Piece,
}

/// Reads the axes of a study.
///
/// # Errors
/// Everything that is wrong with them, each with its place.
pub fn axes(study: &Study) -> Result<Vec<Axis>> {
    let mut faults = Vec::new();
    let mut axes = Vec::new();
    for (name, value) in &study.text.axes {
        match axis(study, name, value) {
            Ok(axis) => axes.push(axis),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(axes) } else { Err(Error::Config { faults }) }
}

fn axis(study: &Study, name: &str, value: &Value) -> Result<Axis, Fault> {
    let fail = |message: String| study.fault(message, &["axes", name]);
    let choices = match value {
        Value::Array(values) if values.is_empty() => Err(fail(format!("the axis `{name}` has no values"))),
        Value::Array(values) => list(study, name, values).map(Choices::List),
        Value::Object(fields) if fields.contains_key("min") || fields.contains_key("max") => {
            range(study, name, fields).map(Choices::Range)
        }
        Value::Object(fields) if fields.is_empty() => Err(fail(format!("the axis `{name}` has no points"))),
        Value::Object(_) if unquoted(name, value).is_some() => {
            let (key, values) = unquoted(name, value).expect("seen in the line above");
            let message = format!("the key `{key}` stands without quotes, so that TOML takes `{name}` for the axis");
            Err(fail(message).hint(format!("write `\"{key}\" = {}`", shown(values))))
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(label, piece)| point(study, name, label, piece))
            .collect::<Result<_, _>>()
            .map(Choices::List),
        _ => Err(fail(format!("the axis `{name}` is neither a list of values nor a table of named points"))
            .hint("write `loss = [\"amdim\", \"nt-xent\"]`, or `[axes.NAME]` with `\"label\" = { … }` below it")),
    }?;
    if let Choices::List(list) = &choices
        && let Some(twice) =
            list.iter().enumerate().find(|(i, c)| list[..*i].iter().any(|other| other.label == c.label))
    {
        return Err(fail(format!("`{}` stands twice in the axis `{name}`", twice.1.label)));
    }
    Ok(Axis { name: name.to_owned(), choices })
}

/// The key, and its list, that was meant where a table of the config is no axis: `optimizer.lr = [1e-3]` for `"optimizer.lr" = [1e-3]`.
fn unquoted<'a>(name: &str, value: &'a Value) -> Option<(String, &'a Value)> {
    const TABLES: [&str; 6] = ["optimizer", "train", "evaluation", "checkpoint", "distributed", "batch_norm"];
    let is_table = |name: &str| TABLES.contains(&name) || KINDS.contains(&name);
    if !is_table(name) {
        return None;
    }
    let (mut key, mut value) = (name.to_owned(), value);
    loop {
        match value {
            Value::Array(_) => return Some((key, value)),
            Value::Object(fields) => {
                let (field, inner) = fields.iter().next()?;
                if is_table(field) {
                    return None; // a named piece of config
                }
                key = format!("{key}.{field}");
                value = inner;
            }
            _ => return None,
        }
    }
}

/// The values of one key, of several, or of a component.
fn list(study: &Study, name: &str, values: &[Value]) -> Result<Vec<Choice>, Fault> {
    let keys: Vec<&str> = name.split(',').map(str::trim).collect();
    let is_component = KINDS.contains(&name);
    let mut choices = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let index = index.to_string();
        let path = ["axes", name, index.as_str()];
        let mut piece = Piece::default();
        let mut above = Vec::new();
        match value {
            Value::String(text) if is_component && text.contains('/') => {
                above.extend(fragment(study, text, &path)?);
            }
            Value::String(_) if is_component => piece.set(&format!("{name}.name"), value, &study.piece, &path)?,
            Value::Object(_) if is_component => piece.set(name, value, &study.piece, &path)?,
            _ if is_component => {
                let fault = study.fault(format!("a value of the axis `{name}` is {}", shown(value)), &path);
                return Err(fault.hint("give a component's name, a fragment such as `methods/amdim`, or a table"));
            }
            Value::Array(parts) if keys.len() > 1 && parts.len() == keys.len() => {
                for (key, part) in keys.iter().zip(parts) {
                    piece.set(key, part, &study.piece, &path)?;
                }
            }
            _ if keys.len() > 1 => {
                let message =
                    format!("the axis `{name}` sets {} keys, but a value of it is {}", keys.len(), shown(value));
                return Err(study.fault(message, &path).hint("give a list with a value for each key"));
            }
            _ => piece.set(name, value, &study.piece, &path)?,
        }
        if !piece.values().is_empty() {
            above.push(piece);
        }
        let label = label(value, values);
        let value =
            if keys.len() == 1 && !is_component && !value.is_object() { value.clone() } else { label.clone().into() };
        choices.push(Choice { label, value, above });
    }
    Ok(choices)
}

/// A named piece of config; `extends` in it names fragments.
fn point(study: &Study, axis: &str, label: &str, piece: &Value) -> Result<Choice, Fault> {
    let path = ["axes", axis, label];
    if !piece.is_object() {
        let fault = study.fault(format!("the point `{label}` of the axis `{axis}` is no table"), &path);
        return Err(fault.hint(format!("write `\"{label}\" = {{ loss.name = \"amdim\" }}`; `{{}}` changes nothing")));
    }
    let mut own = study.piece.below(&path);
    let mut above = Vec::new();
    for name in own.take_extends()? {
        above.extend(fragment(study, &name, &path)?);
    }
    above.push(own);
    Ok(Choice { label: label.to_owned(), value: label.into(), above })
}

/// The layers of a fragment that the study names.
fn fragment(study: &Study, name: &str, path: &[&str]) -> Result<Vec<Piece>, Fault> {
    Piece::read_config(&study.fragment(name)).map_err(|faults| {
        let first = faults.into_iter().next().unwrap_or_default();
        Fault {
            at: study
                .piece
                .place(path)
                .map(|at| first.at.map_or(at.clone(), |inner| format!("{inner}, named at {at}"))),
            ..first
        }
    })
}

/// What a value is called: a component by its name, where that tells it from the others.
fn label(value: &Value, among: &[Value]) -> String {
    let name = |value: &Value| {
        value.get("name").and_then(Value::as_str).map(str::to_owned).or_else(|| value.as_str().map(str::to_owned))
    };
    let short = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .map(|part| part.as_str().map_or_else(|| shown(part), str::to_owned))
            .collect::<Vec<_>>()
            .join(", "),
        _ => shown(value),
    };
    match name(value) {
        Some(own)
            if value.is_object() && among.iter().filter(|other| name(other).as_ref() == Some(&own)).count() == 1 =>
        {
            own
        }
        Some(own) if value.is_object() => {
            let rest: Map<String, Value> = value
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(key, _)| *key != "name")
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            let rest = match rest.get("config") {
                Some(config) if rest.len() == 1 => config.clone(),
                _ => Value::Object(rest),
            };
            if rest == Value::Object(Map::new()) { own } else { format!("{own} {}", shown(&rest)) }
        }
        _ => short(value),
    }
}

fn range(study: &Study, name: &str, fields: &Map<String, Value>) -> Result<Range, Fault> {
    let fail = |message: String| {
        Err(study.fault(message, &["axes", name]).hint("write `{ min = 1e-4, max = 1e-2, scale = \"log\" }`"))
    };
    if study.text.search.kind == SearchKind::Grid {
        let fault = study.fault(format!("the axis `{name}` is a range, but a grid needs values"), &["axes", name]);
        return Err(fault.hint("give a list, or draw from the range with `search.kind = \"random\"`"));
    }
    if let Some(unknown) = fields.keys().find(|key| !["min", "max", "scale"].contains(&key.as_str())) {
        return fail(format!("unknown field `{unknown}` in the range of the axis `{name}`"));
    }
    let (Some(low), Some(high)) =
        (fields.get("min").and_then(Value::as_f64), fields.get("max").and_then(Value::as_f64))
    else {
        return fail(format!("the range of the axis `{name}` needs two numbers, `min` and `max`"));
    };
    let is_logarithmic = match fields.get("scale").map(Value::as_str) {
        None | Some(Some("linear")) => false,
        Some(Some("log")) => true,
        _ => return fail(format!("`scale` of the axis `{name}` is neither `linear` nor `log`")),
    };
    if low >= high || is_logarithmic && low <= 0.0 {
        return fail(format!("the range of the axis `{name}` from {low} to {high} is empty, or has no logarithm"));
    }
    let is_integer = fields["min"].is_i64() && fields["max"].is_i64();
    Ok(Range { low, high, is_logarithmic, is_integer, study: study.piece.clone() })
}

impl Axis {
    /// The values of a list; none of a range.
    pub fn listed(&self) -> &[Choice] {
        match &self.choices {
            Choices::List(list) => list,
            Choices::Range(_) => &[],
        }
    }

    /// One of the values, drawn.
    ///
    /// # Errors
    /// A name that is no key.
    pub fn draw(&self, rng: &mut KeyedRng) -> Result<Choice, Fault> {
        match &self.choices {
            Choices::List(list) => Ok(list[rng.below(list.len() as u64) as usize].clone()),
            Choices::Range(range) => range.draw(&self.name, rng),
        }
    }
}

impl Range {
    fn draw(&self, name: &str, rng: &mut KeyedRng) -> Result<Choice, Fault> {
        let value = if self.is_logarithmic {
            rng.uniform(self.low.ln(), self.high.ln()).exp()
        } else {
            rng.uniform(self.low, self.high)
        };
        // Three digits: a search does not need more, and tables can show them.
        let value = if self.is_integer {
            Value::from(value.round() as i64)
        } else {
            Value::from(format!("{value:.2e}").parse::<f64>().expect("written as a number"))
        };
        let mut piece = Piece::default();
        piece.set(name, &value, &self.study, &["axes", name])?;
        Ok(Choice { label: shown(&value), value, above: vec![piece] })
    }
}
