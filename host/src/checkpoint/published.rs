//! The checkpoints of the published AMDIM code, in both of its layouts: `{model, hyperparams, cursor}`, and the older one with the
//! counters beside the model and no sizes, which are worked out from the tensors' shapes; and safetensors files under its names,
//! of whatever encoder.

use super::{
    pickle::Node,
    published_names::{encoder_names, is_classifiers},
    tensors::TensorFile,
    torch_file::TorchFile,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use tch::Tensor;

const ENCODER: &str = "encoder.";
const CLASSIFIERS: &str = "evaluator.";
/// A mask that the loss makes itself.
const MASKS: &str = "g2l_loss.masks_r5";
/// Classifiers on another representation, which later code no longer had.
const OTHER_CLASSIFIERS: &str = "evaluator.block_bop_";
/// Whose filters are `ndf`; no other encoder has one of this name.
const STEM: &str = "layer_list.0.conv.weight";
const SHOWN: usize = 10; // names in a message
/// Tensors that share a storage are copied each: of all of them no more than this many times the file.
const MOST_COPIES: usize = 8;
const MOST_TENSORS: usize = 100_000; // the largest published model has 600

/// The entry of a safetensors file's metadata that holds an encoder's sizes, as JSON.
pub const HYPERPARAMS: &str = "hyperparams";

/// A published checkpoint.
#[derive(Debug, Default)]
pub struct Published {
    /// None where the encoder is not AMDIM's.
    pub sizes: Option<Sizes>,
    /// The encoder's tensors, under its own names.
    pub encoder: BTreeMap<String, Tensor>,
    /// Both classifiers' tensors, under their own names.
    pub classifiers: BTreeMap<String, Tensor>,
    /// Epochs and updates that it has seen, as the file names them.
    pub counters: BTreeMap<String, i64>,
    /// Names that are nothing of ours: masks, older classifiers.
    pub left_out: Vec<String>,
}

/// What a published model is made with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sizes {
    /// Side of the images, in pixels.
    pub encoder_size: i64,
    pub ndf: i64,
    pub n_rkhs: i64,
    pub n_depth: i64,
    pub use_bn: bool,
    /// None where the older layout holds no classifiers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_classes: Option<i64>,
    /// None in the older layout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tclip: Option<f64>,
}

impl Sizes {
    /// The table `[encoder]` of a config.
    pub fn to_toml(&self) -> String {
        let Self { encoder_size, ndf, n_rkhs, n_depth, use_bn, .. } = self;
        format!("{{ size = {encoder_size}, ndf = {ndf}, n_rkhs = {n_rkhs}, depth = {n_depth}, use_bn = {use_bn} }}")
    }

    /// The sizes that tensors have; none where they are not AMDIM's.
    pub fn of(encoder: &BTreeMap<String, Tensor>, classifiers: &BTreeMap<String, Tensor>) -> Option<Self> {
        let sizes = deduced(encoder, classifiers).ok()?;
        let known = encoder_names(&sizes);
        encoder.keys().all(|name| known.contains(name)).then_some(sizes)
    }

    /// Whether what tensors have is what a file states; whether norms act and how scores are clipped is in no tensor.
    fn contradict(&self, stated: &Self) -> Result<(), String> {
        let pairs = [
            ("encoder_size", Some(self.encoder_size), Some(stated.encoder_size)),
            ("ndf", Some(self.ndf), Some(stated.ndf)),
            ("n_rkhs", Some(self.n_rkhs), Some(stated.n_rkhs)),
            ("n_depth", Some(self.n_depth), Some(stated.n_depth)),
            ("n_classes", self.n_classes, stated.n_classes),
        ];
        match pairs.into_iter().find(|(_, found, stated)| found.is_some() && stated.is_some() && found != stated) {
            Some((key, Some(found), Some(stated))) => {
                Err(format!("its `{HYPERPARAMS}.{key}` is {stated}, but its tensors have {found}"))
            }
            _ => Ok(()),
        }
    }
}

