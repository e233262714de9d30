//! What ranks exchange in a step: the features of the global batch, the gradients of each rank's own rows, labels, and
//! the loss's values.
//!
//! Shapes: B rows of the global batch, of which R are this rank's.

use crate::{
    distributed::Group,
    error::{Error, Result},
};
use tch::{Kind, TchError, Tensor};

/// The feature map of the global batch: R × C × H × W becomes B × C × H × W, laid out as it was, without a graph.
///
/// # Errors
/// A lost peer, or libtorch's message.
pub fn gather_map(group: &Group, map: &Tensor) -> Result<Tensor> {
    as_rows(map, |rows| group.gather(rows))
}

/// This rank's rows of a gradient of the global batch (B × C × H × W): the sum over the ranks' shares where each rank
/// computed one, its own rows where every rank computed the whole.
///
/// # Errors
/// A lost peer, or libtorch's message.
pub fn own_rows(group: &Group, gradient: &Tensor, is_share: bool) -> Result<Tensor> {
    if is_share {
        return as_rows(gradient, |rows| group.scatter_sum(rows));
    }
    let own = group.share(gradient.size()[0] as usize);
    gradient.f_narrow(0, own.start as i64, own.len() as i64).map_err(Error::torch("cut a gradient into rows"))
}

/// Exchanges a map as the memory has it, channels last or not.
fn as_rows(map: &Tensor, exchange: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let torch = || Error::torch("exchange a feature map");
    let size = map.size();
    let channels_last = map.dim() == 4 && size[1] > 1 && map.stride()[1] == 1;
    if !channels_last {
        return exchange(map);
    }
    let rows = exchange(&map.f_permute([0, 2, 3, 1]).map_err(torch())?)?;
    rows.f_permute([0, 3, 1, 2]).map_err(torch())
}

/// Labels and indices of the global batch (B each), on the CPU.
///
/// # Errors
/// A lost peer, or libtorch's message.
pub fn gather_labels(group: &Group, labels: &[i64], indices: &[i64]) -> Result<(Tensor, Tensor)> {
    let pairs = || Tensor::f_stack(&[Tensor::f_from_slice(labels)?, Tensor::f_from_slice(indices)?], 1);
    let pairs = group.gather(&pairs().map_err(Error::torch("exchange labels"))?)?;
    let columns = || Ok((pairs.f_select(1, 0)?.f_contiguous()?, pairs.f_select(1, 1)?.f_contiguous()?));
    columns().map_err(Error::torch("exchange labels"))
}

/// Sums tensors over the ranks in one exchange, in place.
///
/// # Errors
/// A lost peer, or libtorch's message.
pub fn sum_in_place(group: &Group, tensors: &[Tensor]) -> Result<()> {
    if group.size() == 1 || tensors.is_empty() {
        return Ok(());
    }
    let torch = || Error::torch("sum over the ranks");
    let flat = || Tensor::f_cat(&tensors.iter().map(|t| t.f_reshape([-1])).collect::<Result<Vec<_>, _>>()?, 0);
    let flat = tch::no_grad(flat).map_err(torch())?;
    group.sum(&flat)?;
    let mut start = 0;
    let back = |tensor: &Tensor| -> Result<(), TchError> {
        let count = tensor.numel() as i64;
        tensor.shallow_clone().f_copy_(&flat.f_narrow(0, start, count)?.f_view_as(tensor)?)?;
        start += count;
        Ok(())
    };
    tch::no_grad(|| tensors.iter().try_for_each(back)).map_err(torch())
}

/// A step's values, read at once: the one point where a step waits for a GPU.
pub struct Values {
    pub numbers: Vec<f64>,
    /// Whether every rank's were finite.
    pub finite: bool,
}

/// The sum over ranks of the first `shares` scalars, and rank 0's numbers of the others.
///
/// # Errors
/// A lost peer, or libtorch's message.
pub fn read_values(group: &Group, scalars: &[Tensor], shares: usize) -> Result<Values> {
    let torch = || Error::torch("read the loss");
    let stacked = || {
        let scalars: Result<Vec<Tensor>, _> = scalars.iter().map(|s| s.f_detach()?.f_to_kind(Kind::Double)).collect();
        let own = Tensor::f_stack(&scalars?, 0)?;
        let failures = own.f_isfinite()?.f_logical_not()?.f_sum(Kind::Double)?.f_view([1])?;
        // Zeros in place of what rank 0 tells: another rank's may not be finite, and a product would spoil the sum.
        let given = if group.leads() { own.numel() } else { shares } as i64;
        let kept = own.f_narrow(0, 0, given)?;
        let none = Tensor::f_zeros([own.numel() as i64 - given], (Kind::Double, own.device()))?;
        Tensor::f_cat(&[kept, none, failures], 0)
    };
    let stacked = tch::no_grad(stacked).map_err(torch())?;
    group.sum(&stacked)?;
    let mut numbers = Vec::<f64>::try_from(stacked.f_to_device(tch::Device::Cpu).map_err(torch())?).map_err(torch())?;
    let failures = numbers.pop().expect("appended above");
    Ok(Values { numbers, finite: failures == 0.0 })
}
