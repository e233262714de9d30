//! t-SNE of features: nearest neighbours by cosine, as in the neighbours' votes, and from there the Barnes-Hut method of `bhtsne`.
//! Nothing is drawn by chance, and one thread adds up: the same features give the same bytes.
//!
//! Shapes: N images · D channels · K neighbours.
//!
//! # Source
//! van der Maaten 2014 (JMLR 15); its start by PCA and its rate after Kobak and Berens 2019 and Belkina et al. 2019.

use super::plane;
use crate::{
    error::{Error, Fault, Result},
    evaluator::{nearest, unit},
};
use infomax_solvers::{Layout, Neighbor, lay_out};
use tch::{Kind, TchError, Tensor};

const THETA: f32 = 0.5; // van der Maaten 2014, section 5.2
/// Deviation of the start along the first direction; Kobak and Berens 2019.
const START: f64 = 1e-4;
/// The rate is N / 12 and at least this; Belkina et al. 2019. The crate's own is a quarter of it, as in scikit-learn, whose gradient
/// has a factor of 4 that the crate's lacks.
const LEAST_RATE: f32 = 200.0;
const EXAGGERATION: f32 = 12.0;

/// N × 2, f32.
///
/// # Errors
/// Features that are all the same, or none; libtorch's message.
pub fn tsne(x_nd: &Tensor, perplexity: u64) -> Result<Tensor> {
    let torch = || Error::torch("lay out the features by t-SNE");
    let (start, neighbours) = prepared(x_nd, perplexity).map_err(torch())?;
    let same = || {
        let fault = Fault::new("t-SNE has nothing to lay out: all features are the same, or too few");
        Error::Dataset { fault: fault.hint("`infomax evaluate` tells how far a representation has collapsed") }
    };
    let Some(start) = start.filter(|_| perplexity > 0) else { return Err(same()) };
    let layout = Layout {
        perplexity: perplexity as f32,
        learning_rate: (neighbours.len() as f32 / EXAGGERATION).max(LEAST_RATE),
        early_exaggeration: EXAGGERATION,
        theta: THETA,
    };
    let no_thread = |error| Error::Bug { what: format!("no thread for t-SNE: {error}") };
    let xy = lay_out(start, &neighbours, layout).map_err(no_thread)?;
    if xy.iter().any(|value| !value.is_finite()) {
        return Err(same());
    }
    Tensor::f_from_slice(&xy).and_then(|xy| xy.f_view([-1, 2])).map_err(torch())
}

/// Where points start, unless all features are the same; and the nearest neighbours of each.
#[allow(clippy::type_complexity)]
fn prepared(x_nd: &Tensor, perplexity: u64) -> Result<(Option<Vec<f32>>, Vec<Vec<Neighbor<f32>>>), TchError> {
    let x_nd = unit(x_nd)?;
    let (plane_n2, _) = plane(&x_nd)?;
    let deviation = plane_n2.f_select(1, 0)?.f_std(false)?.f_double_value(&[])?;
    let start_n2 = plane_n2.f_multiply_scalar(START / deviation)?.f_to_kind(Kind::Float)?;
    let start = Vec::<f32>::try_from(start_n2.f_reshape([-1])?)?;
    let k = 3 * perplexity as i64;
    // One more, since each is its own nearest.
    let (similarity_nk, index_nk) = nearest(&x_nd, &x_nd, k + 1)?;
    let distance_nk = similarity_nk.f_multiply_scalar(-2.0)?.f_add_scalar(2.0)?.f_clamp_min(0.0)?.f_sqrt()?;
    let (distances, indices) =
        (Vec::<f32>::try_from(distance_nk.f_reshape([-1])?)?, Vec::<i64>::try_from(index_nk.f_reshape([-1])?)?);
    let row = |(own, (distances, indices)): (usize, (&[f32], &[i64]))| {
        let all = distances.iter().zip(indices).map(|(&distance, &index)| Neighbor { index: index as usize, distance });
        all.filter(|neighbour| neighbour.index != own).take(k as usize).collect()
    };
    let width = k as usize + 1;
    let rows = distances.chunks_exact(width).zip(indices.chunks_exact(width)).enumerate().map(row).collect();
    Ok(((deviation > f64::from(f32::EPSILON)).then_some(start), rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// Three clusters in 20 directions.
    fn clusters(each: i64) -> (Tensor, Vec<i64>) {
        tch::manual_seed(3);
        let labels = Tensor::arange(3 * each, (Kind::Int64, Device::Cpu)).remainder(3);
        let centres = Tensor::randn([3, 20], (Kind::Float, Device::Cpu)) * 3.0;
        let x = centres.index_select(0, &labels) + Tensor::randn([3 * each, 20], (Kind::Float, Device::Cpu));
        (x, Vec::try_from(labels).unwrap())
    }

    #[test]
    fn clusters_stay_together_and_every_time_to_the_bit() {
        let (x, labels) = clusters(60);
        let xy = tsne(&x, 20).unwrap();
        assert_eq!((xy.size(), &xy), (vec![180, 2], &tsne(&x, 20).unwrap()));
        let points: Vec<Vec<f32>> = Vec::try_from(&xy).unwrap();
        let distance = |a: &[f32], b: &[f32]| (a[0] - b[0]).hypot(a[1] - b[1]);
        for (i, point) in points.iter().enumerate() {
            let others = (0..points.len()).filter(|&j| j != i);
            let near = others.min_by(|&a, &b| distance(point, &points[a]).total_cmp(&distance(point, &points[b])));
            assert_eq!(labels[near.unwrap()], labels[i], "point {i}");
        }
        // Lengths don't matter, as to cosine: twice as long is exact in f32.
        assert_eq!(tsne(&(&x * 2.0), 20).unwrap(), xy);
    }

    #[test]
    fn images_that_are_there_twice_are_laid_out_and_a_collapse_is_told() {
        let (x, _) = clusters(20);
        let twice = Tensor::cat(&[&x, &x, &x], 0);
        assert_eq!(tsne(&twice, 10).unwrap().size(), [180, 2]);
        let same = Tensor::ones([50, 8], (Kind::Float, Device::Cpu));
        for (x, perplexity) in [(same, 5), (x.narrow(0, 0, 3), 0)] {
            let error = tsne(&x, perplexity).unwrap_err();
            assert!(matches!(&error, Error::Dataset { .. }), "{error}");
        }
    }
}
