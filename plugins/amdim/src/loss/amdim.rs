//! The loss as the host sees it: which products there are, what they sum to, where their gradients go.
//!
//! Shapes: B images · R source rows · D rkhs · L locations.

use super::scores::{Product, Scored, Scoring};
use crate::config::loss::{Directions, LossConfig, Pair, SourceLocation};
use infomax_sdk::{
    Device, Error, Facts, FeatureMap, Features, Gradients, Kind, Loss, LossDescription, LossInput, Need, Result,
    Source, Tensor, Terms, no_grad,
};
use serde_json::{Value, json};
use std::ops::Range;

/// AMDIM's objective (Bachman et al. 2019, section 3, and the published code).
pub struct AmdimLoss {
    config: LossConfig,
    /// The names of the maps with sides 1, 5 and 7.
    maps: Vec<(u32, String)>,
    /// Recorded source locations of each view, in place of drawn ones: replays a recorded step.
    replayed: Option<Vec<Vec<i64>>>,
}

/// Sources that look for the same map of the same view.
struct Group {
    source_view: usize,
    target_side: u32,
    pairs: Vec<Pair>,
}

impl Loss for AmdimLoss {
    type Config = LossConfig;

    fn describe(config: &LossConfig, input: &LossInput) -> Result<LossDescription> {
        let maps = find_maps(config, input)?;
        if input.views.len() != 2 {
            let count = input.views.len();
            return Err(Error::config(format!("loss `amdim` compares 2 views, the augmentation makes {count}")));
        }
        let names: Vec<String> = maps.into_iter().map(|(_, name)| name).collect();
        let need = |view| Need { view, source: Source::Encoder, maps: names.clone() };
        Ok(LossDescription {
            needs: vec![need(0), need(1)],
            terms: term_names(config),
            row_ranges: true,
            forward_backward: true,
            min_batch_size: 2,
            ..LossDescription::default()
        })
    }

    fn create(config: &LossConfig, input: &LossInput, _device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        Ok(Self { config: config.clone(), maps: find_maps(config, input)?, replayed: None })
    }

    fn forward(&self, features: &Features, facts: &Facts, rows: Range<i64>) -> Result<Terms> {
        let mut sums = Sums::new(&self.config);
        for group in self.groups() {
            let (sources, target) = self.operands(&group, features, facts, &rows)?;
            let images = target.size_of(0) / i64::from(group.target_side * group.target_side);
            let product = Product { sources_krd: &sources, target_md: &target, images, offset: rows.start };
            sums.add(&group.pairs, product.scored(&self.scoring(facts)));
        }
        Ok(sums.terms())
    }

    fn forward_backward(&self, features: &Features, facts: &Facts, rows: Range<i64>) -> Result<Gradients> {
        no_grad(|| {
            let mut sums = Sums::new(&self.config);
            let mut gradients: Vec<Option<Tensor>> = features.items().iter().map(|_| None).collect();
            for group in self.groups() {
                let (sources, target) = self.operands(&group, features, facts, &rows)?;
                let images = target.size_of(0) / i64::from(group.target_side * group.target_side);
                let product = Product { sources_krd: &sources, target_md: &target, images, offset: rows.start };
                let done = product.with_gradients(&self.scoring(facts));
                sums.add(&group.pairs, done.scored);
                let position = self.position(features, 1 - group.source_view, group.target_side)?;
                accumulate(&mut gradients[position], &features.items()[position].tensor, |sum| {
                    sum.add_(&done.target_md * sums.weight);
                });
                for (k, pair) in group.pairs.iter().enumerate() {
                    let side = pair.sides().0;
                    let position = self.position(features, group.source_view, side)?;
                    let gradient = done.sources_krd.select(0, k as i64) * sums.weight;
                    let feature = &features.items()[position].tensor;
                    let location_b = self.locations(side, feature, group.source_view, facts)?;
                    accumulate(&mut gradients[position], feature, |sum| {
                        scatter(sum, &gradient, &rows, i64::from(side * side), location_b.as_ref());
                    });
                }
            }
            let features = gradients
                .into_iter()
                .zip(features.items())
                .map(|(gradient, feature)| gradient.map(|rows| as_map(&rows, &feature.tensor)));
            Ok(Gradients { features: features.collect(), terms: sums.terms(), parameters: Vec::new() })
        })
    }

