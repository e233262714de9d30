//! STL-10 from its binary archive: images of 96×96 as three planes, each column by column, and labels from 1 to 10.

use crate::{
    archive::{self, Archive},
    config,
    records::Records,
};
use infomax_sdk::{Dataset, DatasetDescription, DatasetFacts, Error, Image, Result, Roles, Sample, Split, UNLABELLED};
use sha2::{Digest, Sha256};

const SIDE: usize = 96;
const PLANE: usize = SIDE * SIDE;
const CLASSES: [&str; 10] = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"];

const STL10: Archive = Archive {
    folder: "stl10_binary",
    file: "stl10_binary.tar.gz",
    url: "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    md5: "91f7769df0f17e558f3565bffb0c7dfb",
    bytes: 2_640_397_119,
    members: &["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin"],
    largest_member: 100_000 * 3 * PLANE as u64,
};

/// STL-10.
pub struct Stl10 {
    images: [Records; 3],
    labels: [Vec<u8>; 2],
    facts: DatasetFacts,
}

impl Dataset for Stl10 {
    type Config = config::Stl10;

    fn describe(config: &config::Stl10) -> Result<DatasetDescription> {
        let download_bytes = if config.download { STL10.bytes } else { 0 };
        Ok(DatasetDescription { class_count: Some(10), image_size: Some([SIDE as u32; 2]), download_bytes })
    }

    fn create(config: &config::Stl10) -> Result<Self> {
        let folder = STL10.provide(&config.root, config.download, config.url.as_deref())?;
        let open =
            |name: &str, length, published| Records::open(&folder.join(name), length, published, config.allow_subset);
        let train = open("train_X.bin", 3 * PLANE, 5_000)?;
        let test = open("test_X.bin", 3 * PLANE, 8_000)?;
        let unlabelled = open("unlabeled_X.bin", 3 * PLANE, 100_000)?;
        let train_labels = open("train_y.bin", 1, train.count())?.labels(0, 1, 10)?;
        let test_labels = open("test_y.bin", 1, test.count())?.labels(0, 1, 10)?;
        let labels = [train_labels, test_labels];
        let images = [train, test, unlabelled];
        for (labels, images) in labels.iter().zip(&images) {
            if labels.len() as u64 != images.count() {
                let (images, path) = (images.count(), crate::names::path(images.path()));
                return Err(Error::data(format!(
                    "`{path}` has {images} images, but there are {} labels",
                    labels.len()
                )));
            }
        }
        let mut hash = Sha256::new();
        images.iter().for_each(|records| hash.update(records.count().to_le_bytes()));
        labels.iter().for_each(|labels| hash.update(labels));
        let split = |name: &str, index: usize| Split {
            name: name.to_owned(),
            length: images[index].count(),
            labelled: index < 2,
        };
        let facts = DatasetFacts {
            splits: vec![split("train", 0), split("test", 1), split("unlabelled", 2)],
            class_names: CLASSES.map(str::to_owned).to_vec(),
            roles: Roles { pretrain: vec![0, 2], train: vec![0], test: vec![1] },
            fingerprint: archive::hex(&hash.finalize()),
            notes: Vec::new(),
        };
        Ok(Self { images, labels, facts })
    }

    fn facts(&self) -> DatasetFacts {
        self.facts.clone()
    }

    fn state(&self) -> String {
        self.images.iter().map(Records::state).collect::<Vec<_>>().join("; ")
    }

    fn read(&self, split: usize, index: u64) -> Result<Sample> {
        let records = self.images.get(split).ok_or_else(|| Error::data(format!("there is no split `{split}`")))?;
        let mut planes = vec![0; 3 * PLANE];
        records.read(index, 0, &mut planes)?;
        let mut pixels = Vec::with_capacity(planes.len());
        for y in 0..SIDE {
            for x in 0..SIDE {
                pixels.extend((0..3).map(|channel| planes[channel * PLANE + x * SIDE + y]));
            }
        }
        let label = self.labels.get(split).map_or(UNLABELLED, |labels| i64::from(labels[index as usize]));
        Ok(Sample { image: Image::Rgb8 { width: SIDE as u32, height: SIDE as u32, pixels }, label })
    }

    fn locate(&self, split: usize, index: u64) -> String {
        self.images.get(split).map_or_else(|| format!("split {split}"), |records| records.locate(index))
    }

    fn labels(&self, split: usize) -> Result<Vec<i64>> {
        let known = |labels: &Vec<u8>| labels.iter().map(|&label| i64::from(label)).collect();
        let unlabelled = || self.images.get(split).map_or(0, |records| records.count() as usize);
        Ok(self.labels.get(split).map_or_else(|| vec![UNLABELLED; unlabelled()], known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn columns_become_rows_and_labels_start_at_zero() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("stl10_binary");
        fs::create_dir(&folder).expect("created");
        let mut image = vec![0; 3 * PLANE];
        image[5] = 50; // red, column 0, row 5
        image[PLANE + 2 * SIDE + 1] = 60; // green, column 2, row 1
        for name in ["train_X.bin", "test_X.bin", "unlabeled_X.bin"] {
            fs::write(folder.join(name), &image).expect("written");
        }
        fs::write(folder.join("train_y.bin"), [10]).expect("written");
        fs::write(folder.join("test_y.bin"), [1]).expect("written");
        let config = config::Stl10 { root: root.path().to_owned(), allow_subset: true, ..Default::default() };
        let stl = Stl10::create(&config).expect("sound");
        assert_eq!(stl.facts().roles.pretrain, [0, 2]);
        let labels = [0, 1, 2].map(|split| stl.read(split, 0).expect("an image").label);
        assert_eq!(labels, [9, 0, UNLABELLED]);
        assert_eq!([0, 1, 2].map(|split| stl.labels(split).expect("known")), [[9], [0], [UNLABELLED]]);
        let Image::Rgb8 { pixels, .. } = stl.read(2, 0).expect("an image").image else { panic!("pixels") };
        assert_eq!((pixels[5 * SIDE * 3], pixels[(SIDE + 2) * 3 + 1]), (50, 60));
        assert_eq!(pixels.iter().filter(|&&value| value != 0).count(), 2);
        fs::write(folder.join("test_y.bin"), [0]).expect("written");
        let error = Stl10::create(&config).err().expect("a label of 0");
        assert!(error.message.contains("record 0: label `0` lies outside 1 to 10"), "{error}");
    }
}
