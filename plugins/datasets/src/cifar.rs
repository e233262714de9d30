//! CIFAR-10 and CIFAR-100 from their binary archives: records of labels and three planes of 32×32; or from the Python version
//! that torchvision keeps, whose pickles hold the same images in the same order.

use crate::{
    archive::{self, Archive},
    config::{self, Cifar100Labels},
    names, pickle,
    records::Records,
};
use infomax_sdk::{Dataset, DatasetDescription, DatasetFacts, Error, Image, Result, Roles, Sample, Split};
use sha2::{Digest, Sha256};
use std::{fs, path::Path};

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;

const CIFAR10: Archive = Archive {
    folder: "cifar-10-batches-bin",
    file: "cifar-10-binary.tar.gz",
    url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    md5: "c32a1d4ab5d03f1284b67883e8d87530",
    bytes: 170_052_171,
    members: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
        "test_batch.bin",
        "batches.meta.txt",
    ],
    largest_member: 10_000 * 3073,
};

const CIFAR100: Archive = Archive {
    folder: "cifar-100-binary",
    file: "cifar-100-binary.tar.gz",
    url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    md5: "03b5dce01913d631647c71ecec9e9cb8",
    bytes: 168_513_733,
    members: &["train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"],
    largest_member: 50_000 * 3074,
};

const CIFAR10_PYTHON: Archive = Archive {
    folder: "cifar-10-batches-py",
    file: "cifar-10-python.tar.gz",
    url: "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    md5: "c58f30108f718f92721af3b95e74349a",
    bytes: 170_498_071,
    members: &[
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
        "batches.meta",
    ],
    largest_member: 64 << 20,
};

const CIFAR100_PYTHON: Archive = Archive {
    folder: "cifar-100-python",
    file: "cifar-100-python.tar.gz",
    url: "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    md5: "eb9058c3a382ffc7106e4002c42a8d85",
    bytes: 169_001_437,
    members: &["train", "test", "meta"],
    largest_member: 256 << 20,
};

/// How the records of a version look.
struct Version {
    train: &'static [&'static str],
    test: &'static str,
    train_records: u64,
    label_bytes: usize,
    label_at: usize,
    class_count: u8,
    names: &'static str,
}

/// The files of either version.
struct Cifar {
    splits: [Vec<Part>; 2],
    facts: DatasetFacts,
}

struct Part {
    records: Records,
    /// Bytes of a record before its pixels.
    before: usize,
    labels: Vec<u8>,
}

/// The keys of a pickle.
struct Keys {
    labels: &'static str,
    /// In the file of names.
    names: &'static str,
    class_count: u8,
}

/// One file of the Python version.
fn unpickled(path: &Path, published: u64, keys: &Keys, allow_subset: bool) -> Result<Part> {
    let shown = names::path(path);
    let fail = |reason: String| {
        Error::data(format!("`{shown}` can't be read: {reason}")).hint("copy or unpack the file again")
    };
    let bytes = fs::read(path).map_err(|cause| Error::data(format!("can't read `{shown}`")).caused_by(&cause))?;
    let value = pickle::read(&bytes).map_err(fail)?;
    let (data, labels) = (value.get("data", &bytes), value.get(keys.labels, &bytes));
    let array = data.and_then(|data| data.array()).ok_or_else(|| fail("it holds no array `data`".to_owned()))?;
    let labels = labels.and_then(|labels| labels.numbers());
    let labels = labels.ok_or_else(|| fail(format!("it holds no list `{}`", keys.labels)))?;
    let count = labels.len() as u64;
    let fits = count == published || allow_subset && (1..=published).contains(&count);
    if array.shape != [labels.len(), 3 * PLANE] || !fits {
        return Err(fail(format!(
            "{} labels and an array of {:?}, expected {published} images",
            labels.len(),
            array.shape
        )));
    }
    let label = |(index, label): (usize, i64)| {
        let in_range = u8::try_from(label).ok().filter(|&label| label < keys.class_count);
        in_range.ok_or_else(|| fail(format!("record {index}: label `{label}` of {} classes", keys.class_count)))
    };
    let labels = labels.into_iter().enumerate().map(label).collect::<Result<Vec<u8>>>()?;
    let records = Records::within(path, array.data.start as u64, 3 * PLANE, count)?;
    Ok(Part { records, before: 0, labels })
}

/// The names of the classes in the Python version; numbers where the file is missing or says something else.
fn unpickled_names(path: &Path, keys: &Keys) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    let value = pickle::read(&bytes).ok();
    let names = value.and_then(|value| value.get(keys.names, &bytes)?.texts(&bytes)).unwrap_or_default();
    numbered_unless(names, usize::from(keys.class_count))
}

/// Which of the two versions lies below a root: the Python one only where the binary one is not there.
fn is_python(root: &Path, binary: &Archive, python: &Archive) -> bool {
    let has = |archive: &Archive| {
        let inside = archive.members.iter().any(|member| root.join(member).is_file());
        root.join(archive.folder).is_dir() || root.join(archive.file).is_file() || inside
    };
    !has(binary) && has(python)
}

