//! The objective alone: values and gradients of features of noise, of the whole batch and of the rows that one of several ranks has.
//!
//! In: a loss, batches, and the channels of the encoder's maps. Out: a [`Row`] a batch and a number of ranks, with the seconds that one
//! rank takes and the memory beside its features; a batch whose features would not fit is told and left out.

use super::{
    is_out_of_memory,
    rounds::Repetitions,
    row::{Held, OWN, Row},
};
use crate::{
    error::{Error, Result},
    loss::ForeignLoss,
    native::memory::{free_bytes, let_freed_memory_go},
    plugin::{Component, Kind, LoadComponent, Registry},
    tensor::{Facts, Feature, Features},
    train::device_name,
};
use infomax_sdk::{EncoderInput, FeatureMap, Key, LossInput, Source, View, requests::Request};
use std::{
    ops::Range,
    time::{Duration, Instant},
};
use tch::{Device, Kind as Dtype, Tensor};

/// The batches of the published 128-px run, and of one on many GPUs.
pub const BATCHES: [u64; 2] = [480, 4096];
const RANKS: [u64; 4] = [1, 2, 4, 8];
/// Of published AMDIM encoders: name and side.
const MAPS: [(&str, u32); 3] = [("r1", 1), ("r5", 5), ("r7", 7)];
const CLASSES: u64 = 10;
/// What a batch takes at least, in the memory of its features: gradients, and what the loss keeps, want as much again.
const SHARE: u64 = 4;
/// A batch that shows what a larger one may take, where none was measured.
const PROBE: u64 = 512;
/// The first pass counts alone where it takes this much longer than is enough; memory that is new is slower than memory that is kept.
const LONG: u32 = 10;

/// Measures a loss.
///
/// # Errors
/// A loss that is not found, what it says, and libtorch's messages.
pub fn rows(
    registry: &Registry,
    device: Device,
    name: &str,
    channels: u32,
    batches: &[u64],
    enough: Duration,
    tell: &mut dyn FnMut(Row),
) -> Result<()> {
    let (library, name) = registry.load(Kind::Loss, name, None)?;
    let component = Component::new(library, Kind::Loss, name);
    let mut known = Needs::default();
    for &batch in batches {
        if batch > 2 * PROBE && known.batch < PROBE {
            one_batch(&component, device, channels, PROBE, Duration::ZERO, &mut known, &mut |_| ())?;
        }
        one_batch(&component, device, channels, batch, enough, &mut known, tell)?;
    }
    Ok(())
}

/// What a rank of a batch took, which says what more will take: memory grows with the square of a batch at most, as that of scores of
/// all against all does, and with a rank's rows at most.
#[derive(Default)]
struct Needs {
    batch: u64,
    /// Of the most ranks, for the next batch.
    bytes: u64,
}

