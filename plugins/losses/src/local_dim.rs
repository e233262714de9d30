//! `local-dim`: an image's global feature must know its local features, view by view, among those of other images.
//!
//! u(b, j, l) = ⟨global embedding of image b, embedding of location l of image j⟩. The loss is E_negative − E_positive:
//! - NCE: mean of log(e^u(b,b,l) + Σ_{j ≠ b, l′} e^u(b,j,l′)), minus the mean of u(b,b,l);
//! - JSD: mean of softplus(u) − log 2 over j ≠ b, minus the mean of log 2 − softplus(−u) over j = b;
//! - DV: log of the mean of e^u over j ≠ b, minus the mean of u over j = b.
//!
//! The mean over views is taken; nothing is compared across views.
//!
//! # Source
//! Hjelm et al. 2019, arXiv:1808.06670, section 3 and the encode-and-dot-product architecture of the appendix.
//!
//! # Shapes
//! B images · C channels · L locations · D numbers of an embedding.

use crate::{
    config::{LocalDim, local_dim::Estimator},
    embedding::{Embedding, EmbeddingPlan},
};
use infomax_sdk::{
    Device, Error, Facts, FeatureMap, Features, Kind, Loss, LossDescription, LossInput, Module, NamedTensor, Need,
    Representation, Result, Source, Tensor, Terms, named, representation::as_rows,
};
use std::{f64::consts::LN_2, ops::Range};

/// Deep InfoMax's local objective.
pub struct LocalDimLoss {
    estimator: Estimator,
    views: usize,
    representation: Representation,
    local_map: String,
    global: Embedding,
    local: Embedding,
}

named!(LocalDimLoss { global as "global_embedding", local as "local_embedding" });

impl LocalDim {
    /// The representation and the map of local features, with the plan of each embedding.
    fn plan<'a>(&self, input: &'a LossInput) -> Result<(Representation, &'a FeatureMap, [EmbeddingPlan; 2])> {
        let (representation, local) = (Representation::new(input)?, self.local_map(input)?);
        let of = [(representation.channels(), false), (i64::from(local.channels), self.layer_norm)];
        let (hidden, dim) = (self.embedding_hidden, self.embedding_dim);
        let plans = of.map(|(channels, layer_norm)| EmbeddingPlan { channels, hidden, dim, layer_norm });
        Ok((representation, local, plans))
    }

    /// The map that is named, or the one of the fewest locations.
    fn local_map<'a>(&self, input: &'a LossInput) -> Result<&'a FeatureMap> {
        let locations = |map: &&FeatureMap| u64::from(map.height) * u64::from(map.width);
        let asked = |map: &&FeatureMap| self.local_map.is_empty() || map.name == self.local_map;
        let found = input.maps.iter().filter(|map| locations(map) > 1 && asked(map)).min_by_key(locations);
        found.ok_or_else(|| {
            let needed = format!("map of more than one location, the encoder gives {}", input.given());
            if self.local_map.is_empty() {
                return Error::config(format!("loss `local-dim` needs a {needed}"))
                    .hint("choose an encoder that gives local maps: ResNets do with `encoder.config.n_rkhs`");
            }
            Error::config(format!("`local_map` = `{}` is no {needed}", self.local_map))
                .hint("name one of these in `loss.config.local_map`, or leave it empty")
        })
    }
}

impl Loss for LocalDimLoss {
    type Config = LocalDim;

    fn describe(config: &LocalDim, input: &LossInput) -> Result<LossDescription> {
        let (representation, local, plans) = config.plan(input)?;
        let mut need = representation.need(0, Source::Encoder);
        need.maps.extend(Some(local.name.clone()).filter(|name| !need.maps.contains(name)));
        Ok(LossDescription {
            needs: (0..input.views.len()).map(|view| Need { view, ..need.clone() }).collect(),
            parameter_count: plans.iter().map(EmbeddingPlan::parameter_count).sum(),
            min_batch_size: 2,
            ..LossDescription::of_terms(["positive", "negative"])
        })
    }

    fn create(config: &LocalDim, input: &LossInput, device: Device) -> Result<Self> {
        let (representation, map, plans) = config.plan(input)?;
        let [global, local] = plans.map(|plan| Embedding::new(&plan, device));
        let (estimator, views, local_map) = (config.estimator, input.views.len(), map.name.clone());
        Ok(Self { estimator, views, representation, local_map, global, local })
    }

    fn forward(&self, features: &Features, _: &Facts, _: Range<i64>) -> Result<Terms> {
        let estimate = |view| self.scores(features, view).map(|scores_bbl| self.estimate(&scores_bbl));
        let (positives, negatives): (Vec<_>, Vec<_>) =
            (0..self.views).map(estimate).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let [positive, negative] = [positives, negatives].map(|list| Tensor::stack(&list, 0).mean());
        Ok(Terms::new(&negative - &positive).with("positive", positive).with("negative", negative))
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.tensors_below("")
    }
}

impl LocalDimLoss {
    /// u of a view, B × B × L.
    fn scores(&self, features: &Features, view: usize) -> Result<Tensor> {
        let global_bd = self.global.forward(&self.representation.of(features, view)?);
        let map_bchw = features.get(view, &self.local_map)?.at_least_f32();
        let local_nd = self.local.forward(&as_rows(&map_bchw));
        let b = global_bd.size_of(0);
        Ok(global_bd.mm(&local_nd.t()).view([b, b, -1]).at_least_f32())
    }

    /// E_positive and E_negative.
    fn estimate(&self, scores_bbl: &Tensor) -> (Tensor, Tensor) {
        let [b, _, l] = scores_bbl.dims();
        let pairs = (b * (b - 1) * l) as f64;
        let own_bb1 = Tensor::eye(b, b, Kind::Bool, scores_bbl.device()).unsqueeze(2);
        let others_bbl = scores_bbl.masked_fill(&own_bb1, f64::NEG_INFINITY);
        let own_lb = scores_bbl.diagonal(0, 0, 1);
        match self.estimator {
            Estimator::Nce => (own_lb.mean(), own_lb.logaddexp(&others_bbl.logsumexp([1, 2], false)).mean()),
            Estimator::Jsd => ((-(-own_lb).softplus() + LN_2).mean(), others_bbl.softplus().sum() / pairs - LN_2),
            Estimator::Dv => (own_lb.mean(), others_bbl.logsumexp([0, 1, 2], false) - pairs.ln()),
        }
    }
}
