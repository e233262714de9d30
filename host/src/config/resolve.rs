//! From sources to a resolved experiment.

use super::{
    canonical, defaults,
    experiment::Experiment,
    extends,
    fault::Fault,
    layer::{Layer, Place},
    merge::{self, Origins},
    overrides, rules,
    schema::{self, ComponentSchemas, KINDS},
    tables::{Optimizer, Train},
    validate,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// What an experiment is put together from; later ones win: defaults, files, environment, `--set`.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Config files, in order, each with what it extends.
    pub files: Vec<PathBuf>,
    /// Variables of the environment; only `INFOMAX__TABLE__KEY` is read.
    pub environment: Vec<(String, String)>,
    /// The arguments of `--set`: `key=value`.
    pub set: Vec<String>,
}

impl Sources {
    /// Takes the variables of this process that are config.
    #[must_use]
    pub fn with_process_environment(mut self) -> Self {
        let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
        let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        self.environment = variables.filter(|(name, _)| name.starts_with(overrides::PREFIX)).collect();
        self
    }
}

/// An experiment with nothing left open.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The experiment as types.
    pub experiment: Experiment,
    /// The experiment as text: complete, and byte-equal for equal values.
    pub toml: String,
    /// SHA-256 of the text, in hexadecimal.
    pub digest: String,
    /// Who said what about every value.
    pub origins: Origins,
}

impl Resolved {
    /// Every value, as a tree.
    pub fn value(&self) -> Value {
        toml::from_str(&self.toml).expect("`canonical` writes TOML")
    }

    /// Reads back the text of a resolved experiment, with some values set anew; the environment has no say.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn from_file(path: &Path, set: &[String], components: &dyn ComponentSchemas) -> Result<Self, Vec<Fault>> {
        resolve(&Sources { files: vec![path.to_path_buf()], set: set.to_vec(), ..Sources::default() }, components)
    }
}

/// Reads, merges, completes and checks an experiment.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn resolve(sources: &Sources, components: &dyn ComponentSchemas) -> Result<Resolved, Vec<Fault>> {
    let mut layers = layers(sources)?;
    let mut faults = merge::settle(&mut layers);
    let merged = merge::merge(&layers).map_err(|fault| vec![fault])?;

    let mut chosen = Vec::new();
    for kind in KINDS {
        let Some(name) = merged[kind]["name"].as_str() else { continue };
        match components.schema(kind, name, merged[kind]["path"].as_str()) {
            Ok(schema) => chosen.push((kind, schema)),
            Err(fault) => faults.push(at_the_name(fault, kind, &layers)),
        }
    }
    let whole = schema::compose(&chosen);

    let mut value = merged.clone();
    complete(&whole, &mut value);
    faults.extend(validate::validate(&whole, &value, &layers));
    if !faults.is_empty() {
        return Err(faults);
    }
    let experiment: Experiment = serde_json::from_value(value.clone())
        .map_err(|error| vec![Fault::new(format!("the config fits its schema but not its types: {error}"))])?;
    let faults = rules::check(&experiment, &layers);
    if !faults.is_empty() {
        return Err(faults);
    }

    let toml = canonical::write(&whole, &value);
    let digest = Sha256::digest(&toml).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut blank = json!({"dataset": {}, "augmentation": {}, "encoder": {}, "loss": {}});
    defaults::fill(&whole, &whole, &mut blank);
    let origins = merge::origins(&value, &blank, &layers);
    Ok(Resolved { experiment, toml, digest, origins })
}

fn layers(sources: &Sources) -> Result<Vec<Layer>, Vec<Fault>> {
    let mut layers = Vec::new();
    let mut faults = Vec::new();
    for file in &sources.files {
        match extends::read(file) {
            Ok(read) => layers.extend(read),
            Err(found) => faults.extend(found),
        }
    }
    for layer in [overrides::environment(&sources.environment), overrides::set(&sources.set)] {
        match layer {
            Ok(layer) => layers.push(layer),
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() { Ok(layers) } else { Err(faults) }
}

fn at_the_name(fault: Fault, kind: &str, layers: &[Layer]) -> Fault {
    let at = merge::place_of(layers, &[kind.to_owned(), "name".to_owned()]).map(Place::to_string);
    Fault { at: fault.at.or(at), ..fault }
}

/// Fills in defaults: the schemas', and those of keys that stand for one another.
fn complete(whole: &Value, value: &mut Value) {
    defaults::fill(whole, whole, value);
    let alternatives: [(&str, &str, u64, &[&str]); 4] = [
        ("train", "epochs", Train::DEFAULT_EPOCHS, &["epochs", "steps", "images", "seconds"]),
        ("evaluation", "every_epochs", 1, &["every_epochs", "every_steps"]),
        ("checkpoint", "every_epochs", 1, &["every_epochs", "every_steps"]),
        ("optimizer", "warmup_steps", Optimizer::DEFAULT_WARMUP_STEPS, &["warmup_epochs", "warmup_steps"]),
    ];
    for (table, key, default, keys) in alternatives {
        if let Some(fields) = value.get_mut(table).and_then(Value::as_object_mut)
            && !keys.iter().any(|&key| fields.contains_key(key))
        {
            fields.insert(key.to_owned(), Value::from(default));
        }
    }
}