/// CIFAR-10.
pub struct Cifar10(Cifar);

/// CIFAR-100.
pub struct Cifar100(Cifar);

impl Cifar {
    fn open(folder: &Path, version: &Version, allow_subset: bool) -> Result<Self> {
        let part = |name: &str, published| {
            let length = version.label_bytes + 3 * PLANE;
            let records = Records::open(&folder.join(name), length, published, allow_subset)?;
            let labels = records.labels(version.label_at, 0, version.class_count - 1)?;
            Ok(Part { records, before: version.label_bytes, labels })
        };
        let train: Result<Vec<Part>> = version.train.iter().map(|name| part(name, version.train_records)).collect();
        let splits = [train?, vec![part(version.test, 10_000)?]];
        Ok(Self::of(splits, class_names(&folder.join(version.names), usize::from(version.class_count))))
    }

    fn of_python(
        folder: &Path,
        train: &[&str],
        records: u64,
        files: [&str; 2],
        keys: &Keys,
        subset: bool,
    ) -> Result<Self> {
        let part = |name: &str, count| unpickled(&folder.join(name), count, keys, subset);
        let [test, meta] = files;
        let train: Result<Vec<Part>> = train.iter().map(|name| part(name, records)).collect();
        Ok(Self::of([train?, vec![part(test, 10_000)?]], unpickled_names(&folder.join(meta), keys)))
    }

    fn of(splits: [Vec<Part>; 2], class_names: Vec<String>) -> Self {
        let mut hash = Sha256::new();
        for part in splits.iter().flatten() {
            // Both versions hold the same images, so they are the same data.
            let name = part.records.path().file_name().unwrap_or_default().to_string_lossy();
            hash.update(format!("{}.bin", name.trim_end_matches(".bin")));
            hash.update(part.records.count().to_le_bytes());
            hash.update(&part.labels);
        }
        let length = |parts: &[Part]| parts.iter().map(|part| part.records.count()).sum();
        let split = |name: &str, parts| Split { name: name.to_owned(), length: length(parts), labelled: true };
        let facts = DatasetFacts {
            splits: vec![split("train", &splits[0]), split("test", &splits[1])],
            class_names,
            roles: Roles { pretrain: vec![0], train: vec![0], test: vec![1] },
            fingerprint: archive::hex(&hash.finalize()),
            notes: Vec::new(),
        };
        Self { splits, facts }
    }

    fn state(&self) -> String {
        self.splits.iter().flatten().map(|part| part.records.state()).collect::<Vec<_>>().join("; ")
    }

    fn find(&self, split: usize, mut index: u64) -> Result<(&Part, u64)> {
        let parts = self.splits.get(split).ok_or_else(|| Error::data(format!("there is no split `{split}`")))?;
        for part in parts {
            if index < part.records.count() {
                return Ok((part, index));
            }
            index -= part.records.count();
        }
        Err(Error::data(format!("the split ends {} images before that index", index + 1)))
    }

    fn read(&self, split: usize, index: u64) -> Result<Sample> {
        let (part, index) = self.find(split, index)?;
        let mut planes = [0; 3 * PLANE];
        part.records.read(index, part.before, &mut planes)?;
        let mut pixels = Vec::with_capacity(planes.len());
        for at in 0..PLANE {
            pixels.extend_from_slice(&[planes[at], planes[PLANE + at], planes[2 * PLANE + at]]);
        }
        let image = Image::Rgb8 { width: SIDE as u32, height: SIDE as u32, pixels };
        Ok(Sample { image, label: i64::from(part.labels[index as usize]) })
    }

    fn labels(&self, split: usize) -> Vec<i64> {
        let parts = self.splits.get(split).map_or(&[][..], Vec::as_slice);
        parts.iter().flat_map(|part| &part.labels).map(|&label| i64::from(label)).collect()
    }

    fn locate(&self, split: usize, index: u64) -> String {
        self.find(split, index).map_or_else(|e| e.message, |(part, index)| part.records.locate(index))
    }
}

/// A line per class; numbers where the file is missing or of another length.
fn class_names(path: &Path, count: usize) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let names: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
    numbered_unless(names, count)
}

fn numbered_unless(names: Vec<String>, count: usize) -> Vec<String> {
    if names.len() == count { names } else { (0..count).map(|label| format!("class {label}")).collect() }
}

fn description(class_count: usize, download: bool, archive: &Archive) -> DatasetDescription {
    DatasetDescription {
        class_count: Some(class_count),
        image_size: Some([SIDE as u32; 2]),
        download_bytes: if download { archive.bytes } else { 0 },
    }
}

impl Dataset for Cifar10 {
    type Config = config::Cifar10;

    fn describe(config: &config::Cifar10) -> Result<DatasetDescription> {
        Ok(description(10, config.download, &CIFAR10))
    }