fn one_batch(
    component: &Component,
    device: Device,
    channels: u32,
    batch: u64,
    enough: Duration,
    known: &mut Needs,
    tell: &mut dyn FnMut(Row),
) -> Result<()> {
    let mut bench = Bench::new(component, device, channels, batch as i64)?;
    let row = |ranks: u64| {
        let what = format!("{}, maps of {channels}, batch {batch}, {}", component.name, of_ranks(ranks));
        Row { part: "loss", what, by: OWN.to_owned(), ..Row::default() }
    };
    let_freed_memory_go();
    let free = free_bytes(device).unwrap_or(u64::MAX);
    let by_rows = bench.loss.description().row_ranges;
    // The least first: what it has freed is not given back, and would hide the next one's need.
    let ranks: Vec<u64> = RANKS.into_iter().rev().filter(|&ranks| ranks == 1 || (by_rows && ranks <= batch)).collect();
    let growth = (batch as f64 / known.batch.max(1) as f64).powi(2).max(1.0);
    let mut expected = SHARE * bench.feature_bytes();
    if known.batch > 0 {
        expected = expected.max((known.bytes as f64 * growth) as u64);
    }
    if expected > free {
        let note = |mib: u64| format!("left out: may take {mib} MiB of the {} that are free", free >> 20);
        tell(Row { note: Some(note(expected >> 20)), ..row(ranks[0]) });
        return Ok(());
    }
    let features = bench.features()?;
    bench.loss.before_step(&bench.facts)?;
    let held = Held::now(device)?;
    let mut before: Option<(u64, u64)> = None;
    for &number in &ranks {
        // From one number of ranks to half of it, as far as the last two say.
        if let Some((last, rise)) = before
            && last + rise > free
        {
            let note = format!("left out: may take {} MiB of the {} that are free", (last + rise) >> 20, free >> 20);
            tell(Row { note: Some(note), ..row(number) });
            break;
        }
        match bench.measured(&features, 0..(batch / number) as i64, &held, enough) {
            Ok((seconds, bytes)) => {
                if let Some(bytes) = bytes {
                    if number == ranks[0] {
                        *known = Needs { batch, bytes };
                    }
                    let rise = before.map_or(bytes, |(last, _)| 2 * bytes.saturating_sub(last));
                    before = Some((bytes, rise));
                }
                let images_per_second = Some(batch as f64 / seconds);
                tell(Row { seconds: Some(seconds), images_per_second, bytes, ..row(number) });
            }
            Err(error) if is_out_of_memory(&error) => {
                tell(Row { note: Some("out of memory".to_owned()), ..row(number) });
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn of_ranks(ranks: u64) -> String {
    if ranks == 1 { "whole".to_owned() } else { format!("a rank of {ranks}") }
}

struct Bench {
    loss: ForeignLoss,
    input: LossInput,
    facts: Facts,
    device: Device,
    batch: i64,
}

impl Bench {
    fn new(component: &Component, device: Device, channels: u32, batch: i64) -> Result<Self> {
        let side = 128;
        let view = |name: &str| View { name: name.into(), height: side, width: side, group: 0 };
        let views = vec![view("one"), view("two")];
        let map = |(name, side): (&str, u32)| FeatureMap { name: name.into(), channels, height: side, width: side };
        let input = LossInput {
            views: views.clone(),
            maps: MAPS.map(map).to_vec(),
            representation: MAPS[0].0.to_owned(),
            class_count: Some(CLASSES),
        };
        let encoder = EncoderInput { views, eval_size: [side; 2], ..EncoderInput::default() };
        let request = Request { encoder, loss: input.clone(), device: device_name(device), ..Request::default() };
        tch::manual_seed(1);
        let loss = ForeignLoss::create(component, &request)?;
        let labels: Vec<i64> = (0..batch).map(|image| image % CLASSES as i64).collect();
        let facts = Facts {
            step: 0,
            total_steps: 1000,
            epoch: 0,
            key: Key::new(1),
            world_size: 1,
            dtype: infomax_sdk::Kind::F32,
            labels: Some(Tensor::from_slice(&labels).to_device(device)),
            indices: Some(Tensor::arange(batch, (Dtype::Int64, device))),
        };
        Ok(Self { loss, input, facts, device, batch })
    }

    /// What it needs: position of the view, encoder, and map.
    fn needs(&self) -> Vec<(usize, Source, &FeatureMap)> {
        let needs = self.loss.description().needs.iter();
        let of_need = needs.flat_map(|need| need.maps.iter().map(move |map| (need.view, need.source, map)));
        of_need.filter_map(|(view, source, map)| Some((view, source, self.input.map(map)?))).collect()
    }

    fn feature_bytes(&self) -> u64 {
        let numbers = |map: &FeatureMap| u64::from(map.channels) * u64::from(map.height) * u64::from(map.width);
        4 * self.batch as u64 * self.needs().iter().map(|(_, _, map)| numbers(map)).sum::<u64>()
    }

    fn features(&self) -> Result<Features> {
        let feature = |(view, source, map): (usize, Source, &FeatureMap)| {
            // Channels last in memory, as encoders give them.
            let shape = [self.batch, map.height.into(), map.width.into(), map.channels.into()];
            let tensor = Tensor::f_randn(shape, (Dtype::Float, self.device))?.f_permute([0, 3, 1, 2])?;
            let tensor = tensor.set_requires_grad(source == Source::Encoder);
            Ok(Feature { view, source, map: map.name.clone(), tensor })
        };
        let made = self.needs().into_iter().map(feature).collect::<Result<Vec<_>, _>>();
        Ok(Features::new(made.map_err(Error::torch::<tch::TchError>("make features"))?))
    }

    /// Values and gradients of some rows, until the device has computed them.
    fn pass(&self, features: &Features, rows: Range<i64>) -> Result<()> {
        let total = if self.loss.description().forward_backward {
            tch::no_grad(|| self.loss.forward_backward(features, &self.facts, rows))?.terms.total
        } else {
            features.items().iter().for_each(|feature| feature.tensor.shallow_clone().zero_grad());
            let total = self.loss.forward(features, &self.facts, rows)?.total;
            total.f_backward().map_err(Error::torch("run the loss backward"))?;
            total
        };
        total.f_double_value(&[]).map(drop).map_err(Error::torch("read the loss"))
    }

    /// Seconds of a pass, and the memory that it takes.
    fn measured(
        &self,
        features: &Features,
        rows: Range<i64>,
        held: &Held,
        enough: Duration,
    ) -> Result<(f64, Option<u64>)> {
        let began = Instant::now();
        let ((), bytes) = held.more_during(|| self.pass(features, rows.clone()))?;
        let first = began.elapsed();
        if !enough.is_zero() && first >= LONG * enough {
            return Ok((first.as_secs_f64(), bytes));
        }
        let (began, mut repetitions) = (Instant::now(), Repetitions::default());
        let mut since = began;
        while since == began || since - began < enough {
            self.pass(features, rows.clone())?;
            let now = Instant::now();
            repetitions.add(now - since, 1);
            since = now;
        }
        Ok((repetitions.median(), bytes))
    }
}
