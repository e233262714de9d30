//! An opened dataset: its stages, and reading with decoding, retries and a policy for bad images.

use super::{ForeignDataset, LabelChoice, OrderedWorkers, quarantine::Quarantine, reading};
use crate::{
    config::{self, DatasetTable, OnBad},
    console::note,
    error::{Error, Fault, Result},
    plugin::{Component, PluginError},
};
use infomax_image::{DecodeOptions, Gray16, Limits, decode};
use infomax_sdk::{DatasetFacts, ErrorKind, Image, ImageRef, Key, Sample, Split, UNLABELLED, requests::Request};
use sha2::{Digest, Sha256};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

const READ_TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const REPLACEMENT_TRIES: u64 = 100;

/// Images whose labels a thread reads at once.
const CHUNK: u64 = 64;

/// An opened dataset, shared by loader threads.
#[derive(Clone)]
pub struct Source {
    inner: Arc<Inner>,
    /// Which labels may be seen; all of them where not given.
    choice: Option<Arc<LabelChoice>>,
}

struct Inner {
    dataset: ForeignDataset,
    facts: DatasetFacts,
    /// Of the files, as the dataset tells it.
    state: String,
    /// Whether nothing more is to be said of 16-bit gray.
    told_gray16: AtomicBool,
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
    /// Whether the file's pixels are 16-bit gray.
    pub was_gray16: bool,
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

impl Bad {
    /// The error under the policy that stops.
    fn stopped(self) -> Error {
        let hint = format!("{}; or set `dataset.on_bad = \"skip\"`", self.hint);
        Error::Dataset { fault: Fault::new(self.reason).at(self.place).hint(hint) }
    }
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
        let (facts, state) = dataset.facts_and_state()?;
        let limits = Limits { max_pixels: table.max_pixels, ..Limits::default() };
        let gray16 = match table.gray16 {
            config::Gray16::Scale => Gray16::Scale,
            config::Gray16::Saturate => Gray16::Saturate,
        };
        let decode = DecodeOptions { limits, apply_orientation: table.exif_rotation, gray16, short_side };
        let (on_bad, max_bad_fraction) = (table.on_bad, table.max_bad_fraction);
        let quarantine = Quarantine::default();
        let told_gray16 = AtomicBool::new(false);
        let inner = Inner { dataset, facts, state, told_gray16, decode, on_bad, max_bad_fraction, quarantine };
        let inner = Arc::new(inner);
        Ok(Self { inner, choice: None })
    }

    /// The same data, of which no label may be seen but the chosen ones and those of test splits.
    #[must_use]
    pub fn with_labels(&self, choice: Arc<LabelChoice>) -> Self {
        Self { inner: self.inner.clone(), choice: Some(choice) }
    }

    /// Whether every image of a stage has a label that may be seen, by what the dataset says of its splits.
    pub fn is_labelled(&self, stage: &Stage) -> bool {
        let splits = &self.facts().splits;
        self.choice.is_none() && stage.iter().all(|&(split, _)| splits[split].labelled)
    }

    /// Which labels may be seen; all of them where there is no choice.
    pub fn choice(&self) -> Option<&LabelChoice> {
        self.choice.as_deref()
    }

    /// Tells at the console what was found: splits, counts, what was passed over.
    pub fn tell(&self) {
        super::told::tell(&self.inner.facts);
    }

    /// Leaves it to others to tell what there is to tell of the images.
    pub fn hush(&self) {
        self.inner.told_gray16.store(true, Ordering::Relaxed);
    }

    /// What files the images lie in, by content or time; empty where the dataset says nothing of it.
    pub fn state(&self) -> &str {
        &self.inner.state
    }

    /// What was found.
    pub fn facts(&self) -> &DatasetFacts {
        &self.inner.facts
    }

    /// The images that were found bad.
    pub fn quarantine(&self) -> &Quarantine {
        &self.inner.quarantine
    }

