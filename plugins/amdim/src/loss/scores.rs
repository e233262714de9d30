//! One product of source vectors with every location of a target map: losses, regularisers and, by hand, gradients.
//!
//! raw = ⟨source, target⟩ / √D; score = c·tanh(raw / c); for image b and location l the loss is −log softmax of the
//! positive (b, l) against itself and all locations of all other images; mean over b and l.
//!
//! Shapes: K sources that share a target · R source rows, of images `offset`.. · B images · L locations · D rkhs.

use infomax_sdk::{
    tch::{Kind, TchError, Tensor},
    without_autocast,
};

/// Above this clip the sum of exponentials could overflow f32 without a shift: e^40 · 10^9 scores stay below 10^27.
const LARGEST_CLIP_WITHOUT_SHIFT: f64 = 40.0;

/// How scores are made of products.
#[derive(Clone, Copy, Debug)]
pub struct Scoring {
    /// c; none switches the squashing off.
    pub clip: Option<f64>,
    /// Weight of the mean squared raw score.
    pub regulariser: f64,
    /// Whether products are made in f32 under mixed precision too.
    pub f32_products: bool,
    /// The autocast dtype; f32 without mixed precision.
    pub autocast: Kind,
}

impl Scoring {
    /// Runs products in the autocast dtype, or in f32 where that is asked for.
    fn multiply<T>(&self, products: impl FnOnce() -> T) -> T {
        if self.f32_products { without_autocast(products) } else { products() }
    }
}

/// Sources and the map that they look for.
pub struct Product<'a> {
    /// K × R × D.
    pub sources_krd: &'a Tensor,
    /// B·L × D.
    pub target_md: &'a Tensor,
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

/// A result with the gradients of Σ losses + Σ regularisers.
pub struct ScoredWithGradients {
    pub scored: Scored,
    /// K × R × D.
    pub sources_krd: Tensor,
    /// B·L × D.
    pub target_md: Tensor,
}

