//! Where a value comes from, and what its key means: every layer that says something about it, and its schema in words.

use super::{
    effect,
    fault::Fault,
    layer::{KeyPath, Layer, dotted},
    nearest, overrides, schema,
    tables::{Device, Optimizer},
    validate,
};
use serde_json::Value;

/// What other tools, and the published script, call our keys.
const OTHER_NAMES: [(&str, &str); 18] = [
    ("accumulate_grad_batches", "train.accumulation_steps"),
    ("amp", "train.precision"),
    ("base_lr", "optimizer.lr"),
    ("ckpt_path", "encoder.weights"),
    ("devices", "distributed.nproc"),
    ("gpus", "distributed.nproc"),
    ("gradient_accumulation_steps", "train.accumulation_steps"),
    ("learning_rate", "optimizer.lr"),
    ("log_every_n_steps", "train.log_every_steps"),
    ("max_epochs", "train.epochs"),
    ("max_steps", "train.steps"),
    ("num_workers", "train.workers"),
    ("output_dir", "record.run_directory"),
    ("pretrained", "encoder.weights"),
    ("run_name", "record.name"),
    ("scheduler", "optimizer.schedule"),
    ("warmup", "optimizer.warmup_steps"),
    ("wd", "optimizer.weight_decay"),
];

/// Everything that is said about every key of an experiment.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The whole schema.
    pub(super) whole: Value,
    /// The complete value.
    pub(super) value: Value,
    /// The layers as they were given.
    pub(super) given: Vec<Layer>,
    /// The layers without what later ones make meaningless.
    pub(super) layers: Vec<Layer>,
}

/// What there is to say about a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Explained {
    /// A single value.
    Field(Box<Field>),
    /// A table of them.
    Table {
        /// The table, dotted.
        key: String,
        /// What it is for.
        meaning: Option<String>,
        /// The fields below it, with value and place; without them where nothing is set.
        fields: Vec<(String, Option<(Value, String)>)>,
    },
}

/// What there is to say about a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The field, dotted.
    pub key: String,
    /// Its value; none where it is not set or has no effect.
    pub value: Option<Value>,
    /// Who said something, in order.
    pub said: Vec<Said>,
    /// What it is for.
    pub meaning: Option<String>,
    /// What it counts or measures; `dimensionless` where it is a plain number.
    pub unit: Option<String>,
    /// Its type with range or choices, in words.
    pub takes: String,
    /// Its default; none where it is not set unless somebody does.
    pub default: Option<Value>,
    /// Why it has no effect, and where it would.
    pub without_effect: Option<(String, String)>,
    /// What the value comes to together with others.
    pub comes_to: Option<String>,
}

/// One layer's say.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Where: `default`, `configs/methods/amdim.toml:4`, `--set …`, `environment …`.
    pub at: String,
    /// What.
    pub value: Value,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a layer's say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is the value.
    Holds,
    /// A later layer says something else.
    Overridden,
    /// A later layer's choice makes it meaningless.
    Dropped,
}

impl Survey {
    /// Where the experiment's tensors live.
    pub fn device(&self) -> Option<Device> {
        Device::try_from(self.value["train"]["device"].as_str()?.to_owned()).ok()
    }

    /// Explains a key: a field or a table.
    ///
    /// # Errors
    /// A key that nobody knows, with the nearest one.
    pub fn explain(&self, key: &str) -> Result<Explained, Fault> {
        let unknown = || self.unknown(key);
        let path = overrides::key_path(key).ok_or_else(unknown)?;
        if let Some(fields) = self.fields_below(&path) {
            let meaning = validate::described(&self.whole, &path).map(one_line);
            let row = |path: KeyPath| (dotted(&path), self.value_and_place(&path));
            return Ok(Explained::Table { key: dotted(&path), meaning, fields: fields.into_iter().map(row).collect() });
        }
        if self.fields().contains(&path) {
            return Ok(Explained::Field(Box::new(self.field(&path))));
        }
        match OTHER_NAMES.iter().find(|(other, _)| *other == key) {
            Some((_, ours)) => self.explain(ours),
            None => Err(unknown()),
        }
    }

    fn field(&self, path: &[String]) -> Field {
        let described = schema::field(&self.whole, path).unwrap_or(&Value::Null);
        let part = schema::at(&self.whole, path).unwrap_or(&Value::Null);
        let default = described.get("default").filter(|default| !default.is_null()).cloned();
        let without_effect = effect::reason(&self.value, path);
        let value = self.value_at(path).filter(|_| without_effect.is_none()).cloned();
        Field {
            key: dotted(path),
            said: self.said(path, default.as_ref(), value.as_ref()),
            value,
            meaning: validate::described(&self.whole, path).map(one_line),
            unit: described["unit"].as_str().or_else(|| part["unit"].as_str()).map(str::to_owned),
            takes: validate::expected(part),
            default,
            without_effect,
            comes_to: self.comes_to(path),
        }
    }

    /// The learning rate of updates, where `lr` is stated for another batch.
    fn comes_to(&self, path: &[String]) -> Option<String> {
        if !["optimizer.lr", "optimizer.lr_reference_batch"].contains(&dotted(path).as_str()) {
            return None;
        }
        let optimizer: Optimizer = serde_json::from_value(self.value["optimizer"].clone()).ok()?;
        let (batch, reference) = (self.value["train"]["batch_size"].as_u64()?, optimizer.lr_reference_batch?);
        let rate = optimizer.lr_for(batch);
        Some(format!("a learning rate of {rate} = {} × `train.batch_size` {batch} / {reference}", optimizer.lr))
    }

