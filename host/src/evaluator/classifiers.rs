//! The linear classifier and the one with a hidden layer, on detached representations; names as in the published
//! checkpoints, so that those load.
//!
//! Shapes: N samples · D channels of the representation · K classes · H hidden units.
//!
//! # Source
//! The published AMDIM code: `cross_entropy(10·tanh(logits / 10), y) + 1e-3 · mean(logits²)`.

use crate::tensor::NamedTensor;
use tch::{Device, Kind, TchError, Tensor};

const LOGIT_CLIP: f64 = 10.0; // published code, evaluation loss
const LOGIT_PENALTY: f64 = 1e-3; // published code, evaluation loss
const BN_MOMENTUM: f64 = 0.1; // PyTorch's default
const BN_EPS: f64 = 1e-5; // PyTorch's default

/// Both classifiers; either may be switched off.
pub struct Classifiers {
    linear: Option<Linear>,
    mlp: Option<Mlp>,
}

struct Linear {
    weight_kd: Tensor,
    bias_k: Tensor,
}

struct Mlp {
    hidden_hd: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    batches: Tensor,
    weight_kh: Tensor,
    bias_k: Tensor,
    dropout: f64,
}

/// What the classifiers say, (N, K) each; none for one that is switched off.
pub struct Logits {
    pub linear: Option<Tensor>,
    pub mlp: Option<Tensor>,
}

/// Which classifiers there are.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub linear: bool,
    pub mlp: bool,
    pub hidden: i64,
    pub dropout: f64,
}

impl Classifiers {
    /// Classifiers with fresh weights, as PyTorch draws them.
    ///
    /// # Errors
    /// libtorch's.
    pub fn new(channels: i64, classes: i64, plan: Plan, device: Device) -> Result<Self, TchError> {
        let linear = plan.linear.then(|| Linear::new(channels, classes, device)).transpose()?;
        let mlp = plan.mlp.then(|| Mlp::new(channels, classes, plan, device)).transpose()?;
        Ok(Self { linear, mlp })
    }

    /// Logits of representations of any N × D × … with one location; gradients stop here.
    ///
    /// # Errors
    /// libtorch's.
    pub fn logits(&self, representation: &Tensor, train: bool) -> Result<Logits, TchError> {
        self.attached_logits(&representation.f_detach()?, train)
    }

    /// The same, but that the linear classifier's gradient goes on into the representation.
    ///
    /// # Errors
    /// libtorch's.
    pub fn attached_logits(&self, representation: &Tensor, train: bool) -> Result<Logits, TchError> {
        let x_nd = representation.f_flatten(1, -1)?.f_to_kind(Kind::Float)?;
        Ok(Logits {
            linear: self.linear.as_ref().map(|l| x_nd.f_linear(&l.weight_kd, Some(&l.bias_k))).transpose()?,
            mlp: self.mlp.as_ref().map(|mlp| mlp.logits(&x_nd.f_detach()?, train)).transpose()?,
        })
    }

    /// Parameters and buffers by their published names.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        let mut list = Vec::new();
        if let Some(linear) = &self.linear {
            let name = |part: &str| format!("block_glb_lin.block_forward.2.{part}");
            list.push(crate::tensor::parameter(name("weight"), &linear.weight_kd));
            list.push(crate::tensor::parameter(name("bias"), &linear.bias_k));
        }
        if let Some(mlp) = &self.mlp {
            let name = |part: &str| format!("block_glb_mlp.block_forward.{part}");
            list.push(crate::tensor::parameter(name("2.weight"), &mlp.hidden_hd));
            list.push(crate::tensor::parameter(name("3.weight"), &mlp.norm_weight));
            list.push(crate::tensor::parameter(name("3.bias"), &mlp.norm_bias));
            list.push(crate::tensor::buffer(name("3.running_mean"), &mlp.running_mean));
            list.push(crate::tensor::buffer(name("3.running_var"), &mlp.running_var));
            list.push(crate::tensor::buffer(name("3.num_batches_tracked"), &mlp.batches));
            list.push(crate::tensor::parameter(name("6.weight"), &mlp.weight_kh));
            list.push(crate::tensor::parameter(name("6.bias"), &mlp.bias_k));
        }
        list
    }
}

