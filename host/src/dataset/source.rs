//! An opened dataset: its stages, and reading with decoding, retries and a policy for bad images.

use super::{ForeignDataset, quarantine::Quarantine, reading};
use crate::{
    config::{DatasetTable, OnBad},
    error::{Error, Fault, Result},
    plugin::{Component, PluginError},
};
use infomax_image::decode::{DecodeOptions, Limits, decode};
use infomax_sdk::{DatasetFacts, ErrorKind, Image, ImageRef, Key, Sample, Split, requests::Request};
use sha2::{Digest, Sha256};
use std::{sync::Arc, thread, time::Duration};

const READ_TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const REPLACEMENT_TRIES: u64 = 100;

/// An opened dataset, shared by loader threads.
#[derive(Clone)]
pub struct Source(Arc<Inner>);

struct Inner {
    dataset: ForeignDataset,
    facts: DatasetFacts,
    decode: DecodeOptions,
    on_bad: OnBad,
    max_bad_fraction: f64,
    quarantine: Quarantine,
}

/// The samples of a stage: (split, index), in the dataset's order.
pub type Stage = Arc<[(usize, u64)]>;

/// A decoded image with its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// height × width × 3 bytes.
    pub pixels: Vec<u8>,
    /// The class; −1 for none.
    pub label: i64,
    /// Whether the file held several frames, of which this is the first.
    pub was_animated: bool,
}

impl Pixels {
    /// The image, borrowed.
    pub fn as_image(&self) -> ImageRef<'_> {
        ImageRef { width: self.width, height: self.height, pixels: &self.pixels }
    }
}

/// Why an image can't be used.
#[derive(Debug)]
pub struct Bad {
    /// Where it comes from.
    pub place: String,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub hint: String,
}

/// What scanning learns of an image.
#[derive(Debug)]
pub struct Inspected {
    /// Of the file's bytes; none where there is no file of its own.
    pub sha256: Option<[u8; 32]>,
    /// The decoded image, or what is wrong.
    pub pixels: Result<Pixels, Bad>,
}

