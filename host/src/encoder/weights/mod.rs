//! Weights to start from, by name: the place in a file where an encoder's tensors lie is found (`candidate`, by the names of
//! `dialect`), chosen where there are several (`convention`), and filled in; what does not fit is told with what would
//! (`described`, `refusal`). A position embedding may have another grid (`position`).

mod candidate;
mod convention;
mod described;
mod dialect;
mod position;
mod refusal;

use super::ForeignEncoder;
use crate::{
    checkpoint::{NamedSet, Weights},
    error::{Error, Fault, Result},
    tensor::NamedTensor,
};
use candidate::{Candidate, Names};
pub use described::Described;
use dialect::DIALECTS;
pub use position::Grid;
use position::Grids;
use refusal::Refusal;
use std::{collections::BTreeMap, path::Path};
use tch::{Kind, Tensor};

const SHOWN: usize = 10; // names in a message

/// Which of a file's encoders is meant, where not the usual one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice<'a> {
    /// The keys that lead to the set of tensors, joined by `.`.
    pub key: Option<&'a str>,
    /// What stands before the encoder's names.
    pub prefix: Option<&'a str>,
    /// Patches down and across of the file's position embedding, where they make no square.
    pub grid: Option<Grid>,
    /// Whether weights of another number format are cast.
    pub cast: bool,
}

/// What was loaded, in lines to be told.
pub type Told = Vec<String>;

/// Fills an encoder with weights of its own, as [`load_chosen_weights`] without a choice.
///
/// # Errors
/// As there.
pub fn load_weights(encoder: &ForeignEncoder, path: &Path, cast: bool) -> Result<Told> {
    load_chosen_weights(encoder, path, Choice { cast, ..Choice::default() })
}

/// Fills an encoder with weights. Every tensor of the encoder but BatchNorm's counters must be there with its shape, and with
/// its number format unless they are to be cast, and each number must be finite. Nothing of a larger network may be there
/// besides; heads are left out and told.
///
/// # Errors
/// Weights that can't be read; several encoders of which none is the usual one; tensors that are missing, have another shape or
/// format, are not finite, or belong to a network that is not the encoder's.
pub fn load_chosen_weights(encoder: &ForeignEncoder, path: &Path, choice: Choice<'_>) -> Result<Told> {
    let weights = Weights::read(path)?;
    let own = encoder.tensors()?;
    let refusal = Refusal { weights: &weights, own: &own, encoder: encoder.name() };
    let sets = chosen_sets(&weights, choice)?;
    let names: Vec<Names<'_>> = sets.into_iter().map(Names::of).collect();
    let grids = grids(encoder, &own, &weights, choice);
    let mut candidates = Candidate::all(&names, &own, &DIALECTS, grids);
    if let Some(prefix) = choice.prefix {
        let wanted = prefix.trim_end_matches('.').replace("_orig_mod.", "").replace("_orig_mod", "");
        candidates.retain(|candidate| candidate.prefix.trim_end_matches('.') == wanted.trim_end_matches('.'));
        if candidates.is_empty() {
            return Err(refusal.no_such_prefix(prefix, &Candidate::all(&names, &own, &DIALECTS, grids)));
        }
    }
    let (fitting, others): (Vec<_>, Vec<_>) = candidates.into_iter().partition(Candidate::fits);
    let fitting = once_each(fitting);
    if fitting.is_empty() {
        return Err(refusal.nothing_fits(others));
    }
    let (taken, why) = convention::meant(&fitting).map_err(|all| refusal.several_fit(&all))?;
    let mut told = fill(taken, &own, &weights.at, choice.cast, grids)?;
    let file = path.display();
    let mut line = format!(
        "encoder.weights: {} of the encoder's {} tensors from `{file}`, which has {}",
        taken.found.len(),
        own.len(),
        taken.names.set.tensors.len(),
    );
    match (taken.names.set.key.as_str(), taken.prefix.as_str()) {
        ("", "") => {}
        ("", prefix) => line.push_str(&format!(", under `{prefix}`")),
        (key, "") => line.push_str(&format!(", in `{key}`")),
        (key, prefix) => line.push_str(&format!(", in `{key}` under `{prefix}`")),
    }
    if let Some(whose) = taken.dialect.whose {
        line.push_str(&format!(", by the names of {whose}"));
    }
    if taken.counters > 0 {
        line.push_str(&format!("; {} counters of batches start at 0", taken.counters));
    }
    told.insert(0, line);
    if let Some(why) = why {
        told.push(format!("encoder.weights: of {} encoders that fit {why}", fitting.len()));
    }
    if !taken.heads.is_empty() {
        let quoted: Vec<_> = taken.heads.iter().map(|name| format!("`{name}`")).collect();
        told.push(format!("encoder.weights: left out, as heads: {}", listed(&quoted)));
    }
    Ok(told)
}

