//! Where in a file an encoder's tensors may lie: a set of tensors, a prefix, and a library's way of naming; and how well each fits.

use super::{
    dialect::Dialect,
    position::{self, Grids},
};
use crate::{checkpoint::NamedSet, tensor::NamedTensor};
use infomax_sdk::Role;
use std::collections::{BTreeMap, BTreeSet};

/// BatchNorm's count of batches, which its statistics don't need here. Files of PyTorch's older versions lack it, and PyTorch
/// then starts at 0 (`_NormBase._load_from_state_dict`).
const COUNTER: &str = "num_batches_tracked";
/// Modules that wrap others and appear within names, wherever they were put.
const WRAPPERS: [&str; 3] = ["_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module."];
const MOST_ANCHORS: usize = 64; // own names that prefixes are looked for by

/// A set's names without the wrappers in them, and what they stand for.
pub struct Names<'a> {
    pub set: &'a NamedSet,
    /// The name that is meant, and the one in the file.
    pub plain: BTreeMap<String, &'a str>,
}

impl<'a> Names<'a> {
    pub fn of(set: &'a NamedSet) -> Self {
        let plain = |name: &str| WRAPPERS.iter().fold(name.to_owned(), |name, wrapper| without(&name, wrapper));
        Self { set, plain: set.tensors.keys().map(|name| (plain(name), name.as_str())).collect() }
    }
}

/// A name without a wrapper's word, where it stands for a whole module.
fn without(name: &str, wrapper: &str) -> String {
    let name = name.strip_prefix(wrapper).unwrap_or(name);
    name.replace(&format!(".{wrapper}"), ".")
}

/// A place, and what of the encoder is there.
pub struct Candidate<'a> {
    pub names: &'a Names<'a>,
    pub dialect: Dialect,
    /// What stands before the encoder's names, wrappers left out.
    pub prefix: String,
    /// The encoder's names with those in the file, several where they are joined.
    pub found: Vec<(String, Vec<&'a str>)>,
    /// The encoder's names that are not there.
    pub missing: Vec<(String, Vec<i64>)>,
    /// What has another shape, in words, with the encoder's name.
    pub misshapen: Vec<(String, String)>,
    /// Counters that the file lacks.
    pub counters: usize,
    /// Names under the prefix, without it, that belong to the network's trunk but not to the encoder.
    pub beyond: Vec<String>,
    /// Names under the prefix, without it, that are left out: heads.
    pub heads: Vec<String>,
}

impl<'a> Candidate<'a> {
    /// Whether everything of the encoder is there, and nothing of a larger one.
    pub fn fits(&self) -> bool {
        self.missing.is_empty() && self.misshapen.is_empty() && self.beyond.is_empty()
    }

    /// The set's key and the prefix, for comparison.
    pub fn label(&self) -> String {
        format!("{}|{}", self.names.set.key, self.prefix)
    }

    /// The settings that choose it.
    pub fn settings(&self) -> String {
        let key = format!("`encoder.weights_key = {:?}`", self.names.set.key);
        let prefix = format!("`encoder.weights_prefix = {:?}`", self.prefix);
        if self.names.set.key.is_empty() { prefix } else { format!("{key} with {prefix}") }
    }

    /// Every place in some sets that has anything of the encoder, by library.
    pub fn all(names: &'a [Names<'a>], own: &[NamedTensor], dialects: &[Dialect], grids: Grids) -> Vec<Self> {
        let mut candidates = Vec::new();
        for names in names {
            for &dialect in dialects {
                let foreign: Vec<_> =
                    own.iter().filter(|own| !is_counter(own)).map(|own| dialect.of(&own.name)).collect();
                let known: Vec<&str> =
                    foreign.iter().flatten().filter_map(|parts| parts.first().map(String::as_str)).collect();
                for prefix in prefixes(names, &known) {
                    candidates.push(Self::new(names, dialect, prefix, own, grids));
                }
            }
        }
        candidates
    }

    fn new(names: &'a Names<'a>, dialect: Dialect, prefix: String, own: &[NamedTensor], grids: Grids) -> Self {
        let mut candidate = Self {
            names,
            dialect,
            prefix,
            found: Vec::new(),
            missing: Vec::new(),
            misshapen: Vec::new(),
            counters: 0,
            beyond: Vec::new(),
            heads: Vec::new(),
        };
        let mut taken = BTreeSet::new();
        let mut modules = BTreeSet::new();
        for own in own {
            let foreign = dialect.of(&own.name);
            for name in foreign.iter().flatten() {
                modules.insert(first_of(name).to_owned());
            }
            let plain = foreign.iter().flatten().map(|name| format!("{}{name}", candidate.prefix));
            let there: Option<Vec<&str>> = plain.map(|name| names.plain.get(&name).copied()).collect();
            let Some(parts) = there.filter(|parts| !parts.is_empty()) else {
                if is_counter(own) {
                    candidate.counters += 1;
                } else {
                    candidate.missing.push((own.name.clone(), own.tensor.size()));
                }
                continue;
            };
            taken.extend(parts.iter().copied());
            let size = joined(&parts.iter().map(|name| names.set.tensors[*name].size()).collect::<Vec<_>>());
            let expected = own.tensor.size();
            let is_unread = parts.iter().any(|name| names.set.tensors[*name].facts.is_none());
            if size != expected && !is_unread && grids.of(&own.name, &size, &expected).is_none() {
                let mut said = format!("`{}` is {size:?}, expected {expected:?}", own.name);
                if position::is_embedding(&own.name, &size, &expected) {
                    said.push_str(
                        ", of a grid that is no square: say which with `encoder.weights_grid = [DOWN, ACROSS]`",
                    );
                }
                candidate.misshapen.push((own.name.clone(), said));
            }
            candidate.found.push((own.name.clone(), parts));
        }
        for (plain, name) in names.plain.range(candidate.prefix.clone()..) {
            let Some(rest) = plain.strip_prefix(&candidate.prefix) else { break };
            if taken.contains(name) || (names.set.tensors[*name].facts.is_none() && !is_of_trunk(rest, &modules)) {
                continue;
            }
            let list = if is_of_trunk(rest, &modules) { &mut candidate.beyond } else { &mut candidate.heads };
            list.push(rest.to_owned());
        }
        candidate
    }
}