    fn create(config: &config::Cifar10) -> Result<Self> {
        if is_python(&config.root, &CIFAR10, &CIFAR10_PYTHON) {
            let folder = CIFAR10_PYTHON.provide(&config.root, false, None)?;
            let keys = Keys { labels: "labels", names: "label_names", class_count: 10 };
            let (train, files) = (&CIFAR10_PYTHON.members[..5], ["test_batch", "batches.meta"]);
            return Cifar::of_python(&folder, train, 10_000, files, &keys, config.allow_subset).map(Self);
        }
        let folder = CIFAR10.provide(&config.root, config.download, config.url.as_deref())?;
        let version = Version {
            train: &CIFAR10.members[..5],
            test: "test_batch.bin",
            train_records: 10_000,
            label_bytes: 1,
            label_at: 0,
            class_count: 10,
            names: "batches.meta.txt",
        };
        Cifar::open(&folder, &version, config.allow_subset).map(Self)
    }

    fn facts(&self) -> DatasetFacts {
        self.0.facts.clone()
    }

    fn read(&self, split: usize, index: u64) -> Result<Sample> {
        self.0.read(split, index)
    }

    fn locate(&self, split: usize, index: u64) -> String {
        self.0.locate(split, index)
    }

    fn labels(&self, split: usize) -> Result<Vec<i64>> {
        Ok(self.0.labels(split))
    }

    fn state(&self) -> String {
        self.0.state()
    }
}

impl Dataset for Cifar100 {
    type Config = config::Cifar100;

    fn describe(config: &config::Cifar100) -> Result<DatasetDescription> {
        let class_count = if config.labels == Cifar100Labels::Fine { 100 } else { 20 };
        Ok(description(class_count, config.download, &CIFAR100))
    }

    fn create(config: &config::Cifar100) -> Result<Self> {
        let fine = config.labels == Cifar100Labels::Fine;
        if is_python(&config.root, &CIFAR100, &CIFAR100_PYTHON) {
            let folder = CIFAR100_PYTHON.provide(&config.root, false, None)?;
            let keys = match config.labels {
                Cifar100Labels::Fine => Keys { labels: "fine_labels", names: "fine_label_names", class_count: 100 },
                Cifar100Labels::Coarse => {
                    Keys { labels: "coarse_labels", names: "coarse_label_names", class_count: 20 }
                }
            };
            return Cifar::of_python(&folder, &["train"], 50_000, ["test", "meta"], &keys, config.allow_subset)
                .map(Self);
        }
        let folder = CIFAR100.provide(&config.root, config.download, config.url.as_deref())?;
        let version = Version {
            train: &CIFAR100.members[..1],
            test: "test.bin",
            train_records: 50_000,
            label_bytes: 2, // coarse, fine
            label_at: usize::from(fine),
            class_count: if fine { 100 } else { 20 },
            names: if fine { "fine_label_names.txt" } else { "coarse_label_names.txt" },
        };
        Cifar::open(&folder, &version, config.allow_subset).map(Self)
    }

    fn facts(&self) -> DatasetFacts {
        self.0.facts.clone()
    }

    fn read(&self, split: usize, index: u64) -> Result<Sample> {
        self.0.read(split, index)
    }

    fn locate(&self, split: usize, index: u64) -> String {
        self.0.locate(split, index)
    }

    fn labels(&self, split: usize) -> Result<Vec<i64>> {
        Ok(self.0.labels(split))
    }

    fn state(&self) -> String {
        self.0.state()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_become_interleaved_pixels_with_either_label() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("cifar-100-binary");
        fs::create_dir(&folder).expect("created");
        let mut record = vec![7, 93];
        record.extend((0..3 * PLANE).map(|at| (at / PLANE * 80 + at % PLANE % 7) as u8));
        fs::write(folder.join("train.bin"), [record.clone(), record.clone()].concat()).expect("written");
        fs::write(folder.join("test.bin"), &record).expect("written");
        for (labels, label) in [(Cifar100Labels::Fine, 93), (Cifar100Labels::Coarse, 7)] {
            let root = root.path().to_owned();
            let config = config::Cifar100 { root, labels, allow_subset: true, ..Default::default() };
            let cifar = Cifar100::create(&config).expect("sound");
            assert_eq!(cifar.facts().splits.iter().map(|s| s.length).collect::<Vec<_>>(), [2, 1]);
            let sample = cifar.read(0, 1).expect("a record");
            assert_eq!(sample.label, label);
            assert_eq!(cifar.labels(0).expect("known"), [label, label]);
            let Image::Rgb8 { pixels, .. } = sample.image else { panic!("pixels") };
            assert_eq!(pixels[..6], [0, 80, 160, 1, 81, 161]);
            assert!(cifar.read(0, 2).is_err() && cifar.read(5, 0).is_err());
            assert!(cifar.locate(0, 1).ends_with("train.bin, record 1"));
        }
        let whole = config::Cifar100 { root: root.path().to_owned(), ..Default::default() };
        let error = Cifar100::create(&whole).err().expect("too short");
        assert!(error.message.contains("has 6148 bytes, expected 50000 records of 3074 bytes"), "{error}");
    }
}
