//! The loss as the host sees it: which products there are, what they sum to, where their gradients go.
//!
//! Shapes: B images · R source rows · D rkhs · L locations · M = B·L · K sources that share a target.

use super::scores::{Product, Scored};
use crate::config::loss::{Directions, LossConfig, Pair, SourceLocation};
use infomax_sdk::{
    Device, Error, Facts, FeatureMap, Features, Gradients, Kind, Loss, LossDescription, LossInput, Need, Result,
    Source, Tensor, Terms, no_grad,
    representation::{as_rows, two_views},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// Three buffers of so many f32 numbers, a GiB each.
const MOST_SCORES: i64 = 1 << 28;

/// AMDIM's objective (Bachman et al. 2019, section 3, and the published code).
pub struct AmdimLoss {
    config: LossConfig,
    groups: Vec<Group>,
    /// The names of the maps with sides 1, 5 and 7.
    maps: BTreeMap<u32, String>,
    /// Recorded source locations of each view, in place of drawn ones: replays a recorded step.
    replayed: Option<Vec<Vec<i64>>>,
    /// Scores of a product, at most: a larger batch is computed by parts of its rows.
    most_scores: i64,
}

/// Sources that look for the same map of the other view: of one view, or of each.
struct Group {
    source_views: Vec<usize>,
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

    fn create(config: &LossConfig, input: &LossInput, device: Device) -> Result<Self> {
        Self::describe(config, input)?;
        let maps = find_maps(config, input)?;
        Ok(Self {
            groups: groups(config, device),
            config: config.clone(),
            maps,
            replayed: None,
            most_scores: MOST_SCORES,
        })
    }

    fn forward(&self, features: &Features, facts: &Facts, rows: Range<i64>) -> Result<Terms> {
        let scored = |group| Ok((group, self.product(group, features, facts, &rows)?.0.scored()));
        Ok(self.terms(&self.groups.iter().map(scored).collect::<Result<Vec<_>>>()?))
    }

    fn forward_backward(&self, features: &Features, facts: &Facts, rows: Range<i64>) -> Result<Gradients> {
        no_grad(|| {
            let (mut scored, mut sums_md) = (Vec::new(), vec![None; features.items().len()]);
            for group in &self.groups {
                for rows in self.parts(group, features, &rows)? {
                    let (product, places) = self.product(group, features, facts, &rows)?;
                    let (scored_k, sources_krd, target_vmd) = product.with_gradients(self.weight());
                    for (v, target_md) in target_vmd.unbind(0).into_iter().enumerate() {
                        let target = self.position(features, 1 - group.source_views[v], group.target_side)?;
                        add(&mut sums_md[target], target_md);
                    }
                    for (at, (view, pair)) in group.sources().enumerate() {
                        let source = self.position(features, view, pair.sides().0)?;
                        let (map_bchw, sum_md) = (&features.items()[source].tensor, &mut sums_md[source]);
                        places[at].scatter(sum_md, map_bchw, sources_krd.select(0, at as i64));
                    }
                    scored.push((group, scored_k));
                }
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
        self.most_scores = state.get("most_scores").and_then(Value::as_i64).unwrap_or(MOST_SCORES).max(1);
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

    /// Rows cut into the fewest parts of about one size whose scores are few enough.
    fn parts(&self, group: &Group, features: &Features, rows: &Range<i64>) -> Result<Vec<Range<i64>>> {
        let [b, _, h, w] = features.get(1 - group.source_views[0], &self.maps[&group.target_side])?.dims();
        let (count, of_row) = (rows.end - rows.start, group.sources().count() as i64 * b * h * w);
        let parts = ((count * of_row + self.most_scores - 1) / self.most_scores).clamp(1, count.max(1));
        Ok((0..parts).map(|part| rows.start + count * part / parts..rows.start + count * (part + 1) / parts).collect())
    }

    /// A group's sources and targets, and where the sources lie in their maps.
    fn product(
        &self,
        group: &Group,
        features: &Features,
        facts: &Facts,
        rows: &Range<i64>,
    ) -> Result<(Product<'_>, Vec<Places>)> {
        let map = |view, side| features.get(view, &self.maps[&side]);
        let (mut sources_rd, mut places) = (Vec::new(), Vec::new());
        for (view, pair) in group.sources() {
            let map_bchw = map(view, pair.sides().0)?;
            let place = self.places(view, map_bchw, facts, rows)?;
            sources_rd.push(place.gather(map_bchw));
            places.push(place);
        }
        let target = |view: &usize| map(1 - view, group.target_side).map(as_rows);
        let targets_md = group.source_views.iter().map(target).collect::<Result<Vec<_>>>()?;
        let product = Product {
            config: &self.config,
            autocast: facts.dtype,
            sources_krd: Tensor::stack(&sources_rd, 0),
            target_vmd: if let [only] = &targets_md[..] { only.unsqueeze(0) } else { Tensor::stack(&targets_md, 0) },
            images: map(group.source_views[0], group.target_side)?.size_of(0),
            offset: rows.start,
        };
        Ok((product, places))
    }

    /// The places of a view's sources, drawn for the whole batch where the map lies.
    fn places(&self, view: usize, map_bchw: &Tensor, facts: &Facts, rows: &Range<i64>) -> Result<Places> {
        let ([b, _, h, w], device) = (map_bchw.dims(), map_bchw.device());
        if rows.start < 0 || rows.end > b {
            return Err(Error::new(format!("rows {rows:?} of a batch of {b} images")));
        }
        if h * w == 1 || self.config.source_location == SourceLocation::Mean {
            return Ok(Places::All(rows.clone()));
        }
        let location_b = match &self.replayed {
            Some(replayed) => {
                let list = replayed.get(view).filter(|list| list.len() as i64 == b);
                let unfit = || Error::new(format!("replayed locations do not fit a batch of {b}"));
                Tensor::from_slice(list.ok_or_else(unfit)?, [b], device)
            }
            None => facts.key.purpose("source-location").fold(view as u64).fold(h as u64).integers(h * w, b, device),
        };
        let first_r = Tensor::arange(rows.start, rows.end, Kind::I64, device) * (h * w);
        Ok(Places::One(first_r.add_(location_b.narrow(0, rows.start, rows.end - rows.start))))
    }

    /// Sums over directions and parts, the regularisers over pairs too.
    fn terms(&self, scored: &[(&Group, Scored)]) -> Terms {
        let sum = |values: Vec<Tensor>| {
            let sum = values.into_iter().reduce(|sum, value| sum + value).expect("every pair has a group");
            sum * self.weight()
        };
        let losses = |pair: &Pair| {
            let of_group = |(group, scored): &(&Group, Scored)| {
                let own = group.sources().enumerate().filter(|(_, (_, other))| *other == pair);
                own.map(|(at, _)| scored.losses_k.select(0, at as i64)).collect::<Vec<_>>()
            };
            scored.iter().flat_map(of_group).collect()
        };
        let mut terms: Vec<_> = self.config.pairs.iter().map(|pair| (term_name(*pair), sum(losses(pair)))).collect();
        terms.push(("lgt_reg".to_owned(), sum(scored.iter().map(|(_, scored)| scored.regularisers_k.sum()).collect())));
        let values: Vec<&Tensor> = terms.iter().map(|(_, value)| value).collect();
        Terms { total: Tensor::stack(&values, 0).sum(), terms }
    }
}

impl Group {
    /// Views and pairs, in the order of a product's sources.
    fn sources(&self) -> impl Iterator<Item = (usize, &Pair)> {
        self.source_views.iter().flat_map(|&view| self.pairs.iter().map(move |pair| (view, pair)))
    }
}

/// The groups of all directions. On a GPU both directions are one group: half as many operators, each on twice as much. On a CPU
/// each is one, so that scores stay in the cache.
fn groups(config: &LossConfig, device: Device) -> Vec<Group> {
    let source_views = match config.directions {
        Directions::Both if device == Device::Cpu => vec![vec![0], vec![1]],
        Directions::Both => vec![vec![0, 1]],
        Directions::OneToTwo => vec![vec![0]],
        Directions::TwoToOne => vec![vec![1]],
    };
    let group = |source_views: &Vec<usize>, target_side| {
        let pairs = config.pairs.iter().copied().filter(|pair| pair.sides().1 == target_side).collect();
        Group { source_views: source_views.clone(), target_side, pairs }
    };
    let all = source_views.iter().flat_map(|views| [1, 5, 7].map(|side| group(views, side)));
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
    let unfit = |needed: String| {
        Error::config(format!("loss `amdim` needs maps of {needed}, the encoder gives {}", input.given()))
            .hint("choose other `loss.config.pairs`, or an encoder with these maps: ResNets have them with `encoder.config.n_rkhs`")
    };
    if found.len() < sides.len() {
        return Err(unfit(sides.iter().map(|side| format!("{side}×{side}")).collect::<Vec<_>>().join(", ")));
    }
    if found.iter().any(|map| map.channels != found[0].channels) {
        return Err(unfit("equally many channels".to_owned()));
    }
    Ok(sides.into_iter().zip(found.into_iter().map(|map| map.name.clone())).collect())
}

fn term_name(pair: Pair) -> String {
    format!("g2l_{}t{}", pair.sides().0, pair.sides().1)
}

/// Where the source vectors of some rows lie in a map.
enum Places {
    /// At one location of each image: which of the map's B·L, R.
    One(Tensor),
    /// At all locations of these images, of which the mean is taken.
    All(Range<i64>),
}

impl Places {
    /// The vectors, R × D.
    fn gather(&self, map_bchw: &Tensor) -> Tensor {
        let [b, d, h, w] = map_bchw.dims();
        match self {
            Self::One(place_r) => as_rows(map_bchw).index_select(0, place_r),
            Self::All(rows) => {
                let own_rld = as_rows(map_bchw).view([b, h * w, d]).narrow(0, rows.start, rows.end - rows.start);
                if h * w == 1 { own_rld.squeeze(1) } else { own_rld.mean_dim(1, false) }
            }
        }
    }

    /// Adds their gradient to that of the map, B·L × D.
    fn scatter(&self, sum_md: &mut Option<Tensor>, map_bchw: &Tensor, gradient_rd: Tensor) {
        let [b, d, h, w] = map_bchw.dims();
        let (r, count) = (gradient_rd.size_of(0), h * w);
        if count == 1 && r == b {
            return add(sum_md, gradient_rd);
        }
        let sum_md = sum_md.get_or_insert_with(|| Tensor::zeros([b * count, d], gradient_rd.kind(), map_bchw.device()));
        match self {
            Self::One(place_r) => sum_md.index_add_(0, place_r, &gradient_rd),
            Self::All(rows) => {
                let share_rd = if count == 1 { gradient_rd } else { gradient_rd / count as f64 };
                sum_md.view([b, count, d]).narrow(0, rows.start, r).add_(share_rd.unsqueeze(1))
            }
        };
    }
}

/// Adds to a sum, which begins with what comes first.
fn add(sum_md: &mut Option<Tensor>, more_md: Tensor) {
    *sum_md = Some(match sum_md {
        Some(sum_md) => sum_md.add_(more_md),
        None => more_md,
    });
}