/// What stands before some known names, where any of them is there.
fn prefixes(names: &Names<'_>, known: &[&str]) -> BTreeSet<String> {
    let every = known.len().div_ceil(MOST_ANCHORS).max(1);
    let anchors: Vec<&str> = known.iter().step_by(every).copied().collect();
    let before = |name: &'_ str| -> Vec<String> {
        let prefix = |anchor: &&str| name.strip_suffix(*anchor).filter(|p| p.is_empty() || p.ends_with('.'));
        anchors.iter().filter_map(prefix).map(str::to_owned).collect()
    };
    names.plain.keys().flat_map(|name| before(name)).collect()
}

fn is_counter(own: &NamedTensor) -> bool {
    own.role == Role::Buffer && own.name.ends_with(COUNTER)
}

fn first_of(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// The size of tensors that are joined along the first axis.
fn joined(sizes: &[&[i64]]) -> Vec<i64> {
    let mut size = sizes[0].to_vec();
    for more in &sizes[1..] {
        match (size.first_mut(), more) {
            (Some(first), [length, rest @ ..]) if rest == &sizes[0][1..] => *first += length,
            _ => return Vec::new(),
        }
    }
    size
}

/// Whether a name that the encoder does not have belongs to a network's trunk all the same: it lies below a module of the
/// encoder, in a further one of a numbered kind, or is of a kind that no head has. Without it the file's network computes
/// something else.
fn is_of_trunk(name: &str, modules: &BTreeSet<String>) -> bool {
    const BEGIN: [&str; 7] = ["norm", "fc_norm", "ln_", "stem", "rope", "attn_pool", "patch_"];
    let module = first_of(name);
    // A masked autoencoder's second half, and what masked images are filled with: nothing of them is in what is encoded.
    if module.starts_with("decoder") || name.split('.').any(|word| word.starts_with("mask")) {
        return false;
    }
    let kind = |module: &str| module.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let numbered = |known: &String| *known != kind(known) && !kind(known).is_empty() && kind(known) == kind(module);
    let is_of_a_kind = BEGIN.iter().any(|word| module.starts_with(word))
        || ["token", "tokens", "embed"].iter().any(|word| module.ends_with(word));
    modules.contains(module) || modules.iter().any(numbered) || is_of_a_kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_told_from_trunks() {
        let modules = ["conv1", "bn1", "layer1", "layer4"].map(str::to_owned).into_iter().collect();
        for name in ["layer4.2.conv1.weight", "layer5.0.conv1.weight", "conv2.weight", "stem.0.weight"] {
            assert!(is_of_trunk(name, &modules), "{name}");
        }
        for name in ["fc.weight", "head.weight", "projector.0.weight", "prototypes.weight", "projection_head.1.bias"] {
            assert!(!is_of_trunk(name, &modules), "{name}");
        }
        let modules =
            ["cls_token", "pos_embed", "patch_embed", "blocks", "norm"].map(str::to_owned).into_iter().collect();
        for name in ["blocks.0.ls1.gamma", "reg_token", "dist_token", "norm_pre.weight", "fc_norm.bias", "attn_pool.q"]
        {
            assert!(is_of_trunk(name, &modules), "{name}");
        }
        for name in
            ["head.weight", "head_dist.bias", "mask_token", "masked_embed", "decoder_pos_embed", "pooler.dense.weight"]
        {
            assert!(!is_of_trunk(name, &modules), "{name}");
        }
    }

    #[test]
    fn wrappers_within_names_are_left_out() {
        assert_eq!(without("_orig_mod.layer1._orig_mod.0.weight", "_orig_mod."), "layer1.0.weight");
        assert_eq!(without("not_orig_mod.weight", "_orig_mod."), "not_orig_mod.weight");
    }
}
