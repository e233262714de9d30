//! `mmcr`: the centroids of images span as much as they can, which needs views that agree and images that differ.
//!
//! −‖C‖_* + λ·mean_b ‖Z_b‖_*, with C the centroids of each image's normalised views, Z_b an image's normalised views and ‖·‖_*
//! the sum of singular values. The second term is left out where λ is 0, as published for most data.
//!
//! # Source
//! Yerxa, Kuang, Simoncelli, Chung 2023, arXiv:2303.03307, section 2.2.
//!
//! # Shapes
//! B images · D numbers of the projection.

use crate::config::Mmcr;
use infomax_sdk::{
    Facts, LossDescription, Result, Tensor, Terms,
    nn::MlpPlan,
    projected::{OnProjections, terms},
};
use std::ops::Range;

impl OnProjections for Mmcr {
    const NAME: &'static str = "mmcr";

    fn projector(&self, channels: i64) -> MlpPlan {
        MlpPlan::new(channels, self.projector_hidden, self.projector_dim, self.projector_layers)
    }

    fn offers(&self) -> LossDescription {
        if self.image_weight > 0.0 { terms(["centroids", "images"]) } else { terms(["centroids"]) }
    }

    fn loss(&self, views_bd: [&Tensor; 2], _: &Facts, _: Range<i64>) -> Result<Terms> {
        let views_b2d = Tensor::stack(&views_bd.map(|z_bd| z_bd.normalize(-1)), 1);
        let centroids = views_b2d.mean_dim(1, false).linalg_svdvals().sum();
        if self.image_weight == 0.0 {
            return Ok(Terms::sum([("centroids", -1.0, centroids)]));
        }
        let images = views_b2d.linalg_svdvals().sum_dim(-1, false).mean();
        Ok(Terms::sum([("centroids", -1.0, centroids), ("images", self.image_weight, images)]))
    }
}
