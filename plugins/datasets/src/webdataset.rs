//! `webdataset`: shards of images in tar archives, as WebDataset writes them, read where they lie. Each shard is indexed once when
//! it is opened, so that any image can be read at any time: order, resuming and sharing among processes are those of every
//! other dataset.
//!
//! A sample is a run of members of one name up to the first dot (`a/0001.jpg`, `a/0001.cls`, `a/0001.json`): the first image
//! is taken. Its label is the number or the name in `.cls`, or a field of `.json`, or the folder in the member's name.

use crate::{archive::hex, config, labels::in_order, names, records::state_of, shards};
use infomax_sdk::{Dataset, DatasetDescription, DatasetFacts, Error, Image, Result, Sample, Split, UNLABELLED};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufReader, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

const IMAGES: [&str; 13] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "pbm"];
const LABELS: [&str; 7] = ["cls", "cls.txt", "label", "class", "label.txt", "target", "cls2"];
const FIELDS: [&str; 8] = ["label", "cls", "class", "class_id", "target", "category", "class_name", "label_name"];
const BLOCK: u64 = 512; // of a tar archive
const LARGEST_LABEL: u64 = 1 << 20;
const LARGEST_IMAGE: u64 = 1 << 30;

/// Shards of images.
pub struct WebDataset {
    splits: Vec<Part>,
    facts: DatasetFacts,
    state: String,
}

struct Part {
    name: &'static str,
    shards: Vec<Shard>,
    /// By position: how many samples the shards before have.
    starts: Vec<u64>,
    labels: Vec<i64>,
}

struct Shard {
    file: File,
    path: PathBuf,
    samples: Vec<Place>,
    state: String,
}

/// Where a sample's image lies.
struct Place {
    at: u64,
    bytes: u64,
    key: Box<str>,
    label: Option<Box<str>>,
}

impl Dataset for WebDataset {
    type Config = config::WebDataset;

    fn describe(_: &config::WebDataset) -> Result<DatasetDescription> {
        Ok(DatasetDescription::default())
    }

    fn create(config: &config::WebDataset) -> Result<Self> {
        let found = shards::find(&config.root, config.train.as_deref(), config.test.as_deref(), "tar")?;
        let mut notes = Vec::new();
        let mut splits = Vec::new();
        for (name, paths) in found {
            let (shards, without) = open_all(&paths)?;
            let starts: Vec<u64> = shards
                .iter()
                .scan(0, |sum, shard| {
                    let start = *sum;
                    *sum += shard.samples.len() as u64;
                    Some(start)
                })
                .collect();
            if without > 0 {
                notes.push(format!("{name}: passed over {without} samples without an image"));
            }
            let count: usize = shards.iter().map(|shard| shard.samples.len()).sum();
            if count == 0 {
                let shown = names::path(&paths[0]);
                return Err(Error::data(format!("{name}: no image in {} shards, the first is `{shown}`", paths.len()))
                    .hint("members called like `0001.jpg` and `0001.cls` make a sample"));
            }
            notes.push(format!("{name}: {} shards", shards.len()));
            splits.push(Part { name, shards, starts, labels: Vec::new() });
        }
        let classes = label(&mut splits, &mut notes)?;
        let facts = facts(&splits, &classes, notes);
        let states = splits.iter().flat_map(|part| &part.shards).map(|shard| shard.state.as_str());
        let state = hex(&Sha256::digest(states.collect::<Vec<_>>().join("\n")));
        Ok(Self { splits, facts, state })
    }

    fn facts(&self) -> DatasetFacts {
        self.facts.clone()
    }

    fn read(&self, split: usize, index: u64) -> Result<Sample> {
        let (part, shard, place) = self.find(split, index)?;
        let mut bytes = vec![0; place.bytes as usize];
        shard.file.read_exact_at(&mut bytes, place.at).map_err(|cause| {
            Error::data(format!("can't read `{}` in `{}`", place.key, names::path(&shard.path))).caused_by(&cause)
        })?;
        Ok(Sample { image: Image::Encoded(bytes), label: part.labels[index as usize] })
    }

    fn locate(&self, split: usize, index: u64) -> String {
        match self.find(split, index) {
            Ok((_, shard, place)) => format!("{}/{}", names::path(&shard.path), place.key),
            Err(_) => format!("split {split}, image {index}"),
        }
    }

    fn labels(&self, split: usize) -> Result<Vec<i64>> {
        Ok(self.splits.get(split).map(|part| part.labels.clone()).unwrap_or_default())
    }

    fn state(&self) -> String {
        self.state.clone()
    }
}

