//! Why weights are refused, with both sets of names and what to set instead.

use super::{SHOWN, candidate::Candidate, described::Described, listed};
use crate::{
    checkpoint::{HeldTensor, NamedSet, Weights},
    config::nearest,
    error::{Error, Fault},
    tensor::NamedTensor,
};
use std::collections::{BTreeMap, BTreeSet};

/// What refusals speak of.
pub struct Refusal<'a> {
    pub weights: &'a Weights,
    pub own: &'a [NamedTensor],
    /// The encoder's component.
    pub encoder: &'a str,
}

impl Refusal<'_> {
    fn fail(&self, message: String, hint: String) -> Error {
        Error::Checkpoint { fault: Fault::new(message).at(self.weights.at.clone()).hint(hint) }
    }

    /// No place in the file has the whole encoder and no more; the nearest one is told.
    pub fn nothing_fits(&self, candidates: Vec<Candidate<'_>>) -> Error {
        // Where most of the encoder is; of those that have all of it by name, where most has its shape.
        let nearest = candidates.into_iter().max_by_key(|c| (c.found.len(), std::cmp::Reverse(c.misshapen.len())));
        let set: &NamedSet = nearest.as_ref().map_or(&self.weights.sets[0], |candidate| candidate.names.set);
        let hint = self.hint(set, nearest.as_ref());
        let (missing, misshapen, beyond, others) = match &nearest {
            Some(c) => (c.missing.clone(), c.misshapen.clone(), c.beyond.clone(), c.heads.clone()),
            None => {
                let own = |own: &NamedTensor| (own.name.clone(), own.tensor.size());
                let names = set.tensors.keys().cloned().collect();
                (self.own.iter().map(own).collect(), Vec::new(), Vec::new(), names)
            }
        };
        if missing.is_empty() && misshapen.is_empty() {
            let message = format!(
                "`encoder.weights` are of a larger network than the encoder `{}`: {} of their tensors lie below its modules or \
                 in further ones: {}",
                self.encoder,
                beyond.len(),
                listed(&quoted(&beyond)),
            );
            return self.fail(message, hint);
        }
        let only_there: BTreeSet<&String> = beyond.iter().chain(&others).collect();
        let used: BTreeSet<&str> =
            nearest.iter().flat_map(|c| c.found.iter().flat_map(|(_, parts)| parts.iter().copied())).collect();
        let unused = set.tensors.iter().filter(|(name, _)| !used.contains(name.as_str()));
        let unused: BTreeMap<&str, &HeldTensor> = unused.map(|(name, held)| (name.as_str(), held)).collect();
        let missing: Vec<String> = missing
            .iter()
            .enumerate()
            .map(|(i, own)| if i < SHOWN { with_nearest(own, &unused) } else { format!("`{}`", own.0) })
            .collect();
        let misshapen: Vec<String> = misshapen.into_iter().map(|(_, said)| said).collect();
        let others = quoted(&only_there.into_iter().cloned().collect::<Vec<_>>());
        let sets = [("missing", &missing), ("of another shape", &misshapen), ("in the file only", &others)];
        let said = sets.into_iter().filter(|(_, names)| !names.is_empty());
        let said: Vec<_> = said.map(|(what, names)| format!("{} {what}: {}", names.len(), listed(names))).collect();
        self.fail(format!("the tensors of `encoder.weights` don't fit the encoder; {}", said.join("; ")), hint)
    }

    /// Several encoders fit, and none of them is the usual one.
    pub fn several_fit(&self, candidates: &[&Candidate<'_>]) -> Error {
        let settings: Vec<_> = candidates.iter().map(|candidate| candidate.settings()).collect();
        let message = format!("the file holds {} encoders that fit", candidates.len());
        self.fail(message, format!("choose one: {}", listed(&settings)))
    }

    /// Nothing of the encoder is under a prefix.
    pub fn no_such_prefix(&self, prefix: &str, candidates: &[Candidate<'_>]) -> Error {
        let most = candidates.iter().map(|candidate| candidate.found.len()).max().unwrap_or(0);
        let known: BTreeSet<_> =
            candidates.iter().filter(|c| 2 * c.found.len() > most).map(|c| format!("`{:?}`", c.prefix)).collect();
        let known: Vec<_> = known.into_iter().collect();
        let hint = if known.is_empty() {
            "nothing of the encoder is in the file under any prefix".to_owned()
        } else {
            format!("tensors of its names are under {}", listed(&known))
        };
        self.fail(format!("the file has nothing of the encoder under `encoder.weights_prefix` = `{prefix}`"), hint)
    }

    fn hint(&self, set: &NamedSet, nearest: Option<&Candidate<'_>>) -> String {
        if let Some(sizes) = &self.weights.sizes {
            return format!("the file's encoder is `amdim` with `encoder.config = {}`", sizes.to_toml());
        }
        let heads = nearest.is_some_and(|candidate| {
            let is_head = |(name, _): &(String, Vec<i64>)| name.starts_with("heads.");
            candidate.beyond.is_empty()
                && candidate.misshapen.is_empty()
                && !candidate.missing.is_empty()
                && candidate.missing.iter().all(is_head)
        });
        if heads {
            return "the file has no heads for multiscale losses: leave `encoder.config.n_rkhs` out".to_owned();
        }
        let own: Vec<_> = self.own.iter().map(|own| (own.name.as_str(), own.tensor.size())).collect();
        let own = Described::of(&own.iter().map(|(name, size)| (*name, size.as_slice())).collect());
        let prefix = nearest.map_or("", |candidate| candidate.prefix.as_str());
        let sizes = |(name, held): (&'_ String, &'_ HeldTensor)| (name.clone(), held.size().to_vec());
        let all: Vec<(String, Vec<i64>)> = set.tensors.iter().map(sizes).collect();
        let under = all.iter().filter_map(|(name, size)| Some((name.strip_prefix(prefix)?, size.as_slice())));
        let found = Described::of(&under.collect())
            .or_else(|| Described::of(&all.iter().map(|(name, size)| (name.as_str(), size.as_slice())).collect()));
        match found {
            Some(found) => match found.instead_of(own.as_ref()) {
                Some(settings) if settings.is_empty() => {
                    format!("the file's encoder is {}; other settings of `encoder.config` differ", found.what)
                }
                Some(settings) => format!("the file's encoder is {}: set {}", found.what, settings.join(", ")),
                None => format!("the file's encoder is {}, which no encoder here is", found.what),
            },
            None => "choose the encoder and the `encoder.config` that the file was written with".to_owned(),
        }
    }
}

fn quoted(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("`{name}`")).collect()
}

/// A missing name, with the nearest one in the file whose tensor has the same size.
fn with_nearest((name, size): &(String, Vec<i64>), unused: &BTreeMap<&str, &HeldTensor>) -> String {
    let of_size = unused.iter().filter(|(_, tensor)| tensor.size() == size.as_slice()).map(|(name, _)| *name);
    let near = nearest(name, of_size).map(|near| format!(" (nearest in the file: `{near}`)"));
    format!("`{name}`{}", near.unwrap_or_default())
}
