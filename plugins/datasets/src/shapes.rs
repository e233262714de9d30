//! `shapes`: ten drawn shapes in clutter. An image is a function of (seed, split, index); nothing is stored.

mod draw;
mod geometry;

use crate::{archive, config};
use draw::draw;
use geometry::CLASSES;
use infomax_sdk::{Dataset, DatasetDescription, DatasetFacts, Error, Image, Key, Result, Roles, Sample, Split};
use sha2::{Digest, Sha256};

/// Part of the fingerprint: counts up whenever the same config draws other images.
const DRAWING_VERSION: u64 = 1;

/// Ten drawn shapes in clutter.
pub struct Shapes {
    config: config::Shapes,
    splits: [(Key, u64); 2],
}

impl Dataset for Shapes {
    type Config = config::Shapes;

    fn describe(config: &config::Shapes) -> Result<DatasetDescription> {
        let size = config.size;
        if size != 32 && size != 64 {
            return Err(Error::config(format!("`size` is `{size}`")).hint("choose 32 or 64 pixels a side"));
        }
        for (name, length) in [("train_length", config.train_length), ("test_length", config.test_length)] {
            if !(10..=10_000_000).contains(&length) {
                return Err(Error::config(format!("`{name}` is `{length}`")).hint("choose 10 to 10,000,000 images"));
            }
        }
        Ok(DatasetDescription { class_count: Some(CLASSES.len()), image_size: Some([size; 2]), download_bytes: 0 })
    }

    fn create(config: &config::Shapes) -> Result<Self> {
        Self::describe(config)?;
        let key = Key::new(config.seed).purpose("shapes");
        let splits = [(key.purpose("train"), config.train_length), (key.purpose("test"), config.test_length)];
        Ok(Self { config: config.clone(), splits })
    }

    fn facts(&self) -> DatasetFacts {
        let config::Shapes { size, train_length, test_length, seed } = self.config;
        let mut hash = Sha256::new();
        for number in [DRAWING_VERSION, u64::from(size), train_length, test_length, seed] {
            hash.update(number.to_le_bytes());
        }
        let split = |name: &str, length| Split { name: name.to_owned(), length, labelled: true };
        DatasetFacts {
            splits: vec![split("train", train_length), split("test", test_length)],
            class_names: CLASSES.map(str::to_owned).to_vec(),
            roles: Roles { pretrain: vec![0], train: vec![0], test: vec![1] },
            fingerprint: archive::hex(&hash.finalize()),
            notes: Vec::new(),
        }
    }

    fn read(&self, split: usize, index: u64) -> Result<Sample> {
        let missing = || Error::data(format!("there is no image {index} in split {split}"));
        let &(key, length) = self.splits.get(split).ok_or_else(missing)?;
        if index >= length {
            return Err(missing());
        }
        let label = label_of(index);
        let (width, height) = (self.config.size, self.config.size);
        let pixels = draw(label, key.fold(index), self.config.size as usize);
        Ok(Sample { image: Image::Rgb8 { width, height, pixels }, label: label as i64 })
    }

    fn labels(&self, split: usize) -> Result<Vec<i64>> {
        let length = self.splits.get(split).map_or(0, |&(_, length)| length);
        Ok((0..length).map(|index| label_of(index) as i64).collect())
    }

    fn locate(&self, split: usize, index: u64) -> String {
        let name = ["train", "test"].get(split).copied().unwrap_or("?");
        format!("shapes of seed {}, {name}, image {index}", self.config.seed)
    }
}

/// Every class as often as any other.
fn label_of(index: u64) -> usize {
    (index % CLASSES.len() as u64) as usize
}

#[cfg(test)]
mod tests;
