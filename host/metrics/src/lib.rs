//! The rows of `metrics.jsonl`: one JSON object a line.

use memchr::{memchr, memrchr};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use std::fmt;

/// One line of metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Optimizer updates done.
    pub step: u64,
    /// The pass over the dataset that this step belongs to, from 0.
    pub epoch: u64,
    /// Time since the run began, resumed parts added up.
    pub seconds: f64,
    /// Named values in order; one that is not finite is written as null, named in `nonfinite`, and read back as NaN.
    pub values: Vec<(String, f64)>,
}

impl Row {
    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(key, _)| key == name).map(|&(_, value)| value)
    }

    /// The line with its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut fields = Map::new();
        fields.insert("step".to_owned(), Value::from(self.step));
        fields.insert("epoch".to_owned(), Value::from(self.epoch));
        fields.insert("seconds".to_owned(), Value::from(self.seconds));
        let mut nonfinite = Vec::new();
        for (name, value) in &self.values {
            // JSON has no word for NaN or infinity: `Value::from` makes them null.
            fields.insert(name.clone(), Value::from(*value));
            if !value.is_finite() {
                nonfinite.push(name.clone());
            }
        }
        if !nonfinite.is_empty() {
            fields.insert("nonfinite".to_owned(), Value::from(nonfinite));
        }
        Value::Object(fields).to_string() + "\n"
    }

    /// A whole line. None where it is not one of metrics.
    #[must_use]
    pub fn from_line(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok().map(|Line(row)| row)
    }
}

/// A row as it is read: straight from the text, since a page on a long run reads many.
struct Line(Row);

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields).map(Self)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row of metrics")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Row, A::Error> {
        let mut row = Row::default();
        let mut step = None;
        while let Some(name) = fields.next_key::<String>()? {
            match name.as_str() {
                "step" => step = Some(fields.next_value()?),
                "epoch" => row.epoch = fields.next_value()?,
                "seconds" => row.seconds = fields.next_value::<Option<f64>>()?.unwrap_or(f64::NAN),
                "nonfinite" => drop(fields.next_value::<IgnoredAny>()?),
                _ => {
                    let value = fields.next_value::<Option<f64>>()?.unwrap_or(f64::NAN);
                    row.values.push((name, value));
                }
            }
        }
        row.step = step.ok_or_else(|| A::Error::missing_field("step"))?;
        Ok(row)
    }
}

/// A text's lines that have their end.
#[must_use]
pub fn whole_lines(text: &[u8]) -> &[u8] {
    &text[..memrchr(b'\n', text).map_or(0, |end| end + 1)]
}

/// The whole lines of a text up to one that is not of metrics, and the number of that one, from 1.
#[must_use]
pub fn rows(text: &[u8]) -> (Vec<Row>, Option<usize>) {
    let mut rest = whole_lines(text);
    let mut rows = Vec::new();
    while let Some(end) = memchr(b'\n', rest) {
        match Row::from_line(&rest[..end]) {
            Some(row) => rows.push(row),
            None => {
                let number = rows.len() + 1;
                return (rows, Some(number));
            }
        }
        rest = &rest[end + 1..];
    }
    (rows, None)
}
