//! Keys of earlier updates, the oldest replaced first.
//!
//! Shapes: V queues side by side · K keys · B new keys · D numbers.

use infomax_sdk::{Buffer, Device, Kind, Tensor, named, no_grad};

/// Equally long queues that move together.
pub struct Queue {
    /// V × K × D, f32.
    keys: Buffer,
    /// (1), i64: where the next key goes.
    position: Buffer,
}

named!(Queue { keys as "queue", position as "queue_position" });

impl Queue {
    /// Queues of random directions, as published.
    pub fn new(queues: i64, keys: i64, size: i64, device: Device) -> Self {
        Self {
            keys: Buffer::new(Tensor::randn([queues, keys, size], Kind::F32, device).normalize(-1)),
            position: Buffer::new(Tensor::zeros(1, Kind::I64, device)),
        }
    }

    /// The keys of each queue, K × D.
    pub fn keys(&self) -> Vec<Tensor> {
        self.keys.unbind(0)
    }

    /// Replaces the oldest keys; of more than K only the last K stay. The position stays on the device, so a GPU is not
    /// waited for.
    ///
    /// # Shapes
    /// V × B × D.
    pub fn push(&mut self, new_vbd: &Tensor) {
        let (count, places) = (new_vbd.size_of(1), self.keys.size_of(1));
        let kept = count.min(places);
        no_grad(|| {
            let offsets = Tensor::arange(count - kept, count, Kind::I64, self.keys.device());
            let index = (offsets + &*self.position).remainder(places);
            self.keys.index_copy_(1, &index, &new_vbd.narrow(1, count - kept, kept).to_kind(self.keys.kind()));
            self.position.add_(count).remainder_(places);
        });
    }
}
