//! The two layers above the files: the environment's `INFOMAX__TABLE__KEY` and `--set key=value`.

use super::{
    document,
    fault::Fault,
    layer::{BadNumber, KeyPath, Layer, Place},
};
use serde_json::Value;
use toml::de::{DeTable, DeValue};

/// What a variable must start with to be read as config.
pub(super) const PREFIX: &str = "INFOMAX__";

/// The environment's layer; variables without the prefix are left alone.
pub(super) fn environment(variables: &[(String, String)]) -> Result<Layer, Vec<Fault>> {
    let mut variables: Vec<_> = variables.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    let mut layer = Layer::default();
    let mut faults = Vec::new();
    for (name, text) in variables {
        let path: KeyPath = name[PREFIX.len()..].to_lowercase().split("__").map(str::to_owned).collect();
        let place = Place::Words(format!("environment {name}"));
        if path.iter().any(String::is_empty) {
            let fault = Fault::new(format!("the variable `{name}` names no key")).at(place.to_string());
            faults.push(fault.hint("write `INFOMAX__TABLE__KEY`, as in `INFOMAX__TRAIN__SEED`"));
            continue;
        }
        put(&mut layer, &path, text, &place);
    }
    if faults.is_empty() { Ok(layer) } else { Err(faults) }
}

/// The layer of the `--set`s, all together; of two for one key the later wins.
pub(super) fn set(assignments: &[String]) -> Result<Layer, Vec<Fault>> {
    let mut layer = Layer::default();
    let mut faults = Vec::new();
    for assignment in assignments {
        let place = Place::Words(format!("--set {assignment}"));
        let parts = assignment.split_once('=').map(|(key, text)| (key.trim(), text.trim()));
        match parts.and_then(|(key, text)| Some((key_path(key)?, text))) {
            Some((path, text)) => put(&mut layer, &path, text, &place),
            None => {
                let fault = Fault::new(format!("`--set {assignment}` is not `key=value`")).at(place.to_string());
                faults.push(fault.hint("write `--set train.batch_size=64`"));
            }
        }
    }
    if faults.is_empty() { Ok(layer) } else { Err(faults) }
}

pub(super) fn put(layer: &mut Layer, path: &[String], text: &str, place: &Place) {
    layer.bad_numbers.retain(|bad| !bad.path.starts_with(path));
    let value = match document::value(text, path, place, layer) {
        Some(Value::Null) => return, // a number that JSON can't hold; it is kept apart
        Some(value) => value,
        None if looks_like_a_number(text) => {
            layer.bad_numbers.push(BadNumber { path: path.to_vec(), text: text.to_owned(), at: place.to_string() });
            return;
        }
        None => Value::from(text),
    };
    layer.set(path, value, place);
}

/// A value as every setting gives it: TOML, else the text itself.
pub fn value_of(text: &str) -> Value {
    let key = "value".to_owned();
    let mut layer = Layer::default();
    put(&mut layer, std::slice::from_ref(&key), text, &Place::Words(text.to_owned()));
    layer.values.remove(&key).unwrap_or(Value::Null)
}

fn looks_like_a_number(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['+', '-']);
    unsigned.parse::<f64>().is_ok()
}

/// A dotted TOML key.
pub(super) fn key_path(text: &str) -> Option<KeyPath> {
    if text.contains(['\n', '\r', '=', '[', '{', '#']) {
        return None;
    }
    let line = format!("{text} = 0");
    let root = DeTable::parse(&line).ok()?;
    let mut table = root.get_ref();
    let mut path = KeyPath::new();
    loop {
        let (key, value) = table.iter().next()?;
        path.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return Some(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn values_are_toml_else_text() {
        let layer =
            set(&texts(&["a.b=1", "a.c = 1e-3", "a.d=[1, 2]", "a.e=cuda:1", "a.f=true", "a.g=\"x y\""])).unwrap();
        let wanted = json!({"b": 1, "c": 1e-3, "d": [1, 2], "e": "cuda:1", "f": true, "g": "x y"});
        assert_eq!(Value::Object(layer.values)["a"], wanted);
    }

    #[test]
    fn nonsense_assignments_are_refused_together() {
        assert_eq!(set(&texts(&["a", "=1", "a..b=1", "a b=1"])).unwrap_err().len(), 4);
    }

    #[test]
    fn only_the_prefix_counts() {
        let variables =
            [("INFOMAX_SHARED", "x"), ("SSL_CERT_DIR", "/"), ("INFOMAX__TRAIN__SEED", "7"), ("infomax__a", "1")];
        let variables: Vec<_> = variables.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        assert_eq!(Value::Object(environment(&variables).unwrap().values), json!({"train": {"seed": 7}}));
    }

    #[test]
    fn overflow_and_nan_are_kept_apart() {
        let layer = set(&texts(&["a=99999999999999999999", "b=nan", "c=1e400", "d=-inf"])).unwrap();
        assert_eq!(layer.bad_numbers.len(), 4);
        assert!(layer.values.is_empty());
    }
}