    fn save(&self) -> Value {
        match &self.replayed {
            Some(locations) => json!({ "source_locations": locations }),
            None => Value::Null,
        }
    }

    fn load(&mut self, state: Value) -> Result<()> {
        let locations = state.get("source_locations").filter(|value| !value.is_null());
        let read = |value: &Value| serde_json::from_value(value.clone());
        self.replayed = locations
            .map(read)
            .transpose()
            .map_err(|error| Error::new("`source_locations` must be two lists of numbers").caused_by(&error))?;
        Ok(())
    }
}

impl AmdimLoss {
    fn scoring(&self, facts: &Facts) -> Scoring {
        Scoring {
            clip: self.config.clip.then_some(self.config.tclip),
            regulariser: self.config.regulariser,
            f32_products: self.config.f32_products,
            autocast: facts.dtype,
        }
    }

    fn groups(&self) -> Vec<Group> {
        let views: &[usize] = match self.config.directions {
            Directions::Both => &[0, 1],
            Directions::OneToTwo => &[0],
            Directions::TwoToOne => &[1],
        };
        let mut groups = Vec::new();
        for &source_view in views {
            for target_side in [1, 5, 7] {
                let aims = |pair: &&Pair| pair.sides().1 == target_side;
                let pairs: Vec<Pair> = self.config.pairs.iter().filter(aims).copied().collect();
                if !pairs.is_empty() {
                    groups.push(Group { source_view, target_side, pairs });
                }
            }
        }
        groups
    }

    fn position(&self, features: &Features, view: usize, side: u32) -> Result<usize> {
        let name = self.maps.iter().find(|(s, _)| *s == side).map(|(_, name)| name.as_str()).unwrap_or_default();
        features.position(view, Source::Encoder, name)
    }

    /// The sources of a group, K × R × D, and its target, B·L × D.
    fn operands(
        &self,
        group: &Group,
        features: &Features,
        facts: &Facts,
        rows: &Range<i64>,
    ) -> Result<(Tensor, Tensor)> {
        let map = |view, side| self.position(features, view, side).map(|i| &features.items()[i].tensor);
        let mut sources = Vec::new();
        for pair in &group.pairs {
            let side = pair.sides().0;
            let map_bchw = map(group.source_view, side)?;
            let images = map_bchw.size_of(0);
            if rows.start < 0 || rows.end > images {
                return Err(Error::new(format!("rows {rows:?} of a batch of {images} images")));
            }
            let location_b = self.locations(side, map_bchw, group.source_view, facts)?;
            sources.push(gather(map_bchw, rows, location_b.as_ref()));
        }
        let target = as_rows(map(1 - group.source_view, group.target_side)?);
        Ok((Tensor::stack(&sources, 0), target))
    }

    /// One location per image of the global batch, drawn where the map lies; none where the mean over locations is the source.
    fn locations(&self, side: u32, map_bchw: &Tensor, view: usize, facts: &Facts) -> Result<Option<Tensor>> {
        let (count, images, device) = (i64::from(side * side), map_bchw.size_of(0), map_bchw.device());
        if count == 1 || self.config.source_location == SourceLocation::Mean {
            return Ok(None);
        }
        if let Some(replayed) = &self.replayed {
            let list = replayed.get(view).filter(|list| list.len() as i64 == images);
            let list = list.ok_or_else(|| Error::new(format!("replayed locations do not fit a batch of {images}")))?;
            return Ok(Some(Tensor::from_slice(list, [images], device)));
        }
        let key = facts.key.purpose("source-location").fold(view as u64).fold(u64::from(side));
        Ok(Some(key.integers(count, images, device)))
    }
}

