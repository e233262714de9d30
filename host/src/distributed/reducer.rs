//! Sums the encoder's gradients over the ranks while the backward pass goes on, in buckets: libtorch's own engine of data
//! parallelism. Nothing to do where a process trains alone.

use super::{group::Group, native::RawReducer};
use crate::{
    error::{Error, Result},
    tensor::NamedTensor,
};
use infomax_sdk::Role;
use tch::Tensor;

/// A reducer over the parameters of a component.
pub struct Reducer(Option<RawReducer>);

impl Reducer {
    /// Over a component's parameters, in the order of their names, which is the same on all ranks.
    ///
    /// # Errors
    /// A lost peer, or a model that differs between ranks.
    pub fn new(group: &Group, tensors: &[NamedTensor], bucket_mib: u64) -> Result<Self> {
        let Some(raw) = group.raw() else { return Ok(Self(None)) };
        let mut parameters: Vec<&NamedTensor> =
            tensors.iter().filter(|named| named.role == Role::Parameter && named.tensor.requires_grad()).collect();
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        let parameters: Vec<Tensor> = parameters.into_iter().map(|named| named.tensor.shallow_clone()).collect();
        let bytes = i64::try_from(bucket_mib << 20).unwrap_or(i64::MAX);
        let made = RawReducer::new(raw, &parameters, bytes);
        made.map(|raw| Self(Some(raw))).map_err(|message| Error::exchange("prepare the sums of gradients", message))
    }

    /// Sums what the next backward pass from these outputs gives, on top of what there is already; without this call it
    /// stays on the rank.
    ///
    /// # Errors
    /// A lost peer.
    pub fn prepare(&self, outputs: &[Tensor]) -> Result<()> {
        let prepared = self.0.as_ref().map_or(Ok(()), |raw| raw.prepare(outputs));
        prepared.map_err(|message| Error::exchange("prepare the sums of gradients", message))
    }
}
