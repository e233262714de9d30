//! Scaled cosines of both views of some images with all views of the batch: what the contrastive losses share.
//!
//! Shapes: B images · D numbers · S = 2R sources, the rows of view 0 before those of view 1 · N = 2B candidates.

use crate::precision::normalised;
use infomax_sdk::Result;
use std::ops::Range;
use tch::{Kind, Tensor};

/// The similarities of the sources.
pub struct Similarities {
    /// S × N, cosines over the temperature.
    pub scores_sn: Tensor,
    /// S × 1: where a source meets itself.
    pub own_s1: Tensor,
    /// S × 1: where a source meets its image's other view.
    pub partner_s1: Tensor,
    temperature: f64,
    images: i64,
}

impl Similarities {
    /// The similarities of the images in `rows`, for projections of both views, B × D each.
    pub fn new(z_bd: &[Tensor; 2], rows: &Range<i64>, temperature: f64) -> Result<Self> {
        let images = z_bd[0].size()[0];
        let z_nd = normalised(&Tensor::f_cat(z_bd, 0)?)?;
        let at =
            |offset: i64| Tensor::f_arange_start(rows.start + offset, rows.end + offset, (Kind::Int64, z_nd.device()));
        let (first, second) = (at(0)?, at(images)?);
        let own_s = Tensor::f_cat(&[&first, &second], 0)?;
        let partner_s1 = Tensor::f_cat(&[&second, &first], 0)?.f_unsqueeze(1)?;
        let sources_sd = z_nd.f_index_select(0, &own_s)?;
        let scores_sn = sources_sd.f_mm(&z_nd.f_transpose(0, 1)?)?.f_divide_scalar(temperature)?;
        Ok(Self { scores_sn, own_s1: own_s.f_unsqueeze(1)?, partner_s1, temperature, images })
    }

    /// S: the scores of the positives.
    pub fn partners(&self) -> Result<Tensor> {
        Ok(self.scores_sn.f_gather(1, &self.partner_s1, false)?.f_squeeze_dim(1)?)
    }

    /// S: log Σ exp over all candidates but the source itself.
    pub fn log_sum_of_others(&self) -> Result<Tensor> {
        Ok(self.others()?.f_logsumexp(&[1i64][..], false)?)
    }

    /// S: log Σ exp over both views of all other images.
    pub fn log_sum_of_other_images(&self) -> Result<Tensor> {
        let others = self.others()?.f_scatter_value(1, &self.partner_s1, f64::NEG_INFINITY)?;
        Ok(others.f_logsumexp(&[1i64][..], false)?)
    }

    fn others(&self) -> Result<Tensor> {
        Ok(self.scores_sn.f_scatter_value(1, &self.own_s1, f64::NEG_INFINITY)?)
    }

    /// The share of these sources in a mean over all 2B.
    ///
    /// # Shapes
    /// From S to a scalar.
    pub fn share_of_mean(&self, values_s: &Tensor) -> Result<Tensor> {
        Ok(values_s.f_sum(None)?.f_divide_scalar((2 * self.images) as f64)?)
    }

    /// The share in the mean cosine of the positives, for the record.
    pub fn partner_cosine(&self) -> Result<Tensor> {
        self.share_of_mean(&self.partners()?.f_detach()?.f_multiply_scalar(self.temperature)?)
    }
}

/// The name under which [`Similarities::partner_cosine`] is recorded.
pub const PARTNER_COSINE: &str = "partner_cosine";