/// What is known of the grids of a transformer's position embeddings, on both sides.
fn grids(encoder: &ForeignEncoder, own: &[NamedTensor], weights: &Weights, choice: Choice<'_>) -> Grids {
    let size = |name: &str| own.iter().find(|own| own.name == name).map(|own| own.tensor.size());
    let told = || weights.sets.iter().find_map(|set| position::grid_of_metadata(&weights.metadata, set));
    Grids {
        own: position::grid_of_views(encoder.views(), size(position::PATCHES), size("pos_embed")),
        file: choice.grid.or_else(told),
    }
}

/// The sets that a key leads to; all without one.
fn chosen_sets<'w>(weights: &'w Weights, choice: Choice<'_>) -> Result<Vec<&'w NamedSet>> {
    let Some(key) = choice.key else { return Ok(weights.sets.iter().collect()) };
    let below = format!("{key}.");
    let is_chosen = |set: &&NamedSet| set.key == key || set.key.starts_with(&below);
    let chosen: Vec<_> = weights.sets.iter().filter(is_chosen).collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let known: Vec<_> = weights.sets.iter().map(|set| format!("`{}`", set.key)).collect();
    let fault = Fault::new(format!("the file has no tensors under `encoder.weights_key` = `{key}`"));
    let hint = if weights.sets.iter().all(|set| set.key.is_empty()) {
        "its tensors have no key: leave `encoder.weights_key` out".to_owned()
    } else {
        format!("it has {}", listed(&known))
    };
    Err(Error::Checkpoint { fault: fault.at(weights.at.clone()).hint(hint) })
}

/// Places that are the same in the words of two libraries are one.
fn once_each(candidates: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    let mut kept: Vec<Candidate<'_>> = Vec::new();
    for candidate in candidates {
        if kept.iter().all(|other| other.label() != candidate.label()) {
            kept.push(candidate);
        }
    }
    kept
}

/// Copies a candidate's tensors into the encoder's, once all of them are known to be right.
fn fill(candidate: &Candidate<'_>, own: &[NamedTensor], at: &str, cast: bool, grids: Grids) -> Result<Told> {
    let fail = |message: String, hint: &str| Error::Checkpoint { fault: Fault::new(message).at(at).hint(hint) };
    let own: BTreeMap<&str, &Tensor> = own.iter().map(|own| (own.name.as_str(), &own.tensor)).collect();
    let (mut of_other_kind, mut not_finite, mut told, mut ready) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (name, parts) in &candidate.found {
        let own = own[name.as_str()];
        let read = |part: &&str| {
            candidate.names.set.tensors[*part].read().map_err(|reason| {
                fail(format!("the tensor `{part}` can't be read: {reason}"), "write the file again with plain tensors")
            })
        };
        let parts = parts.iter().map(read).collect::<Result<Vec<_>>>()?;
        let torch = || Error::torch("load weights");
        let saved =
            if parts.len() == 1 { parts[0].shallow_clone() } else { Tensor::f_cat(&parts, 0).map_err(torch())? };
        if saved.kind() != own.kind() && !cast {
            of_other_kind.push(format!("`{name}` is {:?}, expected {:?}", saved.kind(), own.kind()));
            continue;
        }
        // As many patches in another arrangement are another grid, too.
        let grids = grids.of(name, &saved.size(), &own.size()).filter(|(from, to)| from != to);
        let saved = match grids {
            Some((from, to)) => {
                told.push(format!("encoder.weights: {}", position::told([from, to])));
                position::resampled(&saved, [from, to]).map_err(torch())?
            }
            None => saved,
        };
        let saved = saved.f_to_kind(own.kind()).map_err(torch())?;
        if saved.is_floating_point() {
            let bad =
                saved.f_isfinite().and_then(|finite| finite.f_logical_not()?.f_sum(Kind::Int64)?.f_int64_value(&[]));
            let bad = bad.map_err(torch())?;
            if bad > 0 {
                not_finite.push(format!("`{name}` ({bad} of {})", saved.numel()));
                continue;
            }
        }
        ready.push((own, saved));
    }
    if !of_other_kind.is_empty() {
        let message = format!(
            "{} of `encoder.weights` in another number format: {}",
            counted(of_other_kind.len()),
            listed(&of_other_kind)
        );
        return Err(fail(message, "`encoder.cast_weights = true` casts them; the encoder keeps its own format"));
    }
    if !not_finite.is_empty() {
        let message = format!(
            "{} of `encoder.weights` with numbers that are not finite: {}",
            counted(not_finite.len()),
            listed(&not_finite)
        );
        let hint = "the file is damaged, or what wrote it had diverged: take an earlier one";
        return Err(fail(message, hint));
    }
    for (own, saved) in ready {
        tch::no_grad(|| own.shallow_clone().f_copy_(&saved)).map_err(Error::torch("load weights"))?;
    }
    Ok(told)
}

/// So many tensors.
fn counted(count: usize) -> String {
    if count == 1 { "a tensor".to_owned() } else { format!("{count} tensors") }
}

/// The first names of a list, and how many there are besides.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