impl WebDataset {
    fn find(&self, split: usize, index: u64) -> Result<(&Part, &Shard, &Place)> {
        let part = self.splits.get(split).ok_or_else(|| Error::data(format!("there is no split `{split}`")))?;
        let at = part.starts.partition_point(|&start| start <= index).saturating_sub(1);
        let shard = &part.shards[at];
        let place = shard.samples.get((index - part.starts[at]) as usize);
        let place = place
            .ok_or_else(|| Error::data(format!("there is no image {index}, the split has {}", part.labels.len())))?;
        Ok((part, shard, place))
    }
}

/// Several shards at a time; gives how many samples have no image.
fn open_all(paths: &[PathBuf]) -> Result<(Vec<Shard>, usize)> {
    let workers = thread::available_parallelism().map_or(1, |n| n.get() * 2).min(32).min(paths.len());
    let next = AtomicUsize::new(0);
    let opened: Mutex<BTreeMap<usize, Result<(Shard, usize)>>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = paths.get(at) else { break };
                    let shard = open(path);
                    opened.lock().expect("no shard panics").insert(at, shard);
                }
            });
        }
    });
    let opened = opened.into_inner().expect("no shard panics");
    let opened = opened.into_values().collect::<Result<Vec<_>>>()?;
    let without = opened.iter().map(|(_, without)| without).sum();
    Ok((opened.into_iter().map(|(shard, _)| shard).collect(), without))
}

/// The members of a sample that is being read.
#[derive(Default)]
struct Open {
    key: String,
    image: Option<(u64, u64)>,
    label: Option<String>,
    field: Option<String>,
}

fn open(path: &Path) -> Result<(Shard, usize)> {
    let shown = names::path(path);
    let fail = |cause: std::io::Error| {
        Error::data(format!("the shard `{shown}` can't be read as a tar archive"))
            .caused_by(&cause)
            .hint("copy or download the shard again; compressed shards are to be unpacked first")
    };
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    let (length, state) = (metadata.len(), format!("{shown} {}", state_of(&metadata)));
    let mut archive = tar::Archive::new(BufReader::new(File::open(path).map_err(fail)?));
    let (mut samples, mut without, mut sample) = (Vec::new(), 0, Open::default());
    let close = |sample: Open, samples: &mut Vec<Place>, without: &mut usize| {
        let Open { key, image, label, field } = sample;
        let named = class_in(&key).map(str::to_owned);
        match image {
            Some((at, bytes)) => {
                let label = label.or(field).or(named).map(String::into_boxed_str);
                samples.push(Place { at, bytes, key: key.into_boxed_str(), label });
            }
            None if !key.is_empty() => *without += 1,
            None => {}
        }
    };
    let mut end = 0;
    for entry in archive.entries_with_seek().map_err(fail)? {
        let mut entry = entry.map_err(fail)?;
        end = entry.raw_file_position() + entry.size().next_multiple_of(BLOCK);
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.trim_start_matches("./");
        let Some((key, extension)) = split_name(name) else { continue };
        if key != sample.key {
            close(std::mem::take(&mut sample), &mut samples, &mut without);
            sample.key = key.to_owned();
        }
        let (at, size) = (entry.raw_file_position(), entry.size());
        if at + size > length {
            let cause = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, format!("`{name}` is cut"));
            return Err(fail(cause));
        }
        let last = extension.rsplit('.').next().unwrap_or_default();
        if IMAGES.contains(&last) && size <= LARGEST_IMAGE {
            sample.image.get_or_insert((at, size));
        } else if size <= LARGEST_LABEL && (LABELS.contains(&extension.as_str()) || last == "json" || last == "cls") {
            let mut text = String::new();
            if entry.read_to_string(&mut text).is_err() {
                continue;
            }
            if last == "json" {
                sample.field = sample.field.take().or_else(|| field_of(&text));
            } else if sample.label.is_none() {
                sample.label = Some(text.trim().to_owned());
            }
        }
    }
    close(sample, &mut samples, &mut without);
    // Writers end an archive with blocks of zeros; without one nobody knows what is missing.
    if length < end + BLOCK {
        let reason = format!("it ends at byte {length} without its end mark");
        return Err(fail(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, reason)));
    }
    Ok((Shard { file, path: path.to_owned(), samples, state }, without))
}

/// WebDataset's rule: the key ends at the first dot of the file's name; the rest, in lower case, is the extension.
fn split_name(name: &str) -> Option<(&str, String)> {
    let start = name.rfind('/').map_or(0, |at| at + 1);
    let dot = name[start..].find('.').filter(|&dot| dot > 0)?; // a hidden file is no sample
    let folder = &name[..start];
    if folder.split('/').any(|part| part == "__MACOSX" || part == "@eaDir") {
        return None;
    }
    Some((&name[..start + dot], name[start + dot + 1..].to_lowercase()))
}