/// The maps of the sides that are compared. `r1`, `r5` and `r7` go before others of their side: ResNets have a 1×1 map `pool`
/// beside `r1`, which is not normalised and has a width of its own.
///
/// # Errors
/// Sides without a map, maps of different widths.
fn find_maps(config: &LossConfig, input: &LossInput) -> Result<Vec<(u32, String)>> {
    let mut sides: Vec<u32> = config.pairs.iter().flat_map(|pair| [pair.sides().0, pair.sides().1]).collect();
    sides.sort_unstable();
    sides.dedup();
    let of_side = |side: u32| {
        let fits = |map: &&FeatureMap| map.height == side && map.width == side;
        input.map(&format!("r{side}")).filter(fits).or_else(|| input.maps.iter().find(fits))
    };
    let found: Vec<_> = sides.iter().filter_map(|&side| of_side(side)).collect();
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

fn term_names(config: &LossConfig) -> Vec<String> {
    config.pairs.iter().map(|&pair| term_name(pair)).chain(["lgt_reg".to_owned()]).collect()
}

/// Sums over directions and pairs.
struct Sums {
    names: Vec<String>,
    values: Vec<Option<Tensor>>,
    /// Of a direction.
    weight: f64,
}

impl Sums {
    fn new(config: &LossConfig) -> Self {
        let names = term_names(config);
        let weight = if config.directions == Directions::Both { 0.5 } else { 1.0 };
        Self { values: names.iter().map(|_| None).collect(), names, weight }
    }

    fn add(&mut self, pairs: &[Pair], scored: Scored) {
        for (k, &pair) in pairs.iter().enumerate() {
            self.add_one(&term_name(pair), scored.losses_k.select(0, k as i64));
        }
        self.add_one("lgt_reg", scored.regularisers_k.sum());
    }

    fn add_one(&mut self, name: &str, value: Tensor) {
        let value = value * self.weight;
        let at = self.names.iter().position(|n| n == name).expect("every pair has a term");
        self.values[at] = Some(match self.values[at].take() {
            Some(sum) => sum + value,
            None => value,
        });
    }

    fn terms(self) -> Terms {
        let values: Vec<Tensor> = self.values.into_iter().map(|v| v.expect("every pair was scored")).collect();
        Terms { total: Tensor::stack(&values, 0).sum(), terms: self.names.into_iter().zip(values).collect() }
    }
}

/// B × D × H × W as B·L × D: a view where the map is channels-last in memory.
fn as_rows(map_bchw: &Tensor) -> Tensor {
    map_bchw.permute([0, 2, 3, 1]).reshape([-1, map_bchw.size_of(1)])
}

/// B·L × D as B × D × H × W, a view.
fn as_map(rows_md: &Tensor, like_bchw: &Tensor) -> Tensor {
    let [b, d, h, w] = like_bchw.dims();
    rows_md.view([b, h, w, d]).permute([0, 3, 1, 2])
}

/// The source vectors of some rows, R × D: one location each, or the mean.
fn gather(map_bchw: &Tensor, rows: &Range<i64>, location_b: Option<&Tensor>) -> Tensor {
    let [b, d, h, w] = map_bchw.dims();
    let rows_md = as_rows(map_bchw);
    match location_b {
        Some(location_b) => rows_md.index_select(0, &flat_index(rows, location_b, h * w)),
        None => {
            let own_rld = rows_md.view([b, h * w, d]).narrow(0, rows.start, rows.end - rows.start);
            if h * w == 1 { own_rld.squeeze(1) } else { own_rld.mean_dim(1, false) }
        }
    }
}

/// Adds the gradient of [`gather`] to a sum of B·L × D.
fn scatter(sum: &Tensor, gradient_rd: &Tensor, rows: &Range<i64>, per_image: i64, location_b: Option<&Tensor>) {
    let [r, d] = gradient_rd.dims();
    let gradient_rd = gradient_rd.to_kind(sum.kind());
    match location_b {
        Some(location_b) => {
            sum.index_add_(0, &flat_index(rows, location_b, per_image), &gradient_rd);
        }
        None => {
            let share = if per_image == 1 { gradient_rd } else { gradient_rd / per_image as f64 };
            sum.view([-1, per_image, d]).narrow(0, rows.start, r).add_(share.view([r, 1, d]));
        }
    }
}

/// The rows of B·L that hold these locations.
fn flat_index(rows: &Range<i64>, location_b: &Tensor, per_image: i64) -> Tensor {
    let start_r = Tensor::arange(rows.start, rows.end, Kind::I64, location_b.device()) * per_image;
    start_r.add_(location_b.narrow(0, rows.start, rows.end - rows.start))
}

/// Runs `add` on a feature's gradient, B·L × D, made on first use.
fn accumulate(sum: &mut Option<Tensor>, feature_bchw: &Tensor, add: impl FnOnce(&Tensor)) {
    add(sum.get_or_insert_with(|| {
        let [b, d, h, w] = feature_bchw.dims();
        let kind = if feature_bchw.kind() == Kind::F64 { Kind::F64 } else { Kind::F32 };
        Tensor::zeros([b * h * w, d], kind, feature_bchw.device())
    }));
}
