//! The loss as the host sees it: which products there are, what they sum to, where their gradients go.
//!
//! Shapes: B images · R source rows · D rkhs · L locations · M = B·L · K sources that share a target · N places of sources,
//! one or all locations of each row.

use super::scores::{Product, Scored};
use crate::config::loss::{Directions, LossConfig, Pair, SourceLocation};
use infomax_sdk::{
    Device, Error, Facts, FeatureMap, Features, Gradients, Kind, Loss, LossDescription, LossInput, Need, Result,
    Source, Tensor, Terms, no_grad, representation::two_views,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// AMDIM's objective (Bachman et al. 2019, section 3, and the published code).
pub struct AmdimLoss {
    config: LossConfig,
    groups: Vec<Group>,
    /// The names of the maps with sides 1, 5 and 7.
    maps: BTreeMap<u32, String>,
    /// Recorded source locations of each view, in place of drawn ones: replays a recorded step.
    replayed: Option<Vec<Vec<i64>>>,
}

/// Sources of a view that look for the same map of the other.
struct Group {
    source_view: usize,
    target_side: u32,
    pairs: Vec<Pair>,
}

impl Loss for AmdimLoss {
    type Config = LossConfig;

    fn describe(config: &LossConfig, input: &LossInput) -> Result<LossDescription> {
        let maps: Vec<String> = find_maps(config, input)?.into_values().collect();
        two_views("amdim", input)?;
        Ok(LossDescription {
            needs: [0, 1].map(|view| Need { view, source: Source::Encoder, maps: maps.clone() }).into(),
            terms: config.pairs.iter().map(|&pair| term_name(pair)).chain(["lgt_reg".to_owned()]).collect(),
            row_ranges: true,
            forward_backward: true,
            min_batch_size: 2,
            ..LossDescription::default()
        })
    }

    fn create(config: &LossConfig, input: &LossInput, _device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        let maps = find_maps(config, input)?;
        Ok(Self { groups: groups(config), config: config.clone(), maps, replayed: None })
    }

    fn forward(&self, features: &Features, facts: &Facts, rows: Range<i64>) -> Result<Terms> {
        let scored = |group| self.product(group, features, facts, &rows).map(|product| product.scored());
        Ok(self.terms(&self.groups.iter().map(scored).collect::<Result<Vec<_>>>()?))
    }

    fn forward_backward(&self, features: &Features, facts: &Facts, rows: Range<i64>) -> Result<Gradients> {
        no_grad(|| {
            let (mut scored, mut sums_md) = (Vec::new(), vec![None; features.items().len()]);
            for group in &self.groups {
                let product = self.product(group, features, facts, &rows)?;
                let (scored_k, sources_krd, target_md) = product.with_gradients();
                let target = self.position(features, 1 - group.source_view, group.target_side)?;
                sum_of(&mut sums_md, features, target).add_(&target_md * self.weight());
                for (k, pair) in group.pairs.iter().enumerate() {
                    let source = self.position(features, group.source_view, pair.sides().0)?;
                    let sum_md = sum_of(&mut sums_md, features, source);
                    let averaged = self.averaged(pair.sides().0);
                    let gradient_rd = sources_krd.select(0, k as i64) * self.weight() / averaged as f64;
                    let gradient_nd = gradient_rd.to_kind(sum_md.kind()).repeat_interleave(averaged, 0);
                    sum_md.index_add_(0, &product.places_n[k], &gradient_nd);
                }
                scored.push(scored_k);
            }
            let as_maps = sums_md.iter().zip(features.items()).map(|(sum_md, feature)| {
                let [b, d, h, w] = feature.tensor.dims();
                sum_md.as_ref().map(|sum_md| sum_md.view([b, h, w, d]).permute([0, 3, 1, 2]))
            });
            Ok(Gradients { features: as_maps.collect(), terms: self.terms(&scored), parameters: Vec::new() })
        })
    }

    fn save(&self) -> Value {
        self.replayed.as_ref().map_or(Value::Null, |locations| json!({ "source_locations": locations }))
    }

    fn load(&mut self, state: Value) -> Result<()> {
        let locations = state.get("source_locations").cloned().unwrap_or_default();
        let wrong = "`source_locations` must be two lists of numbers";
        self.replayed = serde_json::from_value(locations).map_err(|error| Error::new(wrong).caused_by(&error))?;
        Ok(())
    }
}

impl AmdimLoss {
    /// Of a direction.
    fn weight(&self) -> f64 {
        if self.config.directions == Directions::Both { 0.5 } else { 1.0 }
    }

    fn position(&self, features: &Features, view: usize, side: u32) -> Result<usize> {
        features.position(view, Source::Encoder, &self.maps[&side])
    }

    /// A group's sources and target.
    fn product(&self, group: &Group, features: &Features, facts: &Facts, rows: &Range<i64>) -> Result<Product<'_>> {
        let map = |view, side| self.position(features, view, side).map(|i| &features.items()[i].tensor);
        let target_bchw = map(1 - group.source_view, group.target_side)?;
        let images = target_bchw.size_of(0);
        if rows.start < 0 || rows.end > images {
            return Err(Error::new(format!("rows {rows:?} of a batch of {images} images")));
        }
        let (mut sources_rd, mut places_n) = (Vec::new(), Vec::new());
        for pair in &group.pairs {
            let side = pair.sides().0;
            let map_md = as_rows(map(group.source_view, side)?);
            let places = self.places(side, images, group.source_view, facts, rows)?;
            let index_n = Tensor::from_slice(&places, [places.len() as i64], map_md.device());
            let shape = [rows.end - rows.start, self.averaged(side), map_md.size_of(1)];
            sources_rd.push(map_md.index_select(0, &index_n).view(shape).mean_dim(1, false));
            places_n.push(index_n);
        }
        let (sources_krd, target_md) = (Tensor::stack(&sources_rd, 0), as_rows(target_bchw));
        let (config, autocast, offset) = (&self.config, facts.dtype, rows.start);
        Ok(Product { config, autocast, sources_krd, places_n, target_md, images, offset })
    }

    /// Of how many locations a source is the mean.
    fn averaged(&self, side: u32) -> i64 {
        if self.config.source_location == SourceLocation::Mean { i64::from(side * side) } else { 1 }
    }

    /// Where sources lie in a map: at one location of each image, drawn for the whole batch, or at all.
    fn places(&self, side: u32, images: i64, view: usize, facts: &Facts, rows: &Range<i64>) -> Result<Vec<i64>> {
        let count = i64::from(side * side);
        if self.averaged(side) > 1 {
            return Ok((rows.start * count..rows.end * count).collect());
        }
        let mut rng = facts.key.purpose("source-location").fold(view as u64).fold(u64::from(side)).rng();
        let locations = match &self.replayed {
            Some(replayed) if count > 1 => replayed.get(view).cloned().unwrap_or_default(),
            _ => (0..images).map(|_| rng.below(count as u64) as i64).collect(),
        };
        if locations.len() as i64 != images {
            return Err(Error::new(format!("replayed locations do not fit a batch of {images}")));
        }
        Ok(rows.clone().map(|b| b * count + locations[b as usize]).collect())
    }

    /// Sums over directions, the regularisers over pairs too.
    fn terms(&self, scored: &[Scored]) -> Terms {
        let sum = |values: &mut dyn Iterator<Item = Tensor>| {
            values.map(|value| value * self.weight()).reduce(|sum, value| sum + value).expect("every pair has a group")
        };
        let of_pair = |pair: &Pair| {
            let scores = self.groups.iter().zip(scored).filter_map(|(group, scored)| {
                let k = group.pairs.iter().position(|other| other == pair)?;
                Some(scored.losses_k.select(0, k as i64))
            });
            (term_name(*pair), sum(&mut { scores }))
        };
        let mut terms: Vec<(String, Tensor)> = self.config.pairs.iter().map(of_pair).collect();
        terms.push(("lgt_reg".to_owned(), sum(&mut scored.iter().map(|scored| scored.regularisers_k.sum()))));
        let values: Vec<&Tensor> = terms.iter().map(|(_, value)| value).collect();
        Terms { total: Tensor::stack(&values, 0).sum(), terms }
    }
}

