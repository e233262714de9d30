//! A loss in a crate of its own: one minus the cosine between the representations of two views.

mod config;

use config::CosineConfig;
use infomax_sdk::{Device, Error, Facts, Features, Loss, LossDescription, LossInput, Need, Result, Source, Terms};
use std::ops::Range;

const EPS: f64 = 1e-8; // PyTorch's `cosine_similarity`

/// The loss.
pub struct Cosine {
    weight: f64,
    map: String,
}

impl Loss for Cosine {
    type Config = CosineConfig;

    fn describe(_: &CosineConfig, input: &LossInput) -> Result<LossDescription> {
        if input.views.len() < 2 {
            return Err(Error::config(format!("`cosine` compares two views, there are {}", input.views.len()))
                .hint("choose an augmentation that makes two"));
        }
        let need = |view| Need { view, source: Source::Encoder, maps: vec![input.representation.clone()] };
        Ok(LossDescription {
            needs: vec![need(0), need(1)],
            terms: vec!["cosine".to_owned()],
            min_batch_size: 1,
            ..LossDescription::default()
        })
    }

    fn create(config: &CosineConfig, input: &LossInput, _: Device) -> Result<Self> {
        Ok(Self { weight: config.weight, map: input.representation.clone() })
    }

    fn forward(&self, features: &Features, _: &Facts, _: Range<i64>) -> Result<Terms> {
        let [one_bd, two_bd] = [features.get(0, &self.map)?.flatten(1, -1), features.get(1, &self.map)?.flatten(1, -1)];
        let cosine = one_bd.cosine_similarity(&two_bd, 1, EPS).mean();
        Ok(Terms::new((1.0 - &cosine) * self.weight).with("cosine", cosine))
    }
}

infomax_sdk::export_plugin! {
    losses: { "cosine" => Cosine },
}