impl Source {
    /// Opens the dataset of a config; a JPEG is decoded smaller where `short_side` allows it.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn open(component: &Component, table: &DatasetTable, short_side: Option<u32>) -> Result<Self> {
        let request = Request { config: table.config.clone(), ..Request::default() };
        let dataset = ForeignDataset::create(component, &request)?;
        let facts = dataset.facts()?;
        facts.notes.iter().for_each(|note| log::info!("{note}"));
        let limits = Limits { max_pixels: table.max_pixels, ..Limits::default() };
        let decode = DecodeOptions { limits, apply_orientation: table.exif_rotation, short_side };
        let (on_bad, max_bad_fraction) = (table.on_bad, table.max_bad_fraction);
        let quarantine = Quarantine::default();
        Ok(Self(Arc::new(Inner { dataset, facts, decode, on_bad, max_bad_fraction, quarantine })))
    }

    /// What was found.
    pub fn facts(&self) -> &DatasetFacts {
        &self.0.facts
    }

    /// The images that were found bad.
    pub fn quarantine(&self) -> &Quarantine {
        &self.0.quarantine
    }

    /// All samples of some splits, one after the other.
    pub fn stage(&self, splits: &[usize]) -> Stage {
        let of = |&split: &usize| (0..self.0.facts.splits[split].length).map(move |index| (split, index));
        splits.iter().flat_map(of).collect()
    }

    /// Divides a stage into a kept and a held-out part, by key.
    pub fn hold_out(stage: &Stage, fraction: f64, key: Key) -> (Stage, Stage) {
        let mut positions: Vec<usize> = (0..stage.len()).collect();
        key.rng().shuffle(&mut positions);
        let (held, kept) = positions.split_at((stage.len() as f64 * fraction).round() as usize);
        let pick = |part: &[usize]| {
            let mut part = part.to_vec();
            part.sort_unstable();
            part.into_iter().map(|position| stage[position]).collect()
        };
        (pick(kept), pick(held))
    }

    /// The image at a position of a stage, or, by policy, the one that takes its place.
    ///
    /// # Errors
    /// A bad image, where the policy says stop or too many are bad.
    pub fn sample(&self, stage: &Stage, position: u64) -> Result<Pixels> {
        let mut at = position;
        for attempt in 0..REPLACEMENT_TRIES {
            if let Some(pixels) = self.sample_if_good(stage, at)? {
                return Ok(pixels);
            }
            at = Quarantine::replacement(position, attempt, stage.len() as u64);
        }
        let fault = Fault::new(format!("no usable image in {REPLACEMENT_TRIES} tries to replace a bad one"));
        Err(Error::Dataset { fault: fault.hint("run `infomax data scan` to list bad images") })
    }

    /// The image at a position of a stage, or, by policy, none.
    ///
    /// # Errors
    /// A bad image, where the policy says stop or too many are bad.
    pub fn sample_if_good(&self, stage: &Stage, position: u64) -> Result<Option<Pixels>> {
        let inner = &*self.0;
        let (split, index) = stage[position as usize];
        let bad = match self.read(split, index)? {
            Ok(pixels) => return Ok(Some(pixels)),
            Err(bad) => bad,
        };
        if inner.on_bad == OnBad::Stop {
            let hint = format!("{}; or set `dataset.on_bad = \"skip\"`", bad.hint);
            return Err(Error::Dataset { fault: Fault::new(bad.reason).at(bad.place).hint(hint) });
        }
        let (count, is_new) = inner.quarantine.note(split, index, bad.reason.clone());
        if is_new {
            log::warn!("bad image skipped: {} ({})", bad.place, bad.reason);
        }
        let Split { name, length, .. } = &inner.facts.splits[split];
        if count as f64 > inner.max_bad_fraction * *length as f64 {
            let most = inner.max_bad_fraction;
            let message = format!(
                "{count} of {length} images of `{name}` are bad, more than `dataset.max_bad_fraction` = {most}"
            );
            let place = format!("the last one: {} ({})", bad.place, bad.reason);
            let fault = Fault::new(message).at(place).hint("run `infomax data scan` to list them all");
            return Err(Error::Dataset { fault });
        }
        Ok(None)
    }

    /// Reads and decodes one image; the inner result tells a bad image from a broken plugin.
    ///
    /// # Errors
    /// A plugin that panicked or broke the contract.
    pub fn read(&self, split: usize, index: u64) -> Result<Result<Pixels, Bad>> {
        let sample = self.read_with_retries(split, index)?;
        Ok(sample.and_then(|sample| self.decode(split, index, sample)))
    }

    /// Reads and decodes one image, and hashes the bytes that were read.
    ///
    /// # Errors
    /// A plugin that panicked or broke the contract.
    pub fn inspect(&self, split: usize, index: u64) -> Result<Inspected> {
        let sample = match self.read_with_retries(split, index)? {
            Ok(sample) => sample,
            Err(bad) => return Ok(Inspected { sha256: None, pixels: Err(bad) }),
        };
        let sha256 = match &sample.image {
            Image::Encoded(bytes) => Some(Sha256::digest(bytes).into()),
            Image::Rgb8 { .. } => None,
        };
        Ok(Inspected { sha256, pixels: self.decode(split, index, sample) })
    }

    fn decode(&self, split: usize, index: u64, Sample { image, label }: Sample) -> Result<Pixels, Bad> {
        let classes = self.0.facts.class_names.len() as i64;
        if label < -1 || (classes > 0 && label >= classes) {
            let reason = format!("label {label} of {classes} classes");
            return Err(self.bad(split, index, reason, "check the dataset's labels"));
        }
        match image {
            Image::Rgb8 { width, height, pixels } => Ok(Pixels { width, height, pixels, label, was_animated: false }),
            Image::Encoded(bytes) => match decode(&bytes, &self.0.decode) {
                Ok(image) => Ok(Pixels {
                    width: image.width,
                    height: image.height,
                    pixels: image.pixels,
                    label,
                    was_animated: image.was_animated,
                }),
                Err(error) => Err(self.bad(split, index, error.to_string(), error.hint())),
            },
        }
    }

    /// Where an image comes from, as the dataset says it.
    pub fn locate(&self, split: usize, index: u64) -> String {
        self.0.dataset.locate(split, index)
    }

    /// Where an image comes from, with its number.
    pub fn place(&self, split: usize, index: u64) -> String {
        let name = self.0.facts.splits.get(split).map_or("?", |split| &split.name);
        format!("{} (`{name}`, image {index})", self.locate(split, index))
    }

    fn read_with_retries(&self, split: usize, index: u64) -> Result<Result<Sample, Bad>> {
        reading::note(self, split, index);
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match self.0.dataset.read(split, index) {
                Ok(sample) => return Ok(Ok(sample)),
                Err(PluginError::Call { error, .. }) if error.kind == ErrorKind::Data => {
                    if attempt == READ_TRIES {
                        let hint = error.hint.clone().unwrap_or_else(|| "check the file and the disk".to_owned());
                        return Ok(Err(self.bad(split, index, error.to_string(), &hint)));
                    }
                    self.0.quarantine.note_retry();
                    thread::sleep(pause);
                    pause *= 4;
                }
                Err(error) => return Err(error.during(&self.locate(split, index)).into()),
            }
        }
        unreachable!("the last try returns")
    }

    fn bad(&self, split: usize, index: u64, reason: String, hint: &str) -> Bad {
        Bad { place: self.place(split, index), reason, hint: hint.to_owned() }
    }
}