impl Logits {
    /// The loss of each classifier, by name, as scalars.
    ///
    /// # Errors
    /// libtorch's.
    pub fn losses(&self, labels_n: &Tensor) -> Result<Vec<(&'static str, Tensor)>, TchError> {
        let loss = |(name, logits): (&'static str, &Tensor)| Ok((name, loss(logits, labels_n)?));
        self.named().map(loss).collect()
    }

    /// The plain cross-entropy of the linear classifier, as a scalar.
    ///
    /// # Errors
    /// libtorch's; no linear classifier.
    pub fn cross_entropy(&self, labels_n: &Tensor) -> Result<Tensor, TchError> {
        let logits_nk = self.linear.as_ref().ok_or_else(|| TchError::Kind("no linear classifier".to_owned()))?;
        logits_nk.f_cross_entropy_loss::<&Tensor>(labels_n, None, tch::Reduction::Mean, -100, 0.0)
    }

    /// How many samples each classifier gets right.
    ///
    /// # Errors
    /// libtorch's.
    pub fn correct(&self, labels_n: &Tensor) -> Result<Vec<(&'static str, i64)>, TchError> {
        let count = |(name, logits): (&'static str, &Tensor)| {
            let right = logits.f_argmax(1, false)?.f_eq_tensor(labels_n)?.f_sum(Kind::Int64)?;
            Ok((name, right.f_int64_value(&[])?))
        };
        self.named().map(count).collect()
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, &Tensor)> {
        [("linear", &self.linear), ("mlp", &self.mlp)].into_iter().filter_map(|(name, l)| Some((name, l.as_ref()?)))
    }
}

fn loss(logits_nk: &Tensor, labels_n: &Tensor) -> Result<Tensor, TchError> {
    let clipped = logits_nk.f_divide_scalar(LOGIT_CLIP)?.f_tanh()?.f_multiply_scalar(LOGIT_CLIP)?;
    let penalty = logits_nk.f_square()?.f_mean(Kind::Float)?.f_multiply_scalar(LOGIT_PENALTY)?;
    clipped.f_cross_entropy_loss::<&Tensor>(labels_n, None, tch::Reduction::Mean, -100, 0.0)?.f_add(&penalty)
}

fn uniform(shape: &[i64], fan_in: i64, device: Device) -> Result<Tensor, TchError> {
    let bound = 1.0 / (fan_in as f64).sqrt(); // PyTorch's default for linear layers
    Tensor::f_empty(shape, (Kind::Float, device))?.f_uniform_(-bound, bound)?.f_set_requires_grad(true)
}

impl Linear {
    fn new(d: i64, k: i64, device: Device) -> Result<Self, TchError> {
        Ok(Self { weight_kd: uniform(&[k, d], d, device)?, bias_k: uniform(&[k], d, device)? })
    }
}

impl Mlp {
    fn new(d: i64, k: i64, plan: Plan, device: Device) -> Result<Self, TchError> {
        let h = plan.hidden;
        let float = (Kind::Float, device);
        Ok(Self {
            hidden_hd: uniform(&[h, d], d, device)?,
            norm_weight: Tensor::f_ones([h], float)?.f_set_requires_grad(true)?,
            norm_bias: Tensor::f_zeros([h], float)?.f_set_requires_grad(true)?,
            running_mean: Tensor::f_zeros([h], float)?,
            running_var: Tensor::f_ones([h], float)?,
            batches: Tensor::f_zeros([0i64; 0], (Kind::Int64, device))?,
            weight_kh: uniform(&[k, h], h, device)?,
            bias_k: uniform(&[k], h, device)?,
            dropout: plan.dropout,
        })
    }

    fn logits(&self, x_nd: &Tensor, train: bool) -> Result<Tensor, TchError> {
        let no_bias = None::<&Tensor>;
        let h_nh = x_nd.f_dropout(self.dropout, train)?.f_linear(&self.hidden_hd, no_bias)?;
        if train {
            let _ = self.batches.shallow_clone().f_add_scalar_(1)?;
        }
        let h_nh = h_nh.f_batch_norm(
            Some(&self.norm_weight),
            Some(&self.norm_bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            train,
            BN_MOMENTUM,
            BN_EPS,
            true,
        )?;
        let h_nh = h_nh.f_relu()?.f_dropout(self.dropout, train)?;
        h_nh.f_linear(&self.weight_kh, Some(&self.bias_k))
    }
}
