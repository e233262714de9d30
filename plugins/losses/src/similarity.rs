//! Scaled cosines of both views of some images with all views of the batch: what the contrastive losses share.
//!
//! Shapes: B images · D numbers · S = 2R sources, the rows of view 0 before those of view 1 · N = 2B candidates.

use infomax_sdk::{Kind, LossDescription, Tensor, Terms};
use std::ops::Range;

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
    /// What a loss on similarities offers: the cosine of the partners as a term, and ranges of rows.
    pub fn offered() -> LossDescription {
        LossDescription { row_ranges: true, ..LossDescription::of_terms([PARTNER_COSINE]) }
    }

    /// The similarities of the images in `rows`, for projections of both views, B × D each.
    #[track_caller]
    pub fn new(z_bd: [&Tensor; 2], rows: &Range<i64>, temperature: f64) -> Self {
        let images = z_bd[0].size_of(0);
        let z_nd = Tensor::cat(&z_bd, 0).normalize(-1);
        let [first, second] =
            [0, images].map(|offset| Tensor::arange(rows.start + offset, rows.end + offset, Kind::I64, z_nd.device()));
        let own_s = Tensor::cat(&[&first, &second], 0);
        Self {
            scores_sn: z_nd.index_select(0, &own_s).mm(&z_nd.t()) / temperature,
            own_s1: own_s.unsqueeze(1),
            partner_s1: Tensor::cat(&[&second, &first], 0).unsqueeze(1),
            temperature,
            images,
        }
    }

    /// S: the scores of the positives.
    pub fn partners(&self) -> Tensor {
        self.scores_sn.gather(1, &self.partner_s1).squeeze(1)
    }

    /// S: log Σ exp over all candidates but the source itself.
    pub fn log_sum_of_others(&self) -> Tensor {
        self.others().logsumexp(1, false)
    }

    /// S: log Σ exp over both views of all other images.
    pub fn log_sum_of_other_images(&self) -> Tensor {
        self.others().scatter_value(1, &self.partner_s1, f64::NEG_INFINITY).logsumexp(1, false)
    }

    fn others(&self) -> Tensor {
        self.scores_sn.scatter_value(1, &self.own_s1, f64::NEG_INFINITY)
    }

    /// These sources' losses, S, as their share in the mean over all 2B; the cosine of the positives for the record.
    pub fn terms(&self, losses_s: &Tensor) -> Terms {
        let cosines_s = self.partners().detach() * self.temperature;
        Terms::new(self.share_of_mean(losses_s)).with(PARTNER_COSINE, self.share_of_mean(&cosines_s))
    }

    fn share_of_mean(&self, values_s: &Tensor) -> Tensor {
        values_s.sum() / (2 * self.images) as f64
    }
}

/// The name under which the mean cosine of the positives is recorded.
pub const PARTNER_COSINE: &str = "partner_cosine";
