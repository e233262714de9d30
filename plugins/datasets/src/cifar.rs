//! CIFAR-10 and CIFAR-100 from their binary archives: records of labels and three planes of 32×32.

use crate::{
    archive::{self, Archive},
    config::{self, Cifar100Labels},
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
    label_bytes: usize,
}

struct Part {
    records: Records,
    labels: Vec<u8>,
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
            Ok(Part { records, labels })
        };
        let train: Result<Vec<Part>> = version.train.iter().map(|name| part(name, version.train_records)).collect();
        let splits = [train?, vec![part(version.test, 10_000)?]];
        let mut hash = Sha256::new();
        for part in splits.iter().flatten() {
            hash.update(part.records.path().file_name().unwrap_or_default().as_encoded_bytes());
            hash.update(part.records.count().to_le_bytes());
            hash.update(&part.labels);
        }
        let length = |parts: &[Part]| parts.iter().map(|part| part.records.count()).sum();
        let split = |name: &str, parts| Split { name: name.to_owned(), length: length(parts), labelled: true };
        let facts = DatasetFacts {
            splits: vec![split("train", &splits[0]), split("test", &splits[1])],
            class_names: class_names(&folder.join(version.names), usize::from(version.class_count)),
            roles: Roles { pretrain: vec![0], train: vec![0], test: vec![1] },
            fingerprint: archive::hex(&hash.finalize()),
            notes: Vec::new(),
        };
        Ok(Self { splits, facts, label_bytes: version.label_bytes })
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
        part.records.read(index, self.label_bytes, &mut planes)?;
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
}

impl Dataset for Cifar100 {
    type Config = config::Cifar100;

    fn describe(config: &config::Cifar100) -> Result<DatasetDescription> {
        let class_count = if config.labels == Cifar100Labels::Fine { 100 } else { 20 };
        Ok(description(class_count, config.download, &CIFAR100))
    }

    fn create(config: &config::Cifar100) -> Result<Self> {
        let folder = CIFAR100.provide(&config.root, config.download, config.url.as_deref())?;
        let fine = config.labels == Cifar100Labels::Fine;
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
