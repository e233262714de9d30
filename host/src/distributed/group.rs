//! A group of processes that train together, each with a rank. A process that trains alone is a group of one, for which
//! every exchange is the identity.

use super::native::{Joining, RawGroup};
use crate::{
    error::{Error, Result},
    native::NativeResult,
};
use std::{collections::BTreeMap, sync::Arc};
use tch::{Device, Kind, Tensor};

/// The processes that train together; cheap to clone.
#[derive(Clone)]
pub struct Group {
    rank: usize,
    size: usize,
    raw: Option<Arc<RawGroup>>,
}

impl Group {
    /// This process alone.
    pub fn alone() -> Self {
        Self { rank: 0, size: 1, raw: None }
    }

    /// Joins the others.
    ///
    /// # Errors
    /// Whatever keeps the processes from meeting, in libtorch's words.
    pub fn join(joining: &Joining<'_>) -> NativeResult<Self> {
        let raw = RawGroup::join(joining)?;
        Ok(Self { rank: joining.rank, size: joining.size, raw: Some(Arc::new(raw)) })
    }

    /// This process's number, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many processes there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether this process writes files and talks to the user.
    pub fn leads(&self) -> bool {
        self.rank == 0
    }

    pub(super) fn raw(&self) -> Option<&Arc<RawGroup>> {
        self.raw.as_ref()
    }

    /// The rows of a batch of `rows` that are this rank's: [rank · rows / size, (rank + 1) · rows / size).
    pub fn share(&self, rows: usize) -> std::ops::Range<usize> {
        self.rank * rows / self.size..(self.rank + 1) * rows / self.size
    }

    /// Sums a tensor over the ranks, in place.
    ///
    /// # Errors
    /// A lost peer.
    pub fn sum(&self, tensor: &Tensor) -> Result<()> {
        self.raw.as_ref().map_or(Ok(()), |raw| raw.sum(tensor)).map_err(lost("sum over the ranks"))
    }

    /// The rows of all ranks, in their order; every rank gives as many.
    ///
    /// # Shapes
    /// N × …; out, size · N × ….
    ///
    /// # Errors
    /// A lost peer.
    pub fn gather(&self, rows: &Tensor) -> Result<Tensor> {
        let Some(raw) = &self.raw else { return Ok(rows.shallow_clone()) };
        let gathered = || {
            let rows = rows.f_detach()?.f_contiguous()?;
            let mut shape = rows.size();
            shape[0] *= self.size as i64;
            Ok((Tensor::f_empty(&shape[..], (rows.kind(), rows.device()))?, rows))
        };
        let (output, rows) = gathered().map_err(Error::torch::<tch::TchError>("gather from the ranks"))?;
        raw.gather(&rows, &output).map_err(lost("gather from the ranks"))?;
        Ok(output)
    }

    /// The rows of all ranks, in their order, of which each gives as many as it has.
    ///
    /// # Errors
    /// A lost peer.
    pub fn gather_uneven(&self, rows: &Tensor) -> Result<Tensor> {
        if self.size == 1 {
            return Ok(rows.shallow_clone());
        }
        let torch = || Error::torch("gather from the ranks");
        let count = Tensor::from_slice(&[rows.size()[0]]).to_device(rows.device());
        let counts = Vec::<i64>::try_from(self.gather(&count)?.to_device(Device::Cpu)).map_err(torch())?;
        let most = counts.iter().copied().max().unwrap_or(0);
        let pad = |_: ()| {
            let mut shape = rows.size();
            shape[0] = most - rows.size()[0];
            Tensor::f_cat(&[rows.shallow_clone(), Tensor::f_zeros(&shape[..], (rows.kind(), rows.device()))?], 0)
        };
        let gathered = self.gather(&pad(()).map_err(torch())?)?;
        let parts = counts.iter().enumerate().map(|(rank, &count)| gathered.f_narrow(0, rank as i64 * most, count));
        let joined = || Tensor::f_cat(&parts.collect::<Result<Vec<_>, _>>()?, 0);
        joined().map_err(torch())
    }

