//! How much of its space a representation uses: what falls when training collapses.
//!
//! Shapes: N images · D channels.

use super::knn::unit;
use tch::{Kind, TchError, Tensor};

const COLLAPSE_IMAGES: i64 = 10_000; // bounds rankme's product
const UNIFORMITY_IMAGES: i64 = 2_048; // bounds the matrix of pairs to 32 MB in f64
const RANKME_EPS: f64 = 1e-7; // Garrido et al. 2023, equation 2
const UNIFORMITY_T: f64 = 2.0; // Wang and Isola 2020, section 4.1.2

/// `feature_std`, `rankme` and `uniformity` of a representation, over rows spread evenly where there are many.
///
/// # Errors
/// libtorch's.
pub fn spread(x_nd: &Tensor) -> Result<[(&'static str, f64); 3], TchError> {
    let x_nd = evenly(x_nd, COLLAPSE_IMAGES)?;
    Ok([
        ("feature_std", feature_std(&x_nd)?),
        ("rankme", rankme(&x_nd)?),
        ("uniformity", uniformity(&evenly(&x_nd, UNIFORMITY_IMAGES)?)?),
    ])
}

/// At most `most` rows, spread over all of them: a stage is often sorted by class.
fn evenly(x_nd: &Tensor, most: i64) -> Result<Tensor, TchError> {
    let n = x_nd.size()[0];
    if n <= most {
        return Ok(x_nd.shallow_clone());
    }
    let rows: Vec<i64> = (0..most).map(|i| i * n / most).collect();
    x_nd.f_index_select(0, &Tensor::f_from_slice(&rows)?.f_to_device(x_nd.device())?)
}

/// The standard deviation of each channel of rows of length 1, on average, times √D: 1 where directions are spread
/// evenly, 0 where all are alike.
///
/// # Source
/// Chen and He 2021 (arXiv:2011.10566), section 4.1.
///
/// # Errors
/// libtorch's.
pub fn feature_std(x_nd: &Tensor) -> Result<f64, TchError> {
    let d = x_nd.size()[1] as f64;
    let std_d = unit(x_nd)?.f_std_dim(&[0i64][..], false, false)?;
    Ok(std_d.f_mean(Kind::Double)?.f_double_value(&[])? * d.sqrt())
}

/// The effective number of dimensions: exp of the entropy of the singular values, from 1 to D.
///
/// # Source
/// Garrido et al. 2023 (arXiv:2210.02885), equation 2.
///
/// # Errors
/// libtorch's.
pub fn rankme(x_nd: &Tensor) -> Result<f64, TchError> {
    // Through the D × D product, in f64: N is large.
    let x_nd = x_nd.f_to_kind(Kind::Double)?;
    let energies_d = x_nd.f_transpose(0, 1)?.f_matmul(&x_nd)?.f_linalg_eigvalsh("L")?;
    let values_d = energies_d.f_clamp_min(0.0)?.f_sqrt()?;
    let sum = values_d.f_sum(Kind::Double)?.f_double_value(&[])?;
    if sum == 0.0 {
        return Ok(1.0);
    }
    let share_d = values_d.f_divide_scalar(sum)?.f_add_scalar(RANKME_EPS)?;
    let entropy = share_d.f_mul(&share_d.f_log()?)?.f_sum(Kind::Double)?.f_double_value(&[])?;
    Ok((-entropy).exp())
}

/// The mean squared distance between the two views of an image, rows of length 1: 0 where they coincide.
///
/// # Source
/// Wang and Isola 2020 (arXiv:2005.10242), equation 1, with α = 2.
///
/// # Errors
/// libtorch's.
pub fn alignment(one_nd: &Tensor, two_nd: &Tensor) -> Result<f64, TchError> {
    let squared_n =
        unit(one_nd)?.f_sub(&unit(two_nd)?)?.f_square()?.f_sum_dim_intlist(&[1i64][..], false, Kind::Double)?;
    squared_n.f_mean(Kind::Double)?.f_double_value(&[])
}

/// The logarithm of the mean of exp(−2·d²) over all pairs of images: 0 where all are alike, lower where they spread.
///
/// # Source
/// Wang and Isola 2020 (arXiv:2005.10242), equation 2.
///
/// # Errors
/// libtorch's.
pub fn uniformity(x_nd: &Tensor) -> Result<f64, TchError> {
    let x_nd = unit(x_nd)?;
    let n = x_nd.size()[0];
    if n < 2 {
        return Ok(0.0);
    }
    // d² = 2 − 2·cos; each pair counts twice, the diagonal (d = 0) not at all.
    let cosine_nn = x_nd.f_matmul(&x_nd.f_transpose(0, 1)?)?.f_to_kind(Kind::Double)?;
    let kernel_nn = cosine_nn.f_sub_scalar(1.0)?.f_multiply_scalar(2.0 * UNIFORMITY_T)?.f_exp()?;
    let diagonal = kernel_nn.f_diagonal(0, 0, 1)?.f_sum(Kind::Double)?.f_double_value(&[])?;
    let off = kernel_nn.f_sum(Kind::Double)?.f_double_value(&[])? - diagonal;
    Ok((off / (n * (n - 1)) as f64).ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(n: i64, d: i64) -> Tensor {
        tch::manual_seed(3);
        Tensor::randn([n, d], (Kind::Float, tch::Device::Cpu))
    }

    #[test]
    fn a_spread_representation_uses_its_space_and_a_collapsed_one_does_not() {
        let wide = spread(4000, 16);
        assert!((feature_std(&wide).unwrap() - 1.0).abs() < 0.02);
        assert!((rankme(&wide).unwrap() - 16.0).abs() < 0.1);
        let point = Tensor::ones([100, 16], (Kind::Float, tch::Device::Cpu));
        assert!(feature_std(&point).unwrap() < 1e-6);
        assert!((rankme(&point).unwrap() - 1.0).abs() < 1e-3);
        assert!(uniformity(&point).unwrap().abs() < 1e-6);
        let line = spread(100, 1).matmul(&spread(1, 16));
        assert!((rankme(&line).unwrap() - 1.0).abs() < 1e-2);
        assert_eq!(rankme(&Tensor::zeros([5, 3], (Kind::Float, tch::Device::Cpu))).unwrap(), 1.0);
    }

    #[test]
    fn alignment_and_uniformity_are_those_of_the_paper() {
        let one = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0]).view([2, 2]);
        let two = Tensor::from_slice(&[0.0f32, 3.0, 0.0, 2.0]).view([2, 2]);
        assert!((alignment(&one, &two).unwrap() - 1.0).abs() < 1e-6, "distances² 2 and 0");
        assert!((uniformity(&one).unwrap() - -4.0).abs() < 1e-6, "one pair at a right angle: e^(−2·2)");
        // On the sphere in many dimensions distances² are about 2, so uniformity is about −4.
        let wide = spread(2000, 256);
        assert!((uniformity(&wide).unwrap() + 4.0).abs() < 0.1);
    }
}
