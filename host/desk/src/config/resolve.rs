//! From sources to a resolved experiment.

use super::{
    canonical, defaults, document, effect,
    experiment::Experiment,
    explain::Survey,
    extends,
    fault::Fault,
    layer::{Layer, Place},
    merge::{self, Origins},
    overrides, paths,
    piece::Piece,
    published::{self, Flag, PublishedDataset, PublishedDefaults},
    rules,
    schema::{self, ComponentSchemas, KINDS},
    tables::{Optimizer, Train},
    validate,
};
use crate::hash::sha256;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What an experiment is put together from; later ones win: defaults, files, environment, flags, `--set`.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Config files, in order, each with what it extends.
    pub files: Vec<PathBuf>,
    /// What a study lays over them, in order.
    pub above: Vec<Piece>,
    /// The published script's defaults, in the place of files.
    pub published: Option<PublishedDefaults>,
    /// Variables of the environment; only `INFOMAX__TABLE__KEY` is read.
    pub environment: Vec<(String, String)>,
    /// The published script's `--dataset`.
    pub dataset: Option<PublishedDataset>,
    /// Flags that each set one key.
    pub flags: Vec<Flag>,
    /// The arguments of `--set`: `key=value`.
    pub set: Vec<String>,
}

impl Sources {
    /// Whether they name no experiment at all.
    pub fn are_bare(&self) -> bool {
        self.files.is_empty() && self.above.is_empty() && self.published.is_none()
    }

    /// What they say under a key of the table `plugins` that lists texts. It must be known before any plugin is, so the
    /// rest is not checked: what is wrong is found when the whole is resolved.
    pub fn plugins(&self, key: &str) -> Vec<String> {
        let layers = layers(self).unwrap_or_default();
        let last = layers.iter().rev().find_map(|layer| layer.values.get("plugins")?.get(key)?.as_array());
        last.into_iter().flatten().filter_map(|value| paths::with_home(value.as_str()?)).collect()
    }

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
    /// The experiment as types, with the learning rate for its batch.
    pub experiment: Experiment,
    /// The experiment as text: every value that has an effect, and byte-equal for equal values.
    pub toml: String,
    /// The same with every path absolute: what a run keeps, to be read from anywhere.
    pub kept: String,
    /// What is worth telling at the console: which folder a relative path means, where that could be another one.
    pub notes: Vec<String>,
    /// SHA-256 of the text, in hexadecimal.
    pub digest: String,
    /// Who said what about every value.
    pub origins: Origins,
    /// What explains a key.
    pub survey: Survey,
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
    let Drawn { survey, without_effect, notes } = draw(sources, components, false)?;
    let mut experiment: Experiment = serde_json::from_value(survey.value.clone())
        .map_err(|error| vec![Fault::new(format!("the config fits its schema but not its types: {error}"))])?;
    let faults: Vec<Fault> = without_effect.into_iter().chain(rules::check(&experiment, &survey.layers)).collect();
    if !faults.is_empty() {
        return Err(faults);
    }

    experiment.optimizer.lr = experiment.optimizer.lr_for(experiment.train.batch_size);

    let mut acting = survey.value.clone();
    effect::leave_out(&mut acting);
    let toml = canonical::write(&survey.whole, &acting);
    let kept = canonical::write(&survey.whole, &paths::made_absolute(&survey.whole, &acting));
    let digest = sha256(&toml);
    let mut blank = json!({"dataset": {}, "augmentation": {}, "encoder": {}, "loss": {}});
    defaults::fill(&survey.whole, &survey.whole, &mut blank);
    let origins = merge::origins(&acting, &blank, &survey.layers);
    Ok(Resolved { experiment, toml, kept, notes, digest, origins, survey })
}

/// What is said about every key; without a config only the host's own keys are known.
///
/// # Errors
/// As [`resolve`].
pub fn survey(sources: &Sources, components: &dyn ComponentSchemas) -> Result<Survey, Vec<Fault>> {
    if !sources.are_bare() {
        return resolve(sources, components).map(|resolved| resolved.survey);
    }
    let Drawn { survey, without_effect, .. } = draw(sources, components, true)?;
    if without_effect.is_empty() { Ok(survey) } else { Err(without_effect) }
}

/// Reads the text of a resolved experiment as it stands, without the plugins that it names.
///
/// # Errors
/// A file that can't be read, or is not TOML.
pub fn read_resolved(path: &Path) -> Result<Value, Vec<Fault>> {
    document::read(path, &path.display().to_string()).map(|document| Value::Object(document.layer.values))
}

/// An experiment that fits its schema, with what it says in vain.
struct Drawn {
    survey: Survey,
    without_effect: Vec<Fault>,
    notes: Vec<String>,
}

/// Lays the layers over one another; `partial` where they may leave components open.
fn draw(sources: &Sources, components: &dyn ComponentSchemas, partial: bool) -> Result<Drawn, Vec<Fault>> {
    let given = layers(sources)?;
    let mut layers = given.clone();
    let mut faults = merge::settle(&mut layers);
    let without_effect = effect::settle(&mut layers, &schema::host_schema());
    let merged = merge::merge(&layers).map_err(|fault| vec![fault])?;

    let mut chosen = Vec::new();
    for kind in KINDS {
        let Some(name) = merged[kind]["name"].as_str() else { continue };
        match components.schema(kind, name, merged[kind]["path"].as_str()) {
            Ok(schema) => chosen.push((kind, schema)),
            Err(fault) => faults.push(at_the_name(fault, kind, &layers)),
        }
    }
    let mut whole = schema::compose(&chosen);
    if partial {
        whole["required"] = json!([]);
    }

    let mut value = merged;
    complete(&whole, &mut value);
    faults.extend(validate::validate(&whole, &value, &layers));
    if !faults.is_empty() {
        return Err(faults);
    }
    let notes = paths::settle(&whole, &mut value, &layers)?;
    Ok(Drawn { survey: Survey { whole, value, given, layers }, without_effect, notes })
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
    layers.extend(sources.above.iter().map(|piece| piece.0.clone()));
    let above = [
        sources.published.map(published::defaults),
        Some(overrides::environment(&sources.environment)),
        Some(published::flags(sources.dataset, &sources.flags)),
        Some(overrides::set(&sources.set)),
    ];
    for layer in above.into_iter().flatten() {
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
    let alternatives: [(&str, &str, u64, &[&str]); 2] = [
        ("train", "epochs", Train::DEFAULT_EPOCHS, &["epochs", "steps", "images", "seconds"]),
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