impl Product<'_> {
    fn locations(&self) -> i64 {
        self.target_md.size()[0] / self.images
    }

    fn sizes(&self) -> [i64; 4] {
        let size = self.sources_krd.size();
        [size[0], size[1], self.images, self.locations()]
    }

    /// K × R × B × L, in f32.
    fn raw(&self, scoring: &Scoring) -> Result<Tensor, TchError> {
        let d = self.target_md.size()[1];
        let [k, r, ..] = self.sizes();
        let (sources, targets) = if scoring.f32_products {
            (self.sources_krd.f_to_kind(Kind::Float)?, self.target_md.f_to_kind(Kind::Float)?)
        } else {
            (self.sources_krd.shallow_clone(), self.target_md.shallow_clone())
        };
        let product = scoring.multiply(|| sources.f_reshape([k * r, d])?.f_mm(&targets.f_transpose(0, 1)?))?;
        product.f_to_kind(Kind::Float)?.f_multiply_scalar_(1.0 / (d as f64).sqrt())?.f_view(self.sizes())
    }

    /// The positives of a K × R × B × L tensor: K × L × R, a view.
    fn positives(&self, x_krbl: &Tensor) -> Result<Tensor, TchError> {
        x_krbl.f_diagonal(self.offset, 1, 2)
    }

    /// The result by operations that autograd follows.
    pub fn scored(&self, scoring: &Scoring) -> Result<Scored, TchError> {
        let [k, r, b, l] = self.sizes();
        let raw = self.raw(scoring)?;
        let sum_of_squares = raw.f_square()?.f_sum_dim_intlist(&[1i64, 2, 3][..], false, None)?;
        let score = match scoring.clip {
            Some(c) => raw.f_multiply_scalar(1.0 / c)?.f_tanh()?.f_multiply_scalar(c)?,
            None => raw,
        };
        let positive_klr = self.positives(&score)?;
        let own = Tensor::f_eye_m(b, b, (Kind::Bool, score.device()))?.f_narrow(0, self.offset, r)?;
        let negatives = score.f_masked_fill(&own.f_view([1, r, b, 1])?, f64::NEG_INFINITY)?;
        let negative_k1r = negatives.f_view([k, r, b * l])?.f_logsumexp(&[2i64][..], false)?.f_unsqueeze(1)?;
        let loss = positive_klr.f_logaddexp(&negative_k1r)?.f_sub(&positive_klr)?;
        Ok(Scored {
            losses_k: loss.f_sum_dim_intlist(&[1i64, 2][..], false, None)?.f_divide_scalar((b * l) as f64)?,
            regularisers_k: sum_of_squares.f_multiply_scalar(scoring.regulariser / (b * b * l) as f64)?,
        })
    }

    /// The result with gradients by hand: two buffers of K·R·B·L numbers, each passed over as rarely as may be.
    /// Call it without gradient tracking.
    pub fn with_gradients(&self, scoring: &Scoring) -> Result<ScoredWithGradients, TchError> {
        let [k, r, b, l] = self.sizes();
        let count = (b * l) as f64;
        let raw = self.raw(scoring)?;
        let norm_k = raw.f_view([k, -1])?.f_linalg_norm(2.0, &[1i64][..], false, None)?;
        let regularisers_k = norm_k.f_square()?.f_multiply_scalar(scoring.regulariser / (b as f64 * count))?;

        // t = tanh(raw / c), the score is c·t; without a clip the score is raw itself.
        let t = scoring.clip.map(|c| raw.f_multiply_scalar(1.0 / c)?.f_tanh_()).transpose()?;
        let mut exp = match (&t, scoring.clip) {
            (Some(t), Some(c)) => t.f_multiply_scalar(c)?,
            _ => raw.f_alias_copy()?,
        };
        if scoring.clip.is_none_or(|c| c > LARGEST_CLIP_WITHOUT_SHIFT) {
            let _ = exp.f_sub_(&exp.f_amax(&[2i64, 3][..], true)?)?;
        }
        let positive_klr = self.positives(&exp)?.f_alias_copy()?;
        let _ = exp.f_exp_()?;
        let exp_positive_klr = self.positives(&exp)?.f_alias_copy()?;
        let _ = self.positives(&exp)?.f_zero_()?;
        let negative_k1r = exp.f_sum_dim_intlist(&[2i64, 3][..], false, None)?.f_view([k, 1, r])?;
        let both_klr = exp_positive_klr.f_add(&negative_k1r)?;
        let losses_k = both_klr.f_log()?.f_sub(&positive_klr)?.f_sum_dim_intlist(&[1i64, 2][..], false, None)?;

        // d loss / d score: −share/n at a positive; (Σ_l share)/n · e^score / Σ e^score at a negative, with
        // share = Σ e^negatives / (e^positive + Σ e^negatives).
        let share_klr = negative_k1r.f_div(&both_klr)?;
        let inverse_klr = both_klr.f_reciprocal()?;
        let factor_kr = inverse_klr.f_sum_dim_intlist(&[1i64][..], false, None)?.f_divide_scalar(count)?;
        let _ = exp.f_mul_(&factor_kr.f_view([k, r, 1, 1])?)?;
        self.positives(&exp)?.f_copy_(&share_klr.f_multiply_scalar(-1.0 / count)?)?;
        let mut gradient = exp;
        if let Some(mut t) = t {
            // 1 − tanh², in place.
            let _ = t.f_square_()?;
            let _ = gradient.f_addcmul_(&gradient.shallow_clone(), &t.f_neg_()?)?;
        }
        if scoring.regulariser != 0.0 {
            let _ = gradient.f_add_(&raw.f_multiply_scalar(2.0 * scoring.regulariser / (b as f64 * count))?)?;
        }

        let d = self.target_md.size()[1];
        let kind = match scoring.autocast {
            _ if scoring.f32_products => Kind::Float,
            Kind::Float => self.target_md.kind(),
            autocast => autocast,
        };
        // The gradients of most scores lie below the smallest f16, those of positives at 1 / count.
        let raise = if kind == Kind::Half { count } else { 1.0 };
        if raise != 1.0 {
            let _ = gradient.f_multiply_scalar_(raise)?;
        }
        let gradient = gradient.f_view([k * r, b * l])?.f_to_kind(kind)?;
        let scale = 1.0 / ((d as f64).sqrt() * raise);
        let sources = self.sources_krd.f_reshape([k * r, d])?.f_to_kind(kind)?;
        let targets = self.target_md.f_to_kind(kind)?;
        let (sources_krd, target_md) = scoring.multiply(|| {
            let at_least_f32 = |x: Tensor| if x.kind() == Kind::Double { Ok(x) } else { x.f_to_kind(Kind::Float) };
            let of_sources = at_least_f32(gradient.f_mm(&targets)?)?.f_multiply_scalar_(scale)?;
            let of_target = at_least_f32(gradient.f_transpose(0, 1)?.f_mm(&sources)?)?.f_multiply_scalar_(scale)?;
            Ok::<_, TchError>((of_sources.f_view([k, r, d])?, of_target))
        })?;
        Ok(ScoredWithGradients {
            scored: Scored { losses_k: losses_k.f_divide_scalar(count)?, regularisers_k },
            sources_krd,
            target_md,
        })
    }
}
