//! What a loss changes after an update that the device may have withheld: kept before, and put back where it was.

use crate::{
    error::{Error, Result},
    native,
    tensor::NamedTensor,
};
use tch::Tensor;

/// A loss's tensors and room for what they were. Which ones it changes is seen by their counters, so that a loss that changes
/// none costs one copy.
pub struct Held {
    tensors: Vec<Tensor>,
    before: Vec<Tensor>,
    versions: Vec<i64>,
}

impl Held {
    /// Room for some tensors, which stay the same ones.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn of(named: Vec<NamedTensor>) -> Result<Self> {
        let tensors: Vec<Tensor> = named.into_iter().map(|named| named.tensor.detach()).collect();
        let before: Result<Vec<_>, _> = tensors.iter().map(Tensor::f_empty_like).collect();
        let before = before.map_err(Error::torch("make room for the loss's tensors"))?;
        Ok(Self { versions: Vec::new(), tensors, before })
    }

    /// Keeps what they are.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn keep(&mut self) -> Result<()> {
        if !self.tensors.is_empty() {
            native::copy(&self.before, &self.tensors).map_err(Error::native("keep the loss's tensors"))?;
        }
        self.versions = native::versions(&self.tensors);
        Ok(())
    }

    /// Puts back those that have been changed since, where the device withheld the update.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn restore(&self, withheld: &Tensor) -> Result<()> {
        let now = native::versions(&self.tensors);
        let changed: Vec<usize> = (0..now.len()).filter(|&at| self.versions[at] != now[at]).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let of = |list: &[Tensor]| changed.iter().map(|&at| list[at].shallow_clone()).collect::<Vec<_>>();
        let restored = native::restore(&of(&self.tensors), &of(&self.before), withheld);
        restored.map_err(Error::native("put the loss's tensors back"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::buffer;

    #[test]
    fn what_changed_comes_back_where_the_update_was_withheld() {
        for (withheld, expected) in [(1.0f32, [1.0, 2.0]), (0.0, [f64::NAN, 2.0])] {
            let (first, second) = (Tensor::from(1.0f32), Tensor::from(2.0f32));
            let mut held = Held::of(vec![buffer("first", &first), buffer("second", &second)]).unwrap();
            held.keep().unwrap();
            let _ = first.shallow_clone().fill_(f64::NAN);
            held.restore(&Tensor::from(withheld)).unwrap();
            let now = [first.double_value(&[]), second.double_value(&[])];
            assert!(now.iter().zip(expected).all(|(now, e)| *now == e || (now.is_nan() && e.is_nan())), "{now:?}");
        }
    }
}
