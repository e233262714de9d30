//! Weights to start from, by name.

use super::ForeignEncoder;
use crate::{
    checkpoint::Weights,
    config::nearest,
    error::{Error, Fault, Result},
};
use infomax_sdk::Role;
use std::{collections::BTreeMap, path::Path};
use tch::Tensor;

const SHOWN: usize = 10; // names in a message

/// BatchNorm's count of batches, which its statistics don't need here. Files of PyTorch's older versions lack it, and PyTorch
/// then starts at 0 (`_NormBase._load_from_state_dict`).
const COUNTER: &str = "num_batches_tracked";

/// Fills an encoder with weights. Every tensor of the encoder but BatchNorm's counters must be there with its shape, and with
/// its number format unless they are to be cast; tensors that the encoder does not have (a classifier's) are left out and said.
///
/// # Errors
/// Weights that can't be read; tensors that are missing or have another shape or format, with those that are not the encoder's.
pub fn load_weights(encoder: &ForeignEncoder, path: &Path, cast: bool) -> Result<()> {
    let Weights { tensors: mut saved, sizes, at } = Weights::read(path)?;
    let fail = |message: String, hint: &str| Error::Checkpoint { fault: Fault::new(message).at(at.clone()).hint(hint) };
    let (mut missing, mut misshapen, mut of_other_kind) = (Vec::new(), Vec::new(), Vec::new());
    for mut own in encoder.tensors()? {
        match saved.remove(&own.name) {
            None if own.role == Role::Buffer && own.name.ends_with(COUNTER) => {}
            None => missing.push((own.name, own.tensor.size())),
            Some(saved) if saved.size() != own.tensor.size() => {
                misshapen.push(format!("`{}` is {:?}, expected {:?}", own.name, saved.size(), own.tensor.size()));
            }
            Some(saved) if saved.kind() != own.tensor.kind() && !cast => {
                of_other_kind.push(format!("`{}` is {:?}, expected {:?}", own.name, saved.kind(), own.tensor.kind()));
            }
            Some(saved) => {
                tch::no_grad(|| own.tensor.f_copy_(&saved)).map_err(Error::torch("load weights"))?;
            }
        }
    }
    let quoted = |name: &String| format!("`{name}`");
    let others: Vec<String> = saved.keys().map(quoted).collect();
    if !missing.is_empty() || !misshapen.is_empty() {
        let hint = match (&sizes, wrapper(&missing, &saved)) {
            (Some(sizes), _) => format!("the file's encoder is `amdim` with `encoder.config = {}`", sizes.to_toml()),
            (None, Some(prefix)) => format!("write the file with names that don't begin with `{prefix}`"),
            (None, None) => "choose the encoder and the `encoder.config` that the file was written with".to_owned(),
        };
        let missing = missing
            .iter()
            .enumerate()
            .map(|(i, own)| if i < SHOWN { with_nearest(own, &saved) } else { quoted(&own.0) });
        let missing = missing.collect();
        let sets = [("missing", &missing), ("of another shape", &misshapen), ("in the file only", &others)];
        let said = sets.into_iter().filter(|(_, names)| !names.is_empty());
        let said: Vec<_> = said.map(|(what, names)| format!("{} {what}: {}", names.len(), listed(names))).collect();
        let message = format!("the tensors of `encoder.weights` don't fit the encoder; {}", said.join("; "));
        return Err(fail(message, &hint));
    }
    if !of_other_kind.is_empty() {
        let message = format!(
            "{} tensors of `encoder.weights` have another number format: {}",
            of_other_kind.len(),
            listed(&of_other_kind)
        );
        return Err(fail(message, "`encoder.cast_weights = true` casts them; the encoder keeps its own format"));
    }
    if !others.is_empty() {
        log::info!("{at}: {} tensors are not the encoder's: {}", others.len(), listed(&others));
    }
    Ok(())
}

/// What stands before every missing name in the file: a wrapper's `module.` or `backbone.`.
fn wrapper<'a>(missing: &[Own], saved: &'a BTreeMap<String, Tensor>) -> Option<&'a str> {
    let (first, _) = missing.first()?;
    let mut prefixes = saved.keys().filter_map(|name| name.strip_suffix(first.as_str()));
    prefixes.find(|prefix| missing.iter().all(|(name, _)| saved.contains_key(&format!("{prefix}{name}"))))
}

/// A tensor's name and size.
type Own = (String, Vec<i64>);

/// A missing name, with the nearest one in the file whose tensor has the same size.
fn with_nearest((name, size): &Own, saved: &BTreeMap<String, Tensor>) -> String {
    let of_size = saved.iter().filter(|(_, tensor)| tensor.size() == *size).map(|(name, _)| name.as_str());
    let near = nearest(name, of_size).map(|near| format!(" (nearest in the file: `{near}`)"));
    format!("`{name}`{}", near.unwrap_or_default())
}

/// The first names of a list, and how many there are besides.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
