//! The objective of multinomial logistic regression with its slope, in coordinates in which it curves alike in all directions:
//! features are turned to their principal axes, and weights counted in units of one over the root of each axis's curvature.
//! The objective is the same; the minimiser needs tens of steps where features of different scales would take thousands.
//!
//! Shapes: N samples · D channels · K classes.

use infomax_solvers::{BoxError, Smooth};
use std::cell::RefCell;
use tch::{Device, Kind, TchError, Tensor};

/// Above, finding the axes would take minutes: then each channel is scaled alone.
const MOST_AXES: i64 = 4096;

/// Features with labels, turned to their principal axes.
#[derive(Debug)]
pub struct Samples {
    /// N × D, f64: along the axes, from the mean.
    z_nd: Tensor,
    labels_n: Tensor,
    classes: i64,
    mean_d: Tensor,
    /// The axes as columns, D × D; none for the channels themselves.
    axes_dd: Option<Tensor>,
    /// Along each axis.
    variance_d: Tensor,
}

impl Samples {
    /// Features (N, D) with labels (N) in 0..classes.
    ///
    /// # Errors
    /// libtorch's; features that are not finite.
    pub fn new(x_nd: &Tensor, labels_n: &Tensor, classes: i64) -> Result<Self, TchError> {
        let x_nd = x_nd.f_to_kind(Kind::Double)?;
        if !bool::try_from(x_nd.f_isfinite()?.f_all()?)? {
            return Err(TchError::Kind("the features are not finite".to_owned()));
        }
        let (n, d) = (x_nd.size()[0] as f64, x_nd.size()[1]);
        let mean_d = x_nd.f_mean_dim(&[0i64][..], false, Kind::Double)?;
        let mut z_nd = x_nd.f_sub(&mean_d)?;
        let labels_n = labels_n.shallow_clone();
        if d > MOST_AXES {
            let variance_d = z_nd.f_square()?.f_mean_dim(&[0i64][..], false, Kind::Double)?;
            return Ok(Self { z_nd, labels_n, classes, mean_d, axes_dd: None, variance_d });
        }
        let covariance_dd = z_nd.f_transpose(0, 1)?.f_matmul(&z_nd)?.f_divide_scalar(n)?;
        let (variance_d, axes_dd) = covariance_dd.f_linalg_eigh("L")?;
        z_nd = z_nd.f_matmul(&axes_dd)?;
        Ok(Self { z_nd, labels_n, classes, mean_d, axes_dd: Some(axes_dd), variance_d: variance_d.f_clamp_min(0.0)? })
    }

    /// How many there are.
    pub fn count(&self) -> i64 {
        self.z_nd.size()[0]
    }

    /// The objective for a weight `c` of the data against the penalty.
    ///
    /// # Errors
    /// libtorch's.
    pub fn objective(&self, c: f64) -> Result<Objective<'_>, TchError> {
        // Divided by c · N, so that its size does not depend on them.
        let penalty = 1.0 / (c * self.count() as f64);
        // Where no class is preferred, an axis curves by its variance over the number of classes.
        let curvature_d = self.variance_d.f_divide_scalar(self.classes as f64)?.f_add_scalar(penalty)?;
        let unit_d = curvature_d.f_rsqrt()?;
        Ok(Objective { samples: self, penalty, unit_d, last: RefCell::default() })
    }

    fn along_axes(&self, rows_kd: &Tensor) -> Result<Tensor, TchError> {
        self.axes_dd.as_ref().map_or_else(|| Ok(rows_kd.shallow_clone()), |axes_dd| rows_kd.f_matmul(axes_dd))
    }
}

/// A point with the objective's value and slope there.
#[derive(Clone, Debug, Default)]
struct Evaluated {
    point: Vec<f64>,
    value: f64,
    slope: Vec<f64>,
}

/// `Σ cross_entropy / N + penalty · ½ · |W|²`, the bias free. A point is W in units along the axes, row by row, and the bias at
/// the mean.
pub struct Objective<'a> {
    samples: &'a Samples,
    penalty: f64,
    unit_d: Tensor,
    /// Value and slope are asked for one after the other, and cost little more together than one alone.
    last: RefCell<Evaluated>,
}