/// The folder in a sample's key, or ImageNet's class in front of it: `n01440764_10026`.
fn class_in(key: &str) -> Option<&str> {
    if let Some((folder, _)) = key.rsplit_once('/') {
        return Some(folder);
    }
    let (class, number) = key.split_once('_')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_class = class.len() == 9 && class.strip_prefix('n').is_some_and(digits);
    (is_class && digits(number)).then_some(class)
}

fn field_of(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    if value.is_number() {
        return Some(value.to_string());
    }
    FIELDS.iter().find_map(|field| match &value[*field] {
        serde_json::Value::String(text) => Some(text.clone()),
        number @ serde_json::Value::Number(_) => Some(number.to_string()),
        _ => None,
    })
}

/// Gives every sample its label; the classes are those of the training split.
fn label(splits: &mut [Part], notes: &mut Vec<String>) -> Result<Vec<String>> {
    let labels = |part: &Part| -> Vec<Option<String>> {
        part.shards.iter().flat_map(|shard| &shard.samples).map(|s| s.label.as_deref().map(str::to_owned)).collect()
    };
    let Some(train) = splits.iter().find(|part| part.name == "train") else { return Ok(Vec::new()) };
    let of_train = labels(train);
    let known = of_train.iter().flatten().count();
    if known < of_train.len() {
        if known > 0 {
            notes.push(format!("{known} of {} training samples have a label: none is used", of_train.len()));
        }
        splits.iter_mut().for_each(|part| part.labels = vec![UNLABELLED; labels_count(part)]);
        return Ok(Vec::new());
    }
    let classes = in_order(of_train.iter().flatten().map(String::as_str));
    if classes.len() < 2 {
        notes.push("the samples have no labels to tell apart".to_owned());
        splits.iter_mut().for_each(|part| part.labels = vec![UNLABELLED; labels_count(part)]);
        return Ok(Vec::new());
    }
    let known: HashMap<&str, i64> = classes.iter().map(String::as_str).zip(0..).collect();
    for part in splits.iter_mut() {
        let own = labels(part);
        if own.iter().any(Option::is_none) {
            part.labels = vec![UNLABELLED; own.len()];
            continue;
        }
        let mut result = Vec::with_capacity(own.len());
        for label in own.into_iter().flatten() {
            match known.get(label.as_str()) {
                Some(&at) => result.push(at),
                None => {
                    let what = format!("{}: the label `{label}` is that of no training sample", part.name);
                    return Err(Error::data(what).hint("both splits need the same classes"));
                }
            }
        }
        part.labels = result;
    }
    Ok(classes)
}

fn labels_count(part: &Part) -> usize {
    part.shards.iter().map(|shard| shard.samples.len()).sum()
}

fn facts(parts: &[Part], classes: &[String], notes: Vec<String>) -> DatasetFacts {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.name);
        for (place, label) in part.shards.iter().flat_map(|shard| &shard.samples).zip(&part.labels) {
            hash.update((place.key.len() as u64).to_le_bytes());
            hash.update(place.key.as_bytes());
            hash.update(place.bytes.to_le_bytes());
            hash.update(label.to_le_bytes());
        }
    }
    let labelled = |part: &Part| part.labels.iter().all(|&label| label >= 0);
    let splits = parts.iter().map(|part| {
        let (name, length) = (part.name.to_owned(), part.labels.len() as u64);
        Split { name, length, labelled: labelled(part) }
    });
    let (splits, class_names) = (splits.collect(), classes.to_vec());
    shards::facts(splits, class_names, hex(&hash.finalize()), notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_as_webdataset_splits_them() {
        let of = |name: &str| split_name(name).map(|(key, extension)| (key.to_owned(), extension));
        let some = |key: &str, extension: &str| Some((key.to_owned(), extension.to_owned()));
        assert_eq!(of("a/b.c/0001.Image.JPG"), some("a/b.c/0001", "image.jpg"));
        assert_eq!(of("0001.cls"), some("0001", "cls"));
        assert_eq!((of("README"), of("a/.hidden.jpg"), of("__MACOSX/0001.jpg")), (None, None, None));
    }

    #[test]
    fn a_label_is_a_number_or_a_field() {
        assert_eq!(field_of("7").as_deref(), Some("7"));
        assert_eq!(field_of("{\"caption\": \"x\", \"label\": 3}").as_deref(), Some("3"));
        assert_eq!(field_of("{\"class\": \"cat\"}").as_deref(), Some("cat"));
        assert_eq!(
            (class_in("a/b/1"), class_in("n01440764_10026"), class_in("image_1")),
            (Some("a/b"), Some("n01440764"), None)
        );
        assert_eq!((field_of("{}"), field_of("no json")), (None, None));
    }
}
