//! One TOML text as a layer: values as JSON, and the line and column of every key.
//!
//! Files are untrusted: size and depth are bounded, and text that is not TOML is refused with its place.

use super::{
    fault::Fault,
    layer::{BadNumber, KeyPath, Layer, Place},
    missing,
};
use serde_json::{Map, Value};
use std::{fs, io, path::Path};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Bytes that a file may have.
const MAX_BYTES: u64 = 1 << 20;
/// Syntax errors that are listed; a file that is no TOML at all has thousands.
const MOST_ERRORS: usize = 20;
/// Tables and arrays within one another.
const MAX_DEPTH: usize = 32;

/// A file as it was read.
pub(super) struct Document {
    pub(super) layer: Layer,
    /// What the file's `extends` names, with the place.
    pub(super) extends: Vec<(String, String)>,
}

/// Reads exactly this file.
pub(super) fn read(path: &Path, shown: &str) -> Result<Document, Vec<Fault>> {
    let text = text(path, shown).map_err(|fault| vec![fault])?;
    let mut layer = parse(&text, shown)?;
    let extends = take_extends(&mut layer, shown).map_err(|fault| vec![fault])?;
    Ok(Document { layer, extends })
}

/// Reads a file whose `extends`, if it has one, is a value like any other.
pub(super) fn read_plain(path: &Path, shown: &str) -> Result<Layer, Vec<Fault>> {
    let text = text(path, shown).map_err(|fault| vec![fault])?;
    parse(&text, shown)
}

fn text(path: &Path, shown: &str) -> Result<String, Fault> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing::fault(path, shown),
        _ => Fault::new(format!("can't read the config file `{shown}`: {error}")).at(shown),
    };
    let facts = fs::metadata(path).map_err(failed)?;
    if !facts.is_file() {
        return Err(Fault::new(format!("the config `{shown}` is not a regular file")).at(shown));
    }
    if facts.len() > MAX_BYTES {
        let message = format!("the config file `{shown}` has {} bytes, more than {MAX_BYTES}", facts.len());
        return Err(Fault::new(message).at(shown));
    }
    let bytes = fs::read(path).map_err(failed)?;
    let at = |offset: usize| {
        let (line, column) = Positions::of(&bytes).at(offset);
        format!("{shown}:{line}:{column}")
    };
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Fault::new("the file starts with a byte order mark")
            .at(at(0))
            .hint("save it as UTF-8 without BOM"));
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Fault::new("the file is UTF-16").at(at(0)).hint("save it as UTF-8"));
    }
    if let Some(offset) = bytes.iter().position(|&b| b == 0) {
        return Err(Fault::new("the file contains a NUL byte").at(at(offset)));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let (line, column) = Positions::of(error.as_bytes()).at(offset);
            let place = format!("{shown}:{line}:{column}");
            Err(Fault::new("the file is not UTF-8").at(place).hint("save it as UTF-8"))
        }
    }
}

/// Parses a text; `shown` is the file's name in messages.
pub(super) fn parse(text: &str, shown: &str) -> Result<Layer, Vec<Fault>> {
    let positions = Positions::of(text.as_bytes());
    let place = |offset: usize| {
        let (line, column) = positions.at(offset);
        Place::File { file: shown.to_owned(), line, column }
    };
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let fault = |error: &toml::de::Error| {
            let (line, column) = positions.at(error.span().map_or(0, |span| span.start));
            Fault::new(format!("not TOML: {}", error.message())).at(format!("{shown}:{line}:{column}"))
        };
        return Err(errors.iter().take(MOST_ERRORS).map(fault).collect());
    }
    let mut layer = Layer { file: shown.to_owned(), ..Layer::default() };
    let mut path = KeyPath::new();
    layer.values = table(root.get_ref(), &place, &mut path, &mut layer).map_err(|offset| {
        vec![Fault::new(format!("nested deeper than {MAX_DEPTH} levels")).at(place(offset).to_string())]
    })?;
    Ok(layer)
}

/// Reads one TOML value, as after `--set key=`; none where the text is not one.
pub(super) fn value(text: &str, path: &[String], place: &Place, layer: &mut Layer) -> Option<Value> {
    let parsed = DeValue::parse(text).ok()?;
    let mut path = path.to_vec();
    item(&parsed, &|_| place.clone(), &mut path, layer).ok().flatten().or_else(|| {
        let bad = layer.bad_numbers.last().is_some_and(|bad| bad.path == path);
        bad.then_some(Value::Null)
    })
}

type PlaceOf<'a> = &'a dyn Fn(usize) -> Place;

/// The error is the offset of what lies too deep.
fn table(
    table: &DeTable<'_>,
    place: PlaceOf<'_>,
    path: &mut KeyPath,
    layer: &mut Layer,
) -> Result<Map<String, Value>, usize> {
    let mut values = Map::new();
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, entry) in entries {
        path.push(key.get_ref().to_string());
        layer.places.insert(path.clone(), place(key.span().start));
        if path.len() > MAX_DEPTH {
            return Err(key.span().start);
        }
        if let Some(value) = item(entry, place, path, layer)? {
            values.insert(key.get_ref().to_string(), value);
        }
        path.pop();
    }
    Ok(values)
}