/// The groups of all directions.
fn groups(config: &LossConfig) -> Vec<Group> {
    let source_views = match config.directions {
        Directions::Both => 0..2,
        Directions::OneToTwo => 0..1,
        Directions::TwoToOne => 1..2,
    };
    let group = |source_view, target_side| {
        let pairs = config.pairs.iter().copied().filter(|pair| pair.sides().1 == target_side).collect();
        Group { source_view, target_side, pairs }
    };
    let all = source_views.flat_map(|view| [1, 5, 7].map(|side| group(view, side)));
    all.filter(|group| !group.pairs.is_empty()).collect()
}

/// The maps of the sides that are compared. `r1`, `r5` and `r7` go before others of their side: ResNets have a 1×1 map `pool`
/// beside `r1`, which is not normalised and has a width of its own.
///
/// # Errors
/// Sides without a map, maps of different widths.
fn find_maps(config: &LossConfig, input: &LossInput) -> Result<BTreeMap<u32, String>> {
    let sides: BTreeSet<u32> = config.pairs.iter().flat_map(|pair| <[u32; 2]>::from(pair.sides())).collect();
    let of_side = |side: &u32| {
        let fits = |map: &&FeatureMap| map.height == *side && map.width == *side;
        input.map(&format!("r{side}")).filter(fits).or_else(|| input.maps.iter().find(fits))
    };
    let found: Vec<_> = sides.iter().filter_map(of_side).collect();
    let list = |items: Vec<String>| items.join(", ");
    if found.len() < sides.len() {
        let needed = list(sides.iter().map(|side| format!("{side}×{side}")).collect());
        let given = list(input.maps.iter().map(|map| format!("{}×{}", map.height, map.width)).collect());
        return Err(Error::config(format!("loss `amdim` needs maps of {needed}, the encoder gives {given}"))
            .hint("choose other `loss.config.pairs`, or an encoder with these maps: ResNets have them with `encoder.config.n_rkhs`"));
    }
    if found.iter().any(|map| map.channels != found[0].channels) {
        let given = list(found.iter().map(|map| format!("`{}` has {}", map.name, map.channels)).collect());
        return Err(Error::config(format!("loss `amdim` needs maps of equally many channels: {given}"))
            .hint("choose other `loss.config.pairs`, or an encoder whose maps are equally wide"));
    }
    Ok(sides.into_iter().zip(found.into_iter().map(|map| map.name.clone())).collect())
}

fn term_name(pair: Pair) -> String {
    format!("g2l_{}t{}", pair.sides().0, pair.sides().1)
}

/// B × D × H × W as B·L × D: a view where the map is channels-last in memory.
fn as_rows(map_bchw: &Tensor) -> Tensor {
    map_bchw.permute([0, 2, 3, 1]).reshape([-1, map_bchw.size_of(1)])
}

/// The sum of a feature's gradients, B·L × D, zeros on first use.
fn sum_of<'a>(sums_md: &'a mut [Option<Tensor>], features: &Features, position: usize) -> &'a Tensor {
    let feature_bchw = &features.items()[position].tensor;
    sums_md[position].get_or_insert_with(|| {
        let [b, d, h, w] = feature_bchw.dims();
        let kind = if feature_bchw.kind() == Kind::F64 { Kind::F64 } else { Kind::F32 };
        Tensor::zeros([b * h * w, d], kind, feature_bchw.device())
    })
}