impl Published {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// What the file is instead, or what in it is unknown.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        Self::of_file(&TorchFile::read(bytes)?, bytes.len())
    }

    /// Whether a file names tensors of a model as the published code does.
    pub(super) fn is_in(file: &TorchFile) -> bool {
        let model = file.pickle.get(file.pickle.root(), "model");
        let is_amdims = |name: &str| matches!(place(name), Place::Encoder(own) if own.starts_with("layer_list.") || own.starts_with("rkhs_block_"));
        model.is_some_and(|model| file.pickle.entries(model).any(|(name, _)| is_amdims(name)))
    }

    /// Takes what a file of so many bytes holds.
    ///
    /// # Errors
    /// What in it is unknown.
    pub(super) fn of_file(file: &TorchFile, length: usize) -> Result<Self, String> {
        let root = file.pickle.root();
        let names: Vec<&str> = file.pickle.entries(root).map(|(name, _)| name).collect();
        let layout = "one of the two layouts of the published AMDIM code (`model` with `hyperparams` and `cursor`, or with `info_epochs`, …)";
        let Some(model) = file.pickle.get(root, "model") else {
            return Err(format!("it holds {}, not {layout}", listed(&names)));
        };
        let known = ["model", "hyperparams", "cursor", "info_epochs", "info_steps", "class_epochs", "class_steps"];
        if let Some(name) = names.iter().find(|name| !known.contains(name)) {
            return Err(format!("it holds `{name}`, which {layout} does not have"));
        }
        let mut published = Self::default();
        let mut names = Vec::new();
        let mut copied = 0;
        for (name, node) in file.pickle.entries(model) {
            names.push(name);
            if !matches!(place(name), Place::Encoder(_) | Place::Classifiers(_)) {
                continue;
            }
            let tensor = file.tensor(node).map_err(|reason| format!("its tensor `{name}`: {reason}"))?;
            copied += tensor.numel() * tensor.kind().elt_size_in_bytes();
            if copied > MOST_COPIES * length || names.len() > MOST_TENSORS {
                return Err(format!("its tensors are more than {MOST_COPIES} times as large as the file, or too many"));
            }
            published.put(name, tensor)?;
        }
        let table = file.pickle.get(root, HYPERPARAMS);
        let stated = table.map(|table| stated(|key| number(file.pickle.get(table, key)?))).transpose()?;
        published.complete(&names, stated)?;
        let cursor = file.pickle.get(root, "cursor").unwrap_or(root);
        for (name, node) in file.pickle.entries(cursor) {
            if let Node::Int(number) = node {
                published.counters.insert(name.to_owned(), *number);
            }
        }
        Ok(published)
    }

    /// Whether a safetensors file names its tensors as the published code does, whatever the encoder.
    pub fn names(file: &TensorFile) -> bool {
        let is_amdims = file.tensors.contains_key(&format!("{ENCODER}{STEM}"));
        is_amdims || file.tensors.keys().any(|name| name.starts_with("encoder.module."))
    }

    /// Takes the tensors of such a file.
    ///
    /// # Errors
    /// What in it is unknown, or contradicts the sizes that it states.
    pub fn of_tensors(file: TensorFile) -> Result<Self, String> {
        let mut published = Self::default();
        let names: Vec<String> = file.tensors.keys().cloned().collect();
        for (name, tensor) in file.tensors {
            published.put(&name, tensor)?;
        }
        let table = file.metadata.get(HYPERPARAMS).map(|text| serde_json::from_str::<Value>(text)).transpose();
        let table = table.map_err(|error| format!("its `{HYPERPARAMS}` are no JSON: {error}"))?;
        let stated = table.map(|table| stated(|key| json_number(&table[key]))).transpose()?;
        published.complete(&names.iter().map(String::as_str).collect::<Vec<_>>(), stated)?;
        Ok(published)
    }

    fn put(&mut self, name: &str, tensor: Tensor) -> Result<(), String> {
        let before = match place(name) {
            Place::Encoder(own) => self.encoder.insert(own.to_owned(), tensor),
            Place::Classifiers(own) => self.classifiers.insert(own.to_owned(), tensor),
            Place::LeftOut | Place::Unknown => None,
        };
        if before.is_some() { Err(format!("it holds `{name}` twice")) } else { Ok(()) }
    }

    /// Works out the sizes, and makes sure that everything is AMDIM's. An encoder that states no sizes and has not AMDIM's
    /// first layer is another's.
    fn complete(&mut self, names: &[&str], stated: Option<Sizes>) -> Result<(), String> {
        let of = |wanted: Place<'static>| names.iter().copied().filter(move |name| place(name) == wanted);
        self.left_out = of(Place::LeftOut).map(str::to_owned).collect();
        let unknown: Vec<&str> = of(Place::Unknown).collect();
        if !unknown.is_empty() {
            return Err(format!("its model holds {}, which AMDIM does not have", listed(&unknown)));
        }
        if self.encoder.is_empty() {
            return Err("its model holds no encoder".to_owned());
        }
        if stated.is_none() && !self.encoder.contains_key(STEM) {
            return Ok(());
        }
        let found = deduced(&self.encoder, &self.classifiers)?;
        if let Some(stated) = &stated {
            found.contradict(stated)?;
        }
        let sizes = stated.unwrap_or(found);
        let known = encoder_names(&sizes);
        let is_unknown = |name: &&str| match place(name) {
            Place::Encoder(own) => !known.contains(own),
            Place::Classifiers(own) => !is_classifiers(own),
            Place::LeftOut | Place::Unknown => false,
        };
        let unknown: Vec<&str> = names.iter().copied().filter(is_unknown).collect();
        if !unknown.is_empty() {
            return Err(format!("its model holds {}, which AMDIM {} does not have", listed(&unknown), sizes.to_toml()));
        }
        self.sizes = Some(sizes);
        Ok(())
    }
}