    /// All samples of some splits, one after the other.
    pub fn stage(&self, splits: &[usize]) -> Stage {
        let of = |&split: &usize| (0..self.inner.facts.splits[split].length).map(move |index| (split, index));
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
        let inner = &*self.inner;
        let (split, index) = stage[position as usize];
        let bad = match self.read(split, index)? {
            Ok(pixels) => return Ok(Some(pixels)),
            Err(bad) => bad,
        };
        if inner.on_bad == OnBad::Stop {
            return Err(bad.stopped());
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

    /// The label of every sample of a stage, whatever labels may be seen: as the dataset knows them, or else read with the
    /// images, by several threads. Of an image that can't be read, where the policy passes over it: none (−1).
    ///
    /// # Errors
    /// What the plugin says; an image that can't be read, where the policy says stop.
    pub fn labels(&self, stage: &Stage, workers: usize, deadline: Duration) -> Result<Vec<i64>> {
        let inner = &*self.inner;
        let mut known: Vec<Option<Vec<i64>>> = vec![None; inner.facts.splits.len()];
        for (split, Split { length, .. }) in inner.facts.splits.iter().enumerate() {
            if stage.iter().any(|sample| sample.0 == split) {
                let labels = inner.dataset.labels(split, *length)?;
                known[split] = (!labels.is_empty()).then_some(labels);
            }
        }
        let at = |&(split, index): &(usize, u64)| known[split].as_ref().map(|labels| labels[index as usize]);
        if let Some(labels) = stage.iter().map(at).collect::<Option<Vec<i64>>>() {
            return match stage.iter().zip(&labels).find(|(_, label)| !self.is_label(**label)) {
                Some((&(split, index), &label)) => Err(self.wrong_label(split, index, label).stopped()),
                None => Ok(labels),
            };
        }
        let (source, stage) = (self.clone(), stage.clone());
        let length = stage.len() as u64;
        let make = move |chunk: u64| {
            let samples = &stage[(chunk * CHUNK) as usize..((chunk + 1) * CHUNK).min(length) as usize];
            samples.iter().map(|&(split, index)| source.label_with_image(split, index)).collect::<Result<Vec<i64>>>()
        };
        let chunks = OrderedWorkers::start(Arc::new(make), 0..length.div_ceil(CHUNK), workers, 4, deadline);
        chunks.collect::<Result<Vec<_>>>().map(|chunks| chunks.concat())
    }

    fn label_with_image(&self, split: usize, index: u64) -> Result<i64> {
        let read = self.read_with_retries(split, index)?;
        let read =
            read.and_then(
                |Sample { label, .. }| {
                    if self.is_label(label) { Ok(label) } else { Err(self.wrong_label(split, index, label)) }
                },
            );
        match read {
            Err(bad) if self.inner.on_bad == OnBad::Stop => Err(bad.stopped()),
            read => Ok(read.unwrap_or(UNLABELLED)),
        }
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
        if !self.is_label(label) {
            return Err(self.wrong_label(split, index, label));
        }
        let label =
            if self.choice.as_ref().is_none_or(|choice| choice.shows(split, index)) { label } else { UNLABELLED };
        match image {
            Image::Rgb8 { width, height, pixels } => {
                Ok(Pixels { width, height, pixels, label, was_animated: false, was_gray16: false })
            }
            Image::Encoded(bytes) => match decode(&bytes, &self.inner.decode) {
                Ok(image) => {
                    if image.was_gray16 {
                        self.tell_gray16(split, index);
                    }
                    Ok(Pixels {
                        width: image.width,
                        height: image.height,
                        pixels: image.pixels,
                        label,
                        was_animated: image.was_animated,
                        was_gray16: image.was_gray16,
                    })
                }
                Err(error) => Err(self.bad(split, index, error.to_string(), error.hint())),
            },
        }
    }

    fn tell_gray16(&self, split: usize, index: u64) {
        if self.inner.told_gray16.swap(true, Ordering::Relaxed) {
            return;
        }
        let (what, other) = match self.inner.decode.gray16 {
            Gray16::Scale => ("scaled, 0 to 65535 become 0 to 255", "`dataset.gray16 = \"saturate\"` cuts off at 255"),
            Gray16::Saturate => {
                ("cut off at 255, as Pillow does", "`dataset.gray16 = \"scale\"` keeps what is brighter")
            }
        };
        note(format!("16-bit gray images are {what}; {other}; the first one: {}", self.place(split, index)));
    }

    fn is_label(&self, label: i64) -> bool {
        let classes = self.inner.facts.class_names.len() as i64;
        label >= UNLABELLED && (classes == 0 || label < classes)
    }

    fn wrong_label(&self, split: usize, index: u64, label: i64) -> Bad {
        let reason = format!("label {label} of {} classes", self.inner.facts.class_names.len());
        self.bad(split, index, reason, "check the dataset's labels")
    }

    /// Where an image comes from, as the dataset says it.
    pub fn locate(&self, split: usize, index: u64) -> String {
        self.inner.dataset.locate(split, index)
    }

    /// Where an image comes from, with its number.
    pub fn place(&self, split: usize, index: u64) -> String {
        let name = self.inner.facts.splits.get(split).map_or("?", |split| &split.name);
        format!("{} (`{name}`, image {index})", self.locate(split, index))
    }

    fn read_with_retries(&self, split: usize, index: u64) -> Result<Result<Sample, Bad>> {
        reading::note(self, split, index);
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match self.inner.dataset.read(split, index) {
                Ok(sample) => return Ok(Ok(sample)),
                Err(PluginError::Call { error, .. }) if error.kind == ErrorKind::Data => {
                    if attempt == READ_TRIES {
                        let hint = error.hint.clone().unwrap_or_else(|| "check the file and the disk".to_owned());
                        return Ok(Err(self.bad(split, index, error.to_string(), &hint)));
                    }
                    self.inner.quarantine.note_retry();
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
