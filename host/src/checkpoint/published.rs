//! The checkpoints of the published AMDIM code, in both of its layouts: `{model, hyperparams, cursor}`, and the older one with the
//! counters beside the model and no sizes, which are worked out from the tensors' shapes.

use super::{pickle::Node, torch_file::TorchFile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

const ENCODER: &str = "encoder.";
const CLASSIFIERS: &str = "evaluator.";
/// A mask that the loss makes itself.
const MASKS: &str = "g2l_loss.masks_r5";
/// Classifiers on another representation, which later code no longer had.
const OTHER_CLASSIFIERS: &str = "evaluator.block_bop_";
const SHOWN: usize = 10; // names in a message
/// Tensors that share a storage are copied each: of all of them no more than this many times the file.
const MOST_COPIES: usize = 8;
const MOST_TENSORS: usize = 100_000; // the largest published model has 600

/// A published checkpoint.
#[derive(Debug)]
pub struct Published {
    pub sizes: Sizes,
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
}

impl Published {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// What the file is instead, or what in it is unknown.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let file = TorchFile::read(bytes)?;
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
        let mut published = Self {
            sizes: Sizes::default(),
            encoder: BTreeMap::new(),
            classifiers: BTreeMap::new(),
            counters: BTreeMap::new(),
            left_out: Vec::new(),
        };
        let mut unknown = Vec::new();
        let mut copied = 0;
        for (name, node) in file.pickle.entries(model) {
            let within =
                |prefix: &str| name.strip_prefix(prefix).map(|rest| rest.strip_prefix("module.").unwrap_or(rest));
            if name == MASKS || name.starts_with(OTHER_CLASSIFIERS) {
                published.left_out.push(name.to_owned());
                continue;
            }
            let (list, own) = match (within(ENCODER), within(CLASSIFIERS)) {
                (Some(own), _) => (&mut published.encoder, own),
                (_, Some(own)) => (&mut published.classifiers, own),
                _ => {
                    unknown.push(name);
                    continue;
                }
            };
            let tensor = file.tensor(node).map_err(|reason| format!("its tensor `{name}`: {reason}"))?;
            copied += tensor.numel() * tensor.kind().elt_size_in_bytes();
            if copied > MOST_COPIES * bytes.len() || list.len() > MOST_TENSORS {
                return Err(format!("its tensors are more than {MOST_COPIES} times as large as the file, or too many"));
            }
            if list.insert(own.to_owned(), tensor).is_some() {
                return Err(format!("it holds `{name}` twice"));
            }
        }
        if !unknown.is_empty() {
            return Err(format!("its model holds {}, which AMDIM does not have", listed(&unknown)));
        }
        if published.encoder.is_empty() {
            return Err("its model holds no encoder".to_owned());
        }
        published.sizes = match file.pickle.get(root, "hyperparams") {
            Some(table) => stated(&file, table)?,
            None => deduced(&published.encoder, &published.classifiers)?,
        };
        let cursor = file.pickle.get(root, "cursor").unwrap_or(root);
        for (name, node) in file.pickle.entries(cursor) {
            if let Node::Int(number) = node {
                published.counters.insert(name.to_owned(), *number);
            }
        }
        Ok(published)
    }
}

/// The sizes that the newer layout states.
fn stated(file: &TorchFile, table: &Node) -> Result<Sizes, String> {
    let node = |key: &str| file.pickle.get(table, key).ok_or_else(|| format!("its `hyperparams` lack `{key}`"));
    let number = |key: &str| match node(key)? {
        Node::Int(number) => Ok(*number),
        Node::Bool(on) => Ok(i64::from(*on)),
        other => Err(format!("its `hyperparams.{key}` is {other:?}, expected a whole number")),
    };
    let tclip = match node("tclip")? {
        Node::Float(number) => *number,
        Node::Int(number) => *number as f64,
        other => return Err(format!("its `hyperparams.tclip` is {other:?}, expected a number")),
    };
    Ok(Sizes {
        encoder_size: number("encoder_size")?,
        ndf: number("ndf")?,
        n_rkhs: number("n_rkhs")?,
        n_depth: number("n_depth")?,
        use_bn: number("use_bn")? != 0,
        n_classes: Some(number("n_classes")?),
        tclip: Some(tclip),
    })
}

/// The sizes that the older layout's tensors have.
fn deduced(encoder: &BTreeMap<String, Tensor>, classifiers: &BTreeMap<String, Tensor>) -> Result<Sizes, String> {
    let first = |name: &str| encoder.get(name).and_then(|tensor| tensor.size().first().copied());
    let missing = |what: &str| format!("its encoder has no `{what}`");
    const STEM: &str = "layer_list.0.conv.weight";
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