fn item(
    entry: &Spanned<DeValue<'_>>,
    place: PlaceOf<'_>,
    path: &mut KeyPath,
    layer: &mut Layer,
) -> Result<Option<Value>, usize> {
    let bad = |text: String, layer: &mut Layer| {
        let at = place(entry.span().start).to_string();
        layer.bad_numbers.push(BadNumber { path: path.clone(), text, at });
        None
    };
    Ok(match entry.get_ref() {
        DeValue::String(text) => Some(Value::from(text.as_ref())),
        DeValue::Boolean(flag) => Some(Value::from(*flag)),
        DeValue::Datetime(time) => Some(Value::from(time.to_string())),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Some(Value::from(number)),
            Err(_) => bad(number.to_string(), layer),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(value) if value.is_finite() => Some(Value::from(value)),
            _ => bad(number.to_string(), layer),
        },
        DeValue::Array(array) => {
            let mut values = Vec::new();
            for (index, element) in array.iter().enumerate() {
                path.push(index.to_string());
                layer.places.insert(path.clone(), place(element.span().start));
                if path.len() > MAX_DEPTH {
                    return Err(element.span().start);
                }
                values.push(item(element, place, path, layer)?.unwrap_or(Value::from(0)));
                path.pop();
            }
            Some(Value::Array(values))
        }
        DeValue::Table(fields) => Some(Value::Object(table(fields, place, path, layer)?)),
    })
}

pub(super) fn take_extends(layer: &mut Layer, shown: &str) -> Result<Vec<(String, String)>, Fault> {
    let path = vec!["extends".to_owned()];
    let at = layer.places.get(&path).map_or_else(|| shown.to_owned(), Place::to_string);
    let wrong =
        || Fault::new("`extends` takes a list of file names").at(at.clone()).hint("extends = [\"methods/amdim\"]");
    let names = match layer.values.shift_remove("extends") {
        None if layer.places.contains_key(&path) => return Err(wrong()),
        None => Vec::new(),
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => {
            let name = |value: Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
            names.into_iter().map(name).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(wrong()),
    };
    let place = |index: usize| layer.places.get(&vec!["extends".to_owned(), index.to_string()]).map(Place::to_string);
    let entries = names.into_iter().enumerate().map(|(index, name)| (name, place(index).unwrap_or_else(|| at.clone())));
    let entries = entries.collect();
    layer.places.retain(|path, _| path[0] != "extends");
    Ok(entries)
}

/// Where lines and characters start, so that asking for each of many places costs no pass over the text each.
struct Positions {
    /// The first byte of each line.
    lines: Vec<usize>,
    /// The bytes that go on with a character.
    continued: Vec<usize>,
}

impl Positions {
    fn of(bytes: &[u8]) -> Self {
        let after_break = bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').map(|(index, _)| index + 1);
        let continued = bytes.iter().enumerate().filter(|&(_, &byte)| byte & 0xc0 == 0x80).map(|(index, _)| index);
        Self { lines: [0].into_iter().chain(after_break).collect(), continued: continued.collect() }
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    fn at(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|&start| start <= offset);
        let start = self.lines[line - 1];
        let continued = |end: usize| self.continued.partition_point(|&index| index < end);
        (line, offset - start - (continued(offset) - continued(start)) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_line_and_column() {
        let layer =
            parse("[train]\nseed = 1\n  batch_size = 2\n\n[loss]\nconfig = { tclip = 20.0 }\n", "a.toml").unwrap();
        let place = |path: &[&str]| match &layer.places[&path.iter().map(|&p| p.to_owned()).collect::<Vec<_>>()] {
            Place::File { line, column, .. } => (*line, *column),
            Place::Words(_) => unreachable!("parsed from a file"),
        };
        assert_eq!(place(&["train", "batch_size"]), (3, 3));
        assert_eq!(place(&["loss", "config", "tclip"]), (6, 12));
    }

    #[test]
    fn columns_count_characters() {
        let text = "a = 1\n\u{e9}\u{20ac}x = \u{1f600}y\r\n\n z";
        let positions = Positions::of(text.as_bytes());
        for (offset, _) in text.char_indices().chain([(text.len(), ' ')]) {
            let before = &text[..offset];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
            assert_eq!(positions.at(offset), (line, column), "{offset}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_with_its_place() {
        for (open, close) in [("[", "]"), ("{a=", "}")] {
            for depth in [33, 100, 100_000] {
                let text = format!("x = {}1{}", open.repeat(depth), close.repeat(depth));
                let faults = parse(&text, "deep.toml").unwrap_err();
                assert!(faults[0].at.as_deref().unwrap().starts_with("deep.toml:1"), "{faults:?}");
            }
        }
    }

    #[test]
    fn several_syntax_errors_are_all_reported() {
        let faults = parse("a = \nb = 1\nc = ]\n", "a.toml").unwrap_err();
        assert!(faults.len() >= 2, "{faults:?}");
    }

    #[test]
    fn numbers_that_json_cannot_hold_are_kept_apart() {
        let layer = parse("a = nan\nb = -inf\nc = 1e400\nd = 99999999999999999999\n", "a.toml").unwrap();
        let lines: Vec<_> = layer.bad_numbers.iter().map(|bad| bad.at.as_str()).collect();
        assert_eq!(lines, ["a.toml:1", "a.toml:2", "a.toml:3", "a.toml:4"]);
        assert!(layer.values.is_empty());
    }
}