    /// Who said something: the default, and each layer.
    fn said(&self, path: &[String], default: Option<&Value>, holds: Option<&Value>) -> Vec<Said> {
        let layers = self.given.iter().zip(&self.layers).filter_map(|(given, kept)| {
            let fate = if kept.value(path).is_some() { Fate::Overridden } else { Fate::Dropped };
            Some(Said { at: given.places.get(path)?.to_string(), value: given.value(path)?.clone(), fate })
        });
        let kept = |said: &Said| said.fate != Fate::Dropped;
        let mut said: Vec<Said> = layers.collect();
        // Where no layer's say is left, resolving fills in the schema's default, or that of several alternatives.
        let default = default.or(holds.filter(|_| !said.iter().any(kept)));
        let by_default =
            default.map(|value| Said { at: "default".to_owned(), value: value.clone(), fate: Fate::Overridden });
        said.splice(0..0, by_default);
        if holds.is_some()
            && let Some(last) = said.iter_mut().rev().find(|said| kept(said))
        {
            last.fate = Fate::Holds;
        } else if holds.is_none() {
            said.iter_mut().for_each(|said| said.fate = Fate::Dropped);
        }
        said
    }

    fn value_and_place(&self, path: &[String]) -> Option<(Value, String)> {
        let value = self.value_at(path).filter(|_| effect::reason(&self.value, path).is_none())?;
        let place = self.layers.iter().rev().find_map(|layer| layer.value(path).and(layer.places.get(path)));
        Some((value.clone(), place.map_or_else(|| "default".to_owned(), ToString::to_string)))
    }

    fn value_at(&self, path: &[String]) -> Option<&Value> {
        path.iter().try_fold(&self.value, |value, key| value.get(key))
    }

    /// The fields below a table; none where the path is no table.
    fn fields_below(&self, path: &[String]) -> Option<Vec<KeyPath>> {
        let fields = self.fields();
        let below: Vec<KeyPath> =
            fields.into_iter().filter(|field| field.len() > path.len() && field.starts_with(path)).collect();
        let is_table = !below.is_empty() || self.value_at(path).is_some_and(Value::is_object);
        is_table.then_some(below)
    }

    /// Every field that the schema or the value knows, in the schema's order.
    fn fields(&self) -> Vec<KeyPath> {
        let mut found = Vec::new();
        walk(&self.whole, &self.whole, Some(&self.value), &mut KeyPath::new(), &mut found);
        found
    }

    fn unknown(&self, key: &str) -> Fault {
        let fields = self.fields();
        let mut known: Vec<String> = fields.iter().map(|path| dotted(path)).collect();
        let tables = fields.iter().flat_map(|path| (1..path.len()).map(|length| dotted(&path[..length])));
        known.extend(tables);
        let last = key.rsplit('.').next().unwrap_or(key);
        // `lr` and `train.lr` for `optimizer.lr`.
        let elsewhere = || known.iter().find(|known| known.rsplit('.').next() == Some(last)).map(String::as_str);
        let near = nearest::nearest(key, known.iter().map(String::as_str)).or_else(elsewhere);
        let near = near.or_else(|| {
            let names = known.iter().filter_map(|known| known.rsplit('.').next());
            let name = nearest::nearest(last, names)?;
            known.iter().find(|known| known.rsplit('.').next() == Some(name)).map(String::as_str)
        });
        let of_component = schema::KINDS.into_iter().find(|kind| key.starts_with(&format!("{kind}.config")));
        let hint = match (near, of_component) {
            (_, Some(kind)) if self.value[kind]["name"].is_null() => {
                format!("the fields of `{kind}.config` are the component's: name a config that chooses one")
            }
            (Some(name), _) => format!("did you mean `{name}`?"),
            (None, _) => {
                let tables = self.whole["properties"].as_object().into_iter().flatten();
                let tables: Vec<String> = tables.map(|(name, _)| format!("`{name}`")).collect();
                format!("the tables are {}", tables.join(", "))
            }
        };
        Fault::new(format!("unknown key `{key}`")).hint(hint)
    }
}

/// Collects the fields of a schema, and those that a value has beside them.
fn walk(root: &Value, schema: &Value, value: Option<&Value>, path: &mut KeyPath, found: &mut Vec<KeyPath>) {
    let schema = schema::plain(root, schema);
    let branches = schema::branches(schema).map(|branch| schema::plain(root, branch));
    let mut fields: Vec<(&String, Option<&Value>)> = Vec::new();
    for part in [schema].into_iter().chain(branches) {
        let listed = part.get("properties").and_then(Value::as_object).into_iter().flatten();
        for (key, field) in listed {
            if !fields.iter().any(|(known, _)| *known == key) {
                fields.push((key, Some(field)));
            }
        }
    }
    let beside = value.and_then(Value::as_object).into_iter().flatten();
    for (key, _) in beside {
        if !fields.iter().any(|(known, _)| *known == key) {
            fields.push((key, None));
        }
    }
    if fields.is_empty() && !path.is_empty() && schema::type_name(schema) != Some("object") {
        found.push(path.clone());
    }
    for (key, field) in fields {
        path.push(key.clone());
        walk(root, field.unwrap_or(&Value::Null), value.and_then(|value| value.get(key)), path, found);
        path.pop();
    }
}

/// A doc comment's lines as one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
