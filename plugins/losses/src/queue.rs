//! Keys of earlier updates, the oldest replaced first.
//!
//! Shapes: V queues side by side · K keys · B new keys · D numbers.

use crate::precision::normalised;
use infomax_sdk::{NamedTensor, Result};
use tch::{Device, Kind, Tensor};

/// Equally long queues that move together.
pub struct Queue {
    /// V × K × D, f32.
    keys: Tensor,
    /// (1), i64: where the next key goes.
    position: Tensor,
}

impl Queue {
    /// Queues of random directions, as published.
    pub fn new(queues: i64, keys: i64, size: i64, device: Device) -> Result<Self> {
        let drawn_vkd = Tensor::f_randn([queues, keys, size], (Kind::Float, device))?;
        Ok(Self { keys: normalised(&drawn_vkd)?, position: Tensor::f_zeros([1], (Kind::Int64, device))? })
    }

    /// The keys of each queue, K × D.
    pub fn keys(&self) -> Result<Vec<Tensor>> {
        (0..self.keys.size()[0]).map(|v| Ok(self.keys.f_select(0, v)?)).collect()
    }

    /// Replaces the oldest keys; of more than K only the last K stay. The position stays on the device, so a GPU is not
    /// waited for.
    ///
    /// # Shapes
    /// V × B × D.
    pub fn push(&mut self, new_vbd: &Tensor) -> Result<()> {
        let (count, places) = (new_vbd.size()[1], self.keys.size()[1]);
        let kept = count.min(places);
        tch::no_grad(|| {
            let offsets = Tensor::f_arange_start(count - kept, count, (Kind::Int64, self.keys.device()))?;
            let index = offsets.f_add(&self.position)?.f_remainder(places)?;
            let last_vbd = new_vbd.f_narrow(1, count - kept, kept)?.f_to_kind(self.keys.kind())?;
            let _ = self.keys.f_index_copy_(1, &index, &last_vbd)?;
            let _ = self.position.f_add_scalar_(count)?.f_remainder_(places)?;
            Ok(())
        })
    }

    /// `queue` and `queue_position`.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        vec![NamedTensor::buffer("queue", &self.keys), NamedTensor::buffer("queue_position", &self.position)]
    }
}
