//! Prototypes that images are assigned to, and SwAV's codes.
//!
//! Shapes: B images · D numbers of a projection · K prototypes.

use infomax_sdk::{
    Device, Parameter, Tensor, named,
    nn::{init, linear},
    no_grad,
    targets::{Online, Target},
};

/// Unit vectors that images are assigned to.
pub struct Prototypes {
    /// K × D.
    weight: Parameter,
}

named!(Prototypes { weight as "prototypes.weight" });

impl Prototypes {
    /// Fresh prototypes, as PyTorch draws a linear layer, normalised.
    pub fn new(count: i64, size: i64, device: Device) -> Self {
        let mut prototypes = Self { weight: Parameter::new(init::default(&[count, size], device)) };
        prototypes.normalise();
        prototypes
    }

    /// Makes them unit vectors again, in place.
    pub fn normalise(&mut self) {
        no_grad(|| self.weight.copy_(&self.weight.normalize(-1)));
    }

    /// Cosines with each prototype; without a gradient for the prototypes where they are frozen.
    ///
    /// # Shapes
    /// From B × D to B × K.
    #[track_caller]
    pub fn scores(&self, z_bd: &Tensor, frozen: bool) -> Tensor {
        let weight_kd = if frozen { self.weight.detach() } else { self.weight.clone() };
        linear(&z_bd.normalize(-1), &weight_kd, None)
    }
}

/// Codes that use all prototypes equally and sum to 1 for each image, by Sinkhorn and Knopp's algorithm. It runs on
/// logarithms, so that no ε makes a prototype's share vanish.
///
/// # Shapes
/// From scores B × K to codes B × K, without gradient.
///
/// # Source
/// Caron et al. 2020, arXiv:2006.09882, section 3.1 and the pseudocode in appendix A.
#[track_caller]
pub fn codes(scores_bk: &Tensor, epsilon: f64, iterations: u32) -> Tensor {
    no_grad(|| {
        let mut log_bk = scores_bk.detach() / epsilon;
        for _ in 0..iterations {
            log_bk = &log_bk - log_bk.logsumexp(0, true); // the same for each prototype
            log_bk = &log_bk - log_bk.logsumexp(1, true); // the same for each image
        }
        log_bk.exp()
    })
}

/// −Σ_k q_k·log p_k, the mean over the batch and over all pairs of a target, assigned by q, and another view, predicted by p.
///
/// # Shapes
/// B × K for each view and each target.
#[track_caller]
pub fn cross_entropy(views: &[Online], log_p_bk: &[Tensor], targets: &[Target], q_bk: &[Tensor]) -> Tensor {
    let mut losses = Vec::new();
    for (target, q_bk) in targets.iter().zip(q_bk) {
        for (_, log_p_bk) in views.iter().zip(log_p_bk).filter(|(view, _)| view.view != target.view) {
            losses.push(-(q_bk * log_p_bk).sum_dim(1, false).mean());
        }
    }
    Tensor::stack(&losses, 0).mean()
}

/// e to the entropy of the mean assignment: K where all prototypes are used alike, 1 where one takes all.
///
/// # Shapes
/// From assignments B × K.
#[track_caller]
pub fn prototypes_used(assigned_bk: &Tensor) -> Tensor {
    assigned_bk.mean_dim(0, false).special_entr().sum().exp()
}
