//! What ranks make sure of: before the first step that they do the same thing with the same builds and data, and now and
//! then that their parameters are still equal, to the bit.

use super::group::Group;
use crate::{
    config::leaves,
    error::{Error, Fault, Result},
};
use serde_json::Value;
use std::collections::BTreeMap;
use tch::{Device, Kind, TchError, Tensor};

const SHOWN: usize = 10; // differences that are listed

/// Config keys that each machine may set for itself: where things lie, and what results don't depend on. The dataset is
/// compared by what is in it.
const OWN: [&str; 9] = [
    "dataset.config",
    "dataset.path",
    "augmentation.path",
    "encoder.path",
    "loss.path",
    "plugins",
    "record",
    "train.workers",
    "train.prefetch",
];

/// The values of a resolved config that must be equal on all ranks, by key.
pub fn comparable(config: &Value) -> BTreeMap<String, String> {
    let values = leaves(config).into_iter();
    let mut facts: BTreeMap<String, String> = values.map(|(key, value)| (key, value.to_string())).collect();
    let own =
        |key: &str| OWN.iter().any(|own| key == *own || key.strip_prefix(own).is_some_and(|k| k.starts_with('.')));
    facts.retain(|key, _| !own(key));
    facts
}

/// Makes sure that every rank brings the same facts.
///
/// # Errors
/// The keys that differ, with the ranks and both values (exit code 7); a lost peer.
pub fn agree(group: &Group, facts: &BTreeMap<String, String>) -> Result<()> {
    if group.size() == 1 {
        return Ok(());
    }
    let own = serde_json::to_vec(facts).expect("a map of text is plain data");
    let all = group.gather_bytes(&own)?;
    let read = |bytes: &Vec<u8>| serde_json::from_slice::<BTreeMap<String, String>>(bytes);
    let all: Result<Vec<_>, _> = all.iter().map(read).collect();
    let all = all.map_err(|error| Error::Bug { what: format!("facts of a rank can't be read: {error}") })?;
    let differences = differences(&all);
    if differences.is_empty() {
        return Ok(());
    }
    let (count, shown) = (differences.len(), differences.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; "));
    let more = if count > SHOWN { format!("; and {} more", count - SHOWN) } else { String::new() };
    let fault = Fault::new(format!("the processes differ: {shown}{more}"))
        .at(format!("before step 0, rank {}", group.rank()))
        .hint("start every process with the same config, the same plugin files, the same libtorch and the same data");
    Err(Error::Distributed { fault, lost_peer: false })
}

/// What ranks have that rank 0 has not, each with both values.
fn differences(all: &[BTreeMap<String, String>]) -> Vec<String> {
    let value = |rank: usize, key: &str| all[rank].get(key).map_or("nothing", String::as_str);
    let mut found = Vec::new();
    for rank in 1..all.len() {
        let keys: std::collections::BTreeSet<&String> = all[0].keys().chain(all[rank].keys()).collect();
        let differing = keys.into_iter().filter(|key| value(rank, key) != value(0, key));
        found.extend(
            differing
                .map(|key| format!("rank {rank} has `{key}` = {}, rank 0 has {}", value(rank, key), value(0, key))),
        );
    }
    found
}

/// Makes sure that tensors are equal on all ranks, to the bit.
///
/// # Errors
/// The first tensor that differs from rank 0's, and where (exit code 7); a lost peer.
pub fn check_parameters(group: &Group, tensors: &[(String, Tensor)], step: u64) -> Result<()> {
    if group.size() == 1 || tensors.is_empty() {
        return Ok(());
    }
    let sums = || -> Result<Tensor, TchError> {
        let sums: Result<Vec<Tensor>, _> = tensors.iter().map(|(_, tensor)| bits(tensor)).collect();
        Tensor::f_stack(&sums?, 0)?.f_unsqueeze(0)
    };
    let sums = tch::no_grad(sums).map_err(Error::torch("check the parameters"))?;
    let all = group.gather(&sums)?.f_to_device(Device::Cpu).map_err(Error::torch("check the parameters"))?;
    for rank in 1..group.size() as i64 {
        let differs = all.get(rank).not_equal_tensor(&all.get(0)).nonzero();
        if differs.size()[0] > 0 {
            let name = &tensors[differs.int64_value(&[0, 0]) as usize].0;
            let message = format!("`{name}` on rank {rank} is not what it is on rank 0");
            let fault = Fault::new(message)
                .at(format!("step {step}, rank {}", group.rank()))
                .hint("a device computes wrongly, or a plugin changes parameters on its own: go on from a checkpoint");
            return Err(Error::Distributed { fault, lost_peer: false });
        }
    }
    Ok(())
}

/// The sum of a tensor's numbers read as integers, each weighted by its position, so that swapped ones show.
fn bits(tensor: &Tensor) -> Result<Tensor, TchError> {
    let flat = tensor.f_detach()?.f_reshape([-1])?;
    let whole = match flat.kind() {
        Kind::Float => flat.f_view_dtype(Kind::Int)?,
        Kind::Double => flat.f_view_dtype(Kind::Int64)?,
        Kind::Half | Kind::BFloat16 => flat.f_view_dtype(Kind::Int16)?,
        _ => flat,
    };
    let places =
        Tensor::f_arange(whole.numel() as i64, (Kind::Int64, whole.device()))?.f_multiply_scalar(2)?.f_add_scalar(1)?;
    whole.f_to_kind(Kind::Int64)?.f_mul(&places)?.f_sum(Kind::Int64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_rank_and_key() {
        let facts = |seed: &str| BTreeMap::from([("train.seed".to_owned(), seed.to_owned())]);
        let found = differences(&[facts("1"), facts("1"), facts("2"), BTreeMap::new()]);
        let expected = ["rank 2 has `train.seed` = 2, rank 0 has 1", "rank 3 has `train.seed` = nothing, rank 0 has 1"];
        assert_eq!(found, expected);
    }

    #[test]
    fn machines_own_keys_are_not_compared() {
        let config = serde_json::json!({
            "dataset": { "name": "a", "config": { "root": "/x" } },
            "train": { "seed": 1, "workers": 3 },
            "record": { "plot": true },
        });
        let keys: Vec<_> = comparable(&config).into_keys().collect();
        assert_eq!(keys, ["dataset.name", "train.seed"]);
    }

    #[test]
    fn bits_see_a_flipped_bit_and_a_swap() {
        let sum = |values: &[f32]| bits(&Tensor::from_slice(values)).unwrap().int64_value(&[]);
        let numbers = [1.0, -2.5, 0.0, 3.0];
        assert_eq!(sum(&numbers), sum(&numbers));
        assert_ne!(sum(&numbers), sum(&[1.0, -2.5, -0.0, 3.0]));
        assert_ne!(sum(&numbers), sum(&[1.0, f32::from_bits((-2.5f32).to_bits() ^ 1), 0.0, 3.0]));
        assert_ne!(sum(&numbers), sum(&[-2.5, 1.0, 0.0, 3.0]));
    }
}
