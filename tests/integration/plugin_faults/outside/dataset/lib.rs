//! A dataset in a crate of its own: six grey pixels, every third without a label.

use infomax_sdk::{Dataset, DatasetDescription, DatasetFacts, Image, Result, Roles, Sample, Split};

/// Nothing can be set.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// The dataset.
pub struct Numbers;

impl Dataset for Numbers {
    type Config = NoConfig;

    fn describe(_: &NoConfig) -> Result<DatasetDescription> {
        Ok(DatasetDescription::default())
    }

    fn create(_: &NoConfig) -> Result<Self> {
        Ok(Self)
    }

    fn facts(&self) -> DatasetFacts {
        DatasetFacts {
            splits: vec![Split { name: "train".to_owned(), length: 6, labelled: true }],
            class_names: vec!["one".to_owned(), "two".to_owned()],
            roles: Roles { pretrain: vec![0], train: vec![0], test: vec![] },
            fingerprint: "numbers".to_owned(),
            notes: Vec::new(),
        }
    }

    fn read(&self, _: usize, index: u64) -> Result<Sample> {
        let image = Image::Rgb8 { width: 1, height: 1, pixels: vec![index as u8; 3] };
        Ok(Sample { image, label: [0, 1, -1][index as usize % 3] })
    }

    fn locate(&self, _: usize, index: u64) -> String {
        format!("number {index}")
    }
}

infomax_sdk::export_plugin! {
    datasets: { "numbers" => Numbers },
}