    /// This rank's rows of the sum over the ranks.
    ///
    /// # Shapes
    /// size · N × …; out, N × ….
    ///
    /// # Errors
    /// A lost peer.
    pub fn scatter_sum(&self, rows: &Tensor) -> Result<Tensor> {
        let Some(raw) = &self.raw else { return Ok(rows.shallow_clone()) };
        let own = || {
            let rows = rows.f_contiguous()?;
            let mut shape = rows.size();
            shape[0] /= self.size as i64;
            Ok((Tensor::f_empty(&shape[..], (rows.kind(), rows.device()))?, rows))
        };
        let (output, rows) = own().map_err(Error::torch::<tch::TchError>("exchange gradients"))?;
        raw.scatter_sum(&rows, &output).map_err(lost("exchange gradients"))?;
        Ok(output)
    }

    /// Makes a tensor what it is on rank 0, in place.
    ///
    /// # Errors
    /// A lost peer.
    pub fn follow(&self, tensor: &Tensor) -> Result<()> {
        self.raw.as_ref().map_or(Ok(()), |raw| raw.broadcast(tensor, 0)).map_err(lost("take over a tensor of rank 0"))
    }

    /// A number of every rank, by rank.
    ///
    /// # Errors
    /// A lost peer.
    pub fn gather_numbers(&self, own: f64) -> Result<Vec<f64>> {
        Vec::<f64>::try_from(self.gather(&Tensor::from_slice(&[own]))?).map_err(Error::torch("gather from the ranks"))
    }

    /// Whether any rank wants to stop, and rank 0's time.
    ///
    /// # Errors
    /// A lost peer.
    pub fn agree_on_end(&self, stop: bool, seconds: f64) -> Result<(bool, f64)> {
        if self.size == 1 {
            return Ok((stop, seconds));
        }
        let own = [f64::from(u8::from(stop)), if self.leads() { seconds } else { 0.0 }];
        let all = Tensor::from_slice(&own);
        self.sum(&all)?;
        let all = Vec::<f64>::try_from(all).map_err(Error::torch("agree on an end"))?;
        Ok((all[0] > 0.0, all[1]))
    }

    /// What rank 0 says, yes or no.
    ///
    /// # Errors
    /// A lost peer.
    pub fn agrees_with_leader(&self, own: bool) -> Result<bool> {
        Ok(self.gather_numbers(f64::from(u8::from(own)))?[0] > 0.0)
    }

    /// Rank 0's files, by name, on every rank; empty where it has none.
    ///
    /// # Errors
    /// A lost peer.
    pub fn share_files(&self, files: Option<BTreeMap<String, Vec<u8>>>) -> Result<BTreeMap<String, Vec<u8>>> {
        let own = files.unwrap_or_default();
        if self.size == 1 {
            return Ok(own);
        }
        let listed: Vec<(&String, usize)> = own.iter().map(|(name, bytes)| (name, bytes.len())).collect();
        let listed = self.gather_bytes(&serde_json::to_vec(&listed).expect("names and lengths are plain data"))?;
        let listed: Vec<(String, usize)> = serde_json::from_slice(&listed[0])
            .map_err(|error| Error::Bug { what: format!("rank 0's list of files can't be read: {error}") })?;
        let mut shared = BTreeMap::new();
        for (name, length) in listed {
            let bytes = match own.get(&name) {
                Some(bytes) => Tensor::from_slice(bytes),
                None => Tensor::zeros([length as i64], (Kind::Uint8, Device::Cpu)),
            };
            self.follow(&bytes)?;
            shared.insert(name, Vec::<u8>::try_from(bytes).map_err(Error::torch("take over a file of rank 0"))?);
        }
        Ok(shared)
    }

    /// Some bytes of every rank, by rank.
    ///
    /// # Errors
    /// A lost peer.
    pub fn gather_bytes(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        let torch = || Error::torch("gather from the ranks");
        let lengths = self.gather(&Tensor::from_slice(&[bytes.len() as i64]))?;
        let lengths = Vec::<i64>::try_from(lengths).map_err(torch())?;
        let own = Tensor::from_slice(bytes).f_view([-1]).map_err(torch())?;
        let all = Vec::<u8>::try_from(self.gather_uneven(&own)?.f_to_kind(Kind::Uint8).map_err(torch())?);
        let mut rest = &all.map_err(torch())?[..];
        let cut = |length: i64| {
            let (own, others) = rest.split_at(length as usize);
            rest = others;
            own.to_vec()
        };
        Ok(lengths.into_iter().map(cut).collect())
    }
}

/// Wraps what libtorch says where an exchange failed.
fn lost(action: &'static str) -> impl FnOnce(String) -> Error {
    move |message| Error::exchange(action, message)
}
