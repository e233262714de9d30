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
    Representation, Result, Source, Tensor, Terms, named, projected::terms,
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
    fn embedding(&self, channels: i64, layer_norm: bool) -> EmbeddingPlan {
        EmbeddingPlan { channels, hidden: self.embedding_hidden, dim: self.embedding_dim, layer_norm }
    }

    /// The representation and the map of local features, with the plan of each embedding.
    fn plan<'a>(&self, input: &'a LossInput) -> Result<(Representation, &'a FeatureMap, [EmbeddingPlan; 2])> {
        let (representation, local) = (Representation::new(input)?, self.local_map(input)?);
        let global = self.embedding(representation.channels(), false);
        Ok((representation, local, [global, self.embedding(i64::from(local.channels), self.layer_norm)]))
    }

    /// The map that is named, or the one of the fewest locations.
    fn local_map<'a>(&self, input: &'a LossInput) -> Result<&'a FeatureMap> {
        let locations = |map: &&FeatureMap| u64::from(map.height) * u64::from(map.width);
        let mut local = input.maps.iter().filter(|map| locations(map) > 1);
        let found = if self.local_map.is_empty() {
            local.min_by_key(locations)
        } else {
            local.find(|map| map.name == self.local_map)
        };
        found.ok_or_else(|| {
            let list = input.maps.iter().map(|map| format!("`{}` ({}×{})", map.name, map.height, map.width));
            let given = list.collect::<Vec<_>>().join(", ");
            if self.local_map.is_empty() {
                let wrong = "loss `local-dim` needs a map of more than one location";
                return Error::config(format!("{wrong}, the encoder gives {given}"))
                    .hint("choose an encoder that gives local maps: ResNets do with `encoder.config.n_rkhs`");
            }
            let wrong = format!("`local_map` = `{}` is no map of more than one location", self.local_map);
            Error::config(format!("{wrong}, the encoder gives {given}"))
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
            ..terms(["positive", "negative"])
        })
    }

    fn create(config: &LocalDim, input: &LossInput, device: Device) -> Result<Self> {
        let (representation, local, plans) = config.plan(input)?;
        let [global, local_embedding] = plans.map(|plan| Embedding::new(&plan, device));
        Ok(Self {
            estimator: config.estimator,
            views: input.views.len(),
            representation,
            local_map: local.name.clone(),
            global,
            local: local_embedding,
        })
    }

    fn forward(&self, features: &Features, _: &Facts, _: Range<i64>) -> Result<Terms> {
        let (mut positives, mut negatives) = (Vec::new(), Vec::new());
        for view in 0..self.views {
            let (positive, negative) = self.estimate(&self.scores(features, view)?);
            positives.push(positive);
            negatives.push(negative);
        }
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
        let [b, c, h, w] = map_bchw.dims();
        let local_nd = self.local.forward(&map_bchw.permute([0, 2, 3, 1]).reshape([b * h * w, c]));
        Ok(global_bd.mm(&local_nd.t()).view([b, b, h * w]).at_least_f32())
    }

    /// E_positive and E_negative.
    fn estimate(&self, scores_bbl: &Tensor) -> (Tensor, Tensor) {
        let [b, _, l] = scores_bbl.dims();
        let own_bb1 = Tensor::eye(b, b, Kind::Bool, scores_bbl.device()).unsqueeze(2);
        let positive_lb = scores_bbl.diagonal(0, 0, 1);
        let pairs = (b * (b - 1) * l) as f64;
        match self.estimator {
            Estimator::Nce => {
                let others_b = scores_bbl.masked_fill(&own_bb1, f64::NEG_INFINITY).logsumexp([1, 2], false);
                (positive_lb.mean(), positive_lb.logaddexp(&others_b).mean())
            }
            Estimator::Jsd => {
                let positive_lb = -(-positive_lb).softplus() + LN_2;
                let others_bbl = scores_bbl.softplus().masked_fill(&own_bb1, 0.0);
                (positive_lb.mean(), others_bbl.sum() / pairs - LN_2)
            }
            Estimator::Dv => {
                let others_bbl = scores_bbl.masked_fill(&own_bb1, f64::NEG_INFINITY);
                (positive_lb.mean(), others_bbl.logsumexp([0, 1, 2], false) - pairs.ln())
            }
        }
    }
}
