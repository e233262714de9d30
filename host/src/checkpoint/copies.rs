//! Tensors copied as they are at one moment: at once on the CPU; from a GPU in one batch, which is waited for where the copies are
//! read, so that training goes on meanwhile.

use crate::{
    error::{Error, Result},
    native::download::Download,
};
use tch::{Device, TchError, Tensor};

/// Named copies on the host, some of which a GPU may still be at.
pub struct Copies {
    names: Vec<String>,
    /// By position; none of those that are under way.
    here: Vec<Option<Tensor>>,
    under_way: Option<Download>,
}

impl Copies {
    /// Copies tensors; what is asked of their device later does not change the copies.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn of(named: Vec<(String, Tensor)>) -> Result<Self> {
        let (names, tensors): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        let is_there = |tensor: &Tensor| tensor.device().is_cuda() && tensor.numel() > 0;
        let there: Vec<Tensor> = tensors.iter().filter(|t| is_there(t)).map(Tensor::shallow_clone).collect();
        let begin = || Download::begin(&there).map_err(Error::native("copy the state"));
        let under_way = (!there.is_empty()).then(begin).transpose()?;
        let here = tensors.iter().map(|tensor| (!is_there(tensor)).then(|| copy(tensor)).transpose());
        let here = here.collect::<Result<_, _>>().map_err(Error::torch("copy the state"))?;
        Ok(Self { names, here, under_way })
    }

    /// The copies, in the tensors' order. Waits for a GPU.
    ///
    /// # Errors
    /// What the GPU came to.
    pub fn wait(self) -> Result<Vec<(String, Tensor)>> {
        let arrived = self.under_way.map(Download::wait).transpose().map_err(Error::native("copy the state"))?;
        let mut arrived = arrived.into_iter().flatten();
        let next = |here: Option<Tensor>| here.or_else(|| arrived.next()).expect("what is not here was under way");
        Ok(self.names.into_iter().zip(self.here.into_iter().map(next)).collect())
    }
}

fn copy(tensor: &Tensor) -> Result<Tensor, TchError> {
    let mut copy = Tensor::f_empty(tensor.size(), (tensor.kind(), Device::Cpu))?;
    tch::no_grad(|| copy.f_copy_(tensor))?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_stay_as_the_tensors_were() {
        let mut tensor = Tensor::from_slice(&[1.0f32, 2.0]);
        let turned = Tensor::from_slice(&[1i64, 2, 3, 4]).view([2, 2]).tr();
        let named = [("a", &tensor), ("b", &turned)].map(|(name, t)| (name.to_owned(), t.shallow_clone()));
        let copies = Copies::of(named.into()).unwrap();
        let _ = tensor.fill_(7.0);
        let copies = copies.wait().unwrap();
        assert_eq!(copies.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(Vec::<f32>::try_from(&copies[0].1).unwrap(), [1.0, 2.0]);
        assert!(copies[1].1.is_contiguous());
        assert_eq!(Vec::<i64>::try_from(copies[1].1.flatten(0, 1)).unwrap(), [1, 3, 2, 4]);
    }
}