/// What a tensor belongs to, with its own name there.
#[derive(PartialEq)]
enum Place<'a> {
    Encoder(&'a str),
    Classifiers(&'a str),
    LeftOut,
    Unknown,
}

fn place(name: &str) -> Place<'_> {
    let within = |prefix: &str| name.strip_prefix(prefix).map(|rest| rest.strip_prefix("module.").unwrap_or(rest));
    match (within(ENCODER), within(CLASSIFIERS)) {
        _ if name == MASKS || name.starts_with(OTHER_CLASSIFIERS) => Place::LeftOut,
        (Some(own), _) => Place::Encoder(own),
        (_, Some(own)) => Place::Classifiers(own),
        _ => Place::Unknown,
    }
}

/// The sizes that a table states; `number` says what a key holds, none where it is missing.
fn stated(number: impl Fn(&str) -> Option<Result<f64, String>>) -> Result<Sizes, String> {
    let get = |key: &str| {
        let found = number(key).ok_or_else(|| format!("its `{HYPERPARAMS}` lack `{key}`"))?;
        found.map_err(|other| format!("its `{HYPERPARAMS}.{key}` is {other}, expected a number"))
    };
    let whole = |key: &str| {
        let number = get(key)?;
        let is_whole = number.fract() == 0.0 && number.abs() < 1e15;
        if is_whole {
            Ok(number as i64)
        } else {
            Err(format!("its `{HYPERPARAMS}.{key}` is {number}, expected a whole number"))
        }
    };
    Ok(Sizes {
        encoder_size: whole("encoder_size")?,
        ndf: whole("ndf")?,
        n_rkhs: whole("n_rkhs")?,
        n_depth: whole("n_depth")?,
        use_bn: whole("use_bn")? != 0,
        n_classes: number("n_classes").map(|_| whole("n_classes")).transpose()?,
        tclip: number("tclip").map(|_| get("tclip")).transpose()?,
    })
}

/// A number of a pickle, or what it is instead.
fn number(node: &Node) -> Option<Result<f64, String>> {
    Some(match node {
        Node::Int(number) => Ok(*number as f64),
        Node::Float(number) => Ok(*number),
        Node::Bool(on) => Ok(f64::from(u8::from(*on))),
        other => Err(format!("{other:?}")),
    })
}

fn json_number(value: &Value) -> Option<Result<f64, String>> {
    match value {
        Value::Null => None,
        Value::Bool(on) => Some(Ok(f64::from(u8::from(*on)))),
        other => Some(other.as_f64().ok_or_else(|| other.to_string())),
    }
}

/// The sizes that the older layout's tensors have.
fn deduced(encoder: &BTreeMap<String, Tensor>, classifiers: &BTreeMap<String, Tensor>) -> Result<Sizes, String> {
    let first = |name: &str| encoder.get(name).and_then(|tensor| tensor.size().first().copied());
    let missing = |what: &str| format!("its encoder has no `{what}`");
    let ndf = first(STEM).ok_or_else(|| missing(STEM))?;
    // What the second layer is tells the images' side.
    let encoder_size = if first("layer_list.1.conv.weight").is_some() {
        128
    } else if first("layer_list.1.layer_list.0.conv1.weight").is_some() {
        64
    } else if first("layer_list.1.conv1.weight").is_some() {
        32
    } else {
        return Err(missing("layer_list.1"));
    };
    const HEAD: &str = "rkhs_block_7.bn_out.bn.weight";
    let n_rkhs = first(HEAD).ok_or_else(|| missing(HEAD))?;
    let block = |depth: &i64| first(&format!("layer_list.2.layer_list.{depth}.conv1.weight")).is_some();
    let n_depth = (0..).take_while(block).count() as i64;
    // Norms that act have counted batches.
    let acts = |(name, tensor): (&String, &Tensor)| {
        let is_counter = name.ends_with("bn1.bn.num_batches_tracked");
        is_counter && tensor.numel() == 1 && tensor.int64_value(&[]) > 0
    };
    let n_classes = classifiers.iter().find(|(name, _)| name.starts_with("block_glb_lin") && name.ends_with("weight"));
    let n_classes = n_classes.and_then(|(_, tensor)| tensor.size().first().copied());
    let use_bn = encoder.iter().any(acts);
    Ok(Sizes { encoder_size, ndf, n_rkhs, n_depth, use_bn, n_classes, tclip: None })
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        return "no names".to_owned();
    }
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(SHOWN);
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
