//! One product of source vectors with every location of a target map: losses, regularisers and, by hand, gradients.
//!
//! raw = ⟨source, target⟩ / √D; score = c·tanh(raw / c); for image b and location l the loss is −log softmax of the
//! positive (b, l) against itself and all locations of all other images; mean over b and l.
//!
//! Shapes: V directions · K sources that share a target · R source rows, of images `offset`.. · B images · L locations · D rkhs.

use crate::config::loss::LossConfig;
use infomax_sdk::{Kind, Tensor, without_autocast};

/// Above this clip the sum of exponentials could overflow f32 without a shift: e^40 · 10^9 scores stay below 10^27.
const LARGEST_CLIP_WITHOUT_SHIFT: f64 = 40.0;

/// Sources and the map that they look for.
pub struct Product<'a> {
    /// How scores are made of products.
    pub config: &'a LossConfig,
    /// The autocast dtype; f32 without mixed precision.
    pub autocast: Kind,
    /// V·K × R × D.
    pub sources_krd: Tensor,
    /// V × B·L × D.
    pub target_vmd: Tensor,
    /// B.
    pub images: i64,
    /// The image of the first source row.
    pub offset: i64,
}

/// The result for each of the K sources, summed over rows and divided by the whole batch's count.
pub struct Scored {
    /// K.
    pub losses_k: Tensor,
    /// K.
    pub regularisers_k: Tensor,
}

impl Product<'_> {
    /// Of the scores: V·K, R, B, L.
    fn sizes(&self) -> [i64; 4] {
        let [k, r, _] = self.sources_krd.dims();
        [k, r, self.images, self.target_vmd.size_of(1) / self.images]
    }

    /// Sources over √D, V × K·R × D, and targets, in the kind in which they are multiplied.
    fn operands(&self) -> [Tensor; 2] {
        let [v, _, d] = self.target_vmd.dims();
        let kind = match self.autocast {
            _ if self.config.f32_products => Kind::F32,
            Kind::F32 => self.target_vmd.kind(),
            autocast => autocast,
        };
        let sources_vnd = self.sources_krd.reshape([v, -1, d]) * (1.0 / (d as f64).sqrt());
        [sources_vnd.to_kind(kind), self.target_vmd.to_kind(kind)]
    }

    /// V·K × R × B × L, in f32.
    fn raw(&self, [sources_vnd, target_vmd]: &[Tensor; 2]) -> Tensor {
        product(sources_vnd, &target_vmd.transpose(1, 2)).to_kind(Kind::F32).view(self.sizes())
    }

    /// The positives of a K × R × B × L tensor: K × L × R, a view.
    fn positives(&self, x_krbl: &Tensor) -> Tensor {
        x_krbl.diagonal(self.offset, 1, 2)
    }

    /// The result by operations that autograd follows.
    pub fn scored(&self) -> Scored {
        let [k, r, b, l] = self.sizes();
        let raw = self.raw(&self.operands());
        let sum_of_squares = raw.square().sum_dim([1, 2, 3], false);
        let c = self.config.tclip;
        let score = if self.config.clip { (raw * (1.0 / c)).tanh() * c } else { raw };
        let positive_klr = self.positives(&score);
        let own = Tensor::eye(b, b, Kind::Bool, score.device()).narrow(0, self.offset, r);
        let negatives = score.masked_fill(&own.view([1, r, b, 1]), f64::NEG_INFINITY);
        let negative_k1r = negatives.view([k, r, b * l]).logsumexp(2, false).unsqueeze(1);
        let loss = positive_klr.logaddexp(&negative_k1r) - positive_klr;
        Scored {
            losses_k: loss.sum_dim([1, 2], false) / (b * l) as f64,
            regularisers_k: sum_of_squares * (self.config.regulariser / (b * b * l) as f64),
        }
    }

    /// The result by hand, with the gradients of weight · (Σ losses + Σ regularisers) for sources, V·K × R × D, and targets,
    /// V × B·L × D: three buffers of V·K·R·B·L numbers, each passed over as rarely as may be. Call it without gradient tracking.
    pub fn with_gradients(&self, weight: f64) -> (Scored, Tensor, Tensor) {
        let [k, r, b, l] = self.sizes();
        let count = (b * l) as f64;
        let operands = self.operands();
        let raw = self.raw(&operands);
        let norm_k = raw.view([k, -1]).linalg_norm(2.0, 1, false);
        let regularisers_k = norm_k.square() * (self.config.regulariser / (b as f64 * count));

        // t = tanh(raw / c), the score is c·t; without a clip the score is raw itself.
        let c = self.config.tclip;
        let t = self.config.clip.then(|| (&raw * (1.0 / c)).tanh_());
        let exp = t.as_ref().map_or_else(|| raw.alias_copy(), |t| t * c);
        if t.is_none() || c > LARGEST_CLIP_WITHOUT_SHIFT {
            exp.sub_(exp.amax([2, 3], true));
        }
        let positive_klr = self.positives(&exp).alias_copy();
        exp.exp_();
        let exp_positive_klr = self.positives(&exp).alias_copy();
        self.positives(&exp).zero_();
        let negative_k1r = exp.sum_dim([2, 3], false).view([k, 1, r]);
        let both_klr = exp_positive_klr + &negative_k1r;
        let losses_k = (both_klr.log() - positive_klr).sum_dim([1, 2], false) / count;

        // d loss / d score: −share/n at a positive; (Σ_l share)/n · e^score / Σ e^score at a negative, with
        // share = Σ e^negatives / (e^positive + Σ e^negatives).
        let share_klr = negative_k1r / &both_klr;
        let factor_kr = both_klr.reciprocal().sum_dim(1, false) * (weight / count);
        let gradient = exp.mul_(factor_kr.view([k, r, 1, 1]));
        self.positives(&gradient).copy_(&(share_klr * (-weight / count)));
        if let Some(t) = t {
            // 1 − tanh², in place.
            gradient.addcmul_value_(&gradient, &t.square_(), -1.0);
        }
        if self.config.regulariser != 0.0 {
            gradient.add_alpha_(&raw, 2.0 * weight * self.config.regulariser / (b as f64 * count));
        }

        let [sources_vnd, target_vmd] = operands;
        let [v, _, d] = target_vmd.dims();
        // The gradients of most scores lie below the smallest f16, those of positives at 1 / count.
        let raise = if target_vmd.kind() == Kind::F16 { count } else { 1.0 };
        if raise != 1.0 {
            gradient.mul_(raise);
        }
        let gradient_vnm = gradient.view([v, -1, b * l]).to_kind(target_vmd.kind());
        let of_sources = product(&gradient_vnm, &target_vmd).at_least_f32().mul_(1.0 / ((d as f64).sqrt() * raise));
        let of_target = product(&gradient_vnm.transpose(1, 2), &sources_vnd).at_least_f32();
        let of_target = if raise == 1.0 { of_target } else { of_target.mul_(1.0 / raise) };
        (Scored { losses_k, regularisers_k }, of_sources.view(self.sources_krd.size()), of_target)
    }
}

/// V × N × D by V × D × M, in the operands' kind.
fn product(one_vnd: &Tensor, two_vdm: &Tensor) -> Tensor {
    without_autocast(|| match one_vnd.size_of(0) {
        1 => one_vnd.squeeze(0).mm(&two_vdm.squeeze(0)).unsqueeze(0),
        _ => one_vnd.bmm(two_vdm),
    })
}
