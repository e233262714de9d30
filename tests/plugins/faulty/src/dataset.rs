//! Random pixels of two classes.

use crate::config::{Callback, Fault, FaultyConfig};
use infomax_sdk::{Dataset, DatasetDescription, DatasetFacts, Image, Key, Result, Roles, Sample, Split};

const SIDE: u32 = 4;
const IMAGES: u64 = 64;

/// The dataset.
pub struct FaultyDataset(FaultyConfig);

impl Dataset for FaultyDataset {
    type Config = FaultyConfig;

    fn describe(config: &FaultyConfig) -> Result<DatasetDescription> {
        config.trip(Callback::Describe)?;
        Ok(DatasetDescription { class_count: Some(2), image_size: Some([SIDE, SIDE]), download_bytes: 0 })
    }

    fn create(config: &FaultyConfig) -> Result<Self> {
        config.trip(Callback::Create)?;
        Ok(Self(config.clone()))
    }

    fn facts(&self) -> DatasetFacts {
        self.0.trip_hard(Callback::Facts);
        let split = |name: &str| Split { name: name.to_owned(), length: IMAGES, labelled: true };
        let missing = self.0.has(Callback::Facts, Fault::Missing);
        DatasetFacts {
            splits: vec![split("train"), split("test")],
            class_names: vec!["even".to_owned(), "odd".to_owned()],
            roles: Roles { pretrain: vec![if missing { 7 } else { 0 }], train: vec![0], test: vec![1] },
            fingerprint: "faulty".to_owned(),
            notes: Vec::new(),
        }
    }

    fn read(&self, split: usize, index: u64) -> Result<Sample> {
        self.0.trip(Callback::Read)?;
        let mut draw = Key::new(split as u64).fold(index).rng();
        let width = if self.0.has(Callback::Read, Fault::Shape) { SIDE + 1 } else { SIDE };
        let pixels = (0..SIDE * SIDE * 3).map(|_| draw.below(256) as u8).collect();
        Ok(Sample { image: Image::Rgb8 { width, height: SIDE, pixels }, label: (index % 2) as i64 })
    }

    fn locate(&self, split: usize, index: u64) -> String {
        self.0.trip_hard(Callback::Locate);
        format!("drawn, split {split}, image {index}")
    }

    fn labels(&self, _: usize) -> Result<Vec<i64>> {
        self.0.trip(Callback::Labels)?;
        let more = u64::from(self.0.has(Callback::Labels, Fault::Shape));
        Ok((0..IMAGES + more).map(|index| (index % 2) as i64).collect())
    }
}

impl Drop for FaultyDataset {
    fn drop(&mut self) {
        self.0.trip_hard(Callback::Drop);
    }
}
