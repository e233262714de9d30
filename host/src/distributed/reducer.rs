//! Sums the encoder's gradients over the ranks while the backward pass goes on, in buckets: libtorch's own engine of data
//! parallelism. Nothing to do where a process trains alone.
//!
//! Which parameters a step uses is looked at in the graph, on the host. The first step allows for any, at the cost of an exchange
//! that the host waits for; where the second uses the same ones on every rank, they are taken to be the same for good.

use super::{
    group::Group,
    native::{RawReducer, reached},
};
use crate::{
    error::{Error, Fault, Result},
    tensor::NamedTensor,
};
use infomax_sdk::Role;
use std::cell::RefCell;
use tch::Tensor;

const ACTION: &str = "prepare the sums of gradients";

/// A reducer over the parameters of a component.
pub struct Reducer(Option<Inner>);

struct Inner {
    group: Group,
    names: Vec<String>,
    parameters: Vec<Tensor>,
    bucket_bytes: i64,
    now: RefCell<Now>,
}

/// What is known of the parameters that a step uses.
enum Now {
    /// Nothing yet; those of the first step, once it was made.
    First { any: RawReducer, used: Option<Vec<bool>> },
    /// Always these.
    Fixed { some: RawReducer, used: Vec<bool> },
    /// Others from step to step.
    Varying(RawReducer),
}

impl Reducer {
    /// Over a component's parameters, in the order of their names, which is the same on all ranks. `varies`: the config says
    /// that steps use different ones.
    ///
    /// # Errors
    /// A lost peer, or a model that differs between ranks.
    pub fn new(group: &Group, tensors: &[NamedTensor], bucket_mib: u64, varies: bool) -> Result<Self> {
        let Some(raw) = group.raw() else { return Ok(Self(None)) };
        let mut named: Vec<&NamedTensor> =
            tensors.iter().filter(|named| named.role == Role::Parameter && named.tensor.requires_grad()).collect();
        named.sort_by(|a, b| a.name.cmp(&b.name));
        let parameters: Vec<Tensor> = named.iter().map(|named| named.tensor.shallow_clone()).collect();
        let bucket_bytes = i64::try_from(bucket_mib << 20).unwrap_or(i64::MAX);
        let any = RawReducer::new(raw, &parameters, bucket_bytes, true);
        let any = any.map_err(|message| Error::exchange(ACTION, message))?;
        let now = if varies { Now::Varying(any) } else { Now::First { any, used: None } };
        let names = named.into_iter().map(|named| named.name.clone()).collect();
        Ok(Self(Some(Inner { group: group.clone(), names, parameters, bucket_bytes, now: RefCell::new(now) })))
    }

    /// Sums what the next backward pass from these outputs gives, on top of what there is already; without this call it
    /// stays on the rank.
    ///
    /// # Errors
    /// A lost peer; an encoder that uses other parameters than before, unless the config says so.
    pub fn prepare(&self, outputs: &[Tensor]) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |inner| inner.prepare(outputs))
    }
}

impl Inner {
    fn prepare(&self, outputs: &[Tensor]) -> Result<()> {
        let failed = |message| Error::exchange(ACTION, message);
        let mut now = self.now.borrow_mut();
        if let Now::Varying(any) = &*now {
            return any.prepare(outputs).map_err(failed);
        }
        let used = reached(outputs, &self.parameters).map_err(failed)?;
        if let Now::First { used: Some(before), .. } = &*now {
            let all = self.group.gather_bytes(&bytes(before, &used))?;
            let same = all.windows(2).all(|pair| pair[0] == pair[1]);
            *now = if same && *before == used { self.fixed(used.clone())? } else { Now::Varying(self.any()?) };
        }
        match &mut *now {
            Now::First { any, used: seen } => {
                *seen = Some(used);
                any.prepare(outputs)
            }
            Now::Fixed { some, used: expected } if *expected == used => some.prepare(outputs),
            Now::Fixed { used: expected, .. } => return Err(self.varied(expected, &used)),
            Now::Varying(any) => any.prepare(outputs),
        }
        .map_err(failed)
    }

    fn any(&self) -> Result<RawReducer> {
        self.reducer(&self.parameters, true)
    }

    fn fixed(&self, used: Vec<bool>) -> Result<Now> {
        let some: Vec<Tensor> =
            self.parameters.iter().zip(&used).filter(|(_, used)| **used).map(|(p, _)| p.shallow_clone()).collect();
        Ok(Now::Fixed { some: self.reducer(&some, false)?, used })
    }

    fn reducer(&self, parameters: &[Tensor], varies: bool) -> Result<RawReducer> {
        let raw = self.group.raw().expect("a reducer has a group");
        let made = RawReducer::new(raw, parameters, self.bucket_bytes, varies);
        made.map_err(|message| Error::exchange(ACTION, message))
    }

    fn varied(&self, expected: &[bool], used: &[bool]) -> Error {
        let differs = expected.iter().zip(used).position(|(a, b)| a != b).unwrap_or_default();
        let what = if used[differs] { "uses" } else { "does not use" };
        let name = &self.names[differs];
        let message = format!("the encoder {what} its parameter `{name}` in this step, unlike in the first ones");
        let hint =
            "parameters that come and go, as with stochastic depth, need `distributed.varying_parameters = true`";
        Error::Distributed { fault: Fault::new(message).hint(hint), lost_peer: false }
    }
}

fn bytes(first: &[bool], second: &[bool]) -> Vec<u8> {
    first.iter().chain(second).map(|&used| u8::from(used)).collect()
}
