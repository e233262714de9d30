//! What ranks exchange in a step: the features of the global batch, the gradients of each rank's own rows, labels, and
//! the loss's values.
//!
//! Shapes: B rows of the global batch, of which R are this rank's.

use super::input::{Input, Known};
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

/// Labels of the global batch, and which rows have one.
pub struct Labels {
    /// B, on the device; −1 for none.
    pub labels: Tensor,
    /// B, on the device: positions in the stage.
    pub indices: Tensor,
    /// The rows with a label, on the device; none where all have one.
    pub known: Option<Tensor>,
}

/// Labels and indices of the global batch. Ranks that may have images without a label exchange theirs through the CPU, since
/// the host has to know which; otherwise nothing is waited for.
///
/// # Errors
/// A lost peer, or libtorch's message.
pub fn gather_labels(group: &Group, input: &Input) -> Result<Labels> {
    let torch = || Error::torch("exchange labels");
    let device = input.labels.device();
    let columns = |pairs: Tensor| Ok((pairs.f_select(1, 0)?.f_contiguous()?, pairs.f_select(1, 1)?.f_contiguous()?));
    match &input.known {
        Known::All if group.size() > 1 => {
            let pairs = Tensor::f_stack(&[&input.labels, &input.indices], 1).map_err(torch())?;
            let (labels, indices) = columns(group.gather(&pairs)?).map_err(torch())?;
            Ok(Labels { labels, indices, known: None })
        }
        Known::All => {
            Ok(Labels { labels: input.labels.shallow_clone(), indices: input.indices.shallow_clone(), known: None })
        }
        Known::Rows(rows) => Ok(Labels {
            labels: input.labels.shallow_clone(),
            indices: input.indices.shallow_clone(),
            known: Some(rows.shallow_clone()),
        }),
        Known::Asked { labels, indices } => {
            let pairs = || Tensor::f_stack(&[Tensor::f_from_slice(labels)?, Tensor::f_from_slice(indices)?], 1);
            let (labels, indices) = columns(group.gather(&pairs().map_err(torch())?)?).map_err(torch())?;
            let there = || {
                let known = labels.f_ge(0)?;
                let all = known.f_all()?.f_int64_value(&[])? != 0;
                let rows = if all { None } else { Some(known.f_nonzero()?.f_squeeze_dim(1)?.f_to_device(device)?) };
                Ok(Labels { labels: labels.f_to_device(device)?, indices: indices.f_to_device(device)?, known: rows })
            };
            there().map_err(torch())
        }
    }
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

/// Of some scalars, f64 and where they lie: the sum over ranks of the first `shares`, and rank 0's of the others. Of several
/// ranks one more number: how many scalars of theirs are not finite.
///
/// # Errors
/// A lost peer, or libtorch's message.
pub fn shared_values(group: &Group, scalars: &[Tensor], shares: usize) -> Result<Tensor> {
    let stacked = || {
        let own = Tensor::f_stack(scalars, 0)?.f_to_kind(Kind::Double)?;
        if group.size() == 1 {
            return Ok(own);
        }
        let failures = own.f_isfinite()?.f_logical_not()?.f_sum(Kind::Double)?.f_view([1])?;
        // Zeros in place of what rank 0 tells: another rank's may not be finite, and a product would spoil the sum.
        let given = if group.leads() { own.numel() } else { shares } as i64;
        let kept = own.f_narrow(0, 0, given)?;
        let none = Tensor::f_zeros([own.numel() as i64 - given], (Kind::Double, own.device()))?;
        Tensor::f_cat(&[kept, none, failures], 0)
    };
    let stacked = tch::no_grad(stacked).map_err(Error::torch("look at the loss"))?;
    group.sum(&stacked)?;
    Ok(stacked)
}