impl Objective<'_> {
    /// The number of coordinates.
    pub fn size(&self) -> usize {
        (self.samples.classes * (self.unit_d.size()[0] + 1)) as usize
    }

    /// The point of a classifier of features as they came.
    ///
    /// # Errors
    /// libtorch's.
    pub fn point_of(&self, weight_kd: &Tensor, bias_k: &Tensor) -> Result<Vec<f64>, TchError> {
        let v_kd = self.samples.along_axes(weight_kd)?.f_div(&self.unit_d)?;
        let at_mean_k = bias_k.f_add(&weight_kd.f_mv(&self.samples.mean_d)?)?;
        Vec::try_from(Tensor::f_cat(&[v_kd.f_reshape([-1])?, at_mean_k], 0)?.f_to_device(Device::Cpu)?)
    }

    /// The classifier of features as they came, (K, D) and (K), that a point is.
    ///
    /// # Errors
    /// libtorch's.
    pub fn classifier(&self, point: &[f64]) -> Result<(Tensor, Tensor), TchError> {
        let (v_kd, at_mean_k) = self.split(point)?;
        let w_kd = v_kd.f_mul(&self.unit_d)?;
        let weight_kd = match &self.samples.axes_dd {
            Some(axes_dd) => w_kd.f_matmul(&axes_dd.f_transpose(0, 1)?)?,
            None => w_kd,
        };
        let bias_k = at_mean_k.f_sub(&weight_kd.f_mv(&self.samples.mean_d)?)?;
        Ok((weight_kd, bias_k))
    }

    fn split(&self, point: &[f64]) -> Result<(Tensor, Tensor), TchError> {
        let (k, d) = (self.samples.classes, self.unit_d.size()[0]);
        let all = Tensor::f_from_slice(point)?.f_to_device(self.unit_d.device())?;
        Ok((all.f_narrow(0, 0, k * d)?.f_view([k, d])?, all.f_narrow(0, k * d, k)?))
    }

    fn evaluate(&self, point: &[f64]) -> Result<(), TchError> {
        if self.last.borrow().point == point {
            return Ok(());
        }
        let Samples { z_nd, labels_n, .. } = self.samples;
        let (v_kd, at_mean_k) = self.split(point)?;
        let w_kd = v_kd.f_mul(&self.unit_d)?;
        let n = z_nd.size()[0] as f64;
        let log_nk = z_nd.f_linear(&w_kd, Some(&at_mean_k))?.f_log_softmax(1, Kind::Double)?;
        let own_n1 = labels_n.f_unsqueeze(1)?;
        let loss = log_nk.f_gather(1, &own_n1, false)?.f_sum(Kind::Double)?.f_double_value(&[])? / -n;
        let penalty = w_kd.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
        // By hand: (softmax − one-hot)ᵀ · z / N.
        let minus_one = own_n1.f_ones_like()?.f_to_kind(Kind::Double)?.f_neg()?;
        let residual_nk = log_nk.f_exp()?.f_scatter_add(1, &own_n1, &minus_one)?.f_divide_scalar(n)?;
        let of_weight = residual_nk.f_transpose(0, 1)?.f_matmul(z_nd)?;
        let of_weight = of_weight.f_add(&w_kd.f_multiply_scalar(self.penalty)?)?.f_mul(&self.unit_d)?;
        let of_bias = residual_nk.f_sum_dim_intlist(&[0i64][..], false, Kind::Double)?;
        let slope = Tensor::f_cat(&[of_weight.f_reshape([-1])?, of_bias], 0)?.f_to_device(Device::Cpu)?;
        let slope = Vec::try_from(slope)?;
        let value = loss + 0.5 * self.penalty * penalty;
        *self.last.borrow_mut() = Evaluated { point: point.to_vec(), value, slope };
        Ok(())
    }
}

impl Smooth for Objective<'_> {
    fn value(&self, point: &[f64]) -> Result<f64, BoxError> {
        tch::no_grad(|| self.evaluate(point))?;
        Ok(self.last.borrow().value)
    }

    fn slope(&self, point: &[f64]) -> Result<Vec<f64>, BoxError> {
        tch::no_grad(|| self.evaluate(point))?;
        Ok(self.last.borrow().slope.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_that_of_the_plain_formula_and_the_slope_its_differences() {
        tch::manual_seed(3);
        let double = (Kind::Double, Device::Cpu);
        let labels = Tensor::arange(60, (Kind::Int64, Device::Cpu)).remainder(3);
        let scale = Tensor::from_slice(&[1e-3, 1.0, 1e3]);
        let x = Tensor::randn([60, 3], double) * scale + 5.0;
        let samples = Samples::new(&x, &labels, 3).unwrap();
        let objective = samples.objective(0.5).unwrap();
        let point: Vec<f64> = (0..12).map(|i| f64::from(i) * 0.1 - 0.5).collect();
        let (weight, bias) = objective.classifier(&point).unwrap();
        let logits = x.linear(&weight, Some(&bias));
        let loss = logits.cross_entropy_loss::<&Tensor>(&labels, None, tch::Reduction::Mean, -100, 0.0);
        let plain = loss.double_value(&[]) + 0.5 / 30.0 * weight.square().sum(Kind::Double).double_value(&[]);
        assert!((objective.value(&point).unwrap() / plain - 1.0).abs() < 1e-10);
        let back = objective.point_of(&weight, &bias).unwrap();
        assert!(back.iter().zip(&point).all(|(a, b)| (a - b).abs() < 1e-9), "{back:?}");
        let slope = objective.slope(&point).unwrap();
        for i in 0..objective.size() {
            let moved = |by: f64| {
                let mut point = point.clone();
                point[i] += by;
                objective.value(&point).unwrap()
            };
            assert!(((moved(1e-5) - moved(-1e-5)) / 2e-5 - slope[i]).abs() < 1e-8);
        }
    }
}
