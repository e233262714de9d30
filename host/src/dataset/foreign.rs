//! The host's side of a dataset plugin.

use crate::plugin::{Component, PluginError, request_text};
use infomax_abi::FfiDataset;
use infomax_sdk::{DatasetFacts, Error as ComponentError, Image, Sample, requests::Request};
use std::sync::Arc;

/// A dataset of a loaded library; shared by loader threads.
#[derive(Clone)]
pub struct ForeignDataset(Arc<Inner>);

struct Inner {
    component: Component,
    ffi: FfiDataset,
}

// SAFETY: a dataset is `Send + Sync` on the plugin's side, by the bound of the author's trait.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl ForeignDataset {
    /// Opens the dataset.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn create(component: &Component, request: &Request) -> Result<Self, PluginError> {
        let request = request_text(request);
        let create = component.library.module.create_dataset();
        let ffi = component.origin.take("create", create(component.name.as_str().into(), request.as_str().into()))?;
        Ok(Self(Arc::new(Inner { component: component.clone(), ffi })))
    }

    /// What was found.
    ///
    /// # Errors
    /// What the plugin says, or facts that contradict themselves.
    pub fn facts(&self) -> Result<DatasetFacts, PluginError> {
        self.facts_and_state().map(|(facts, _)| facts)
    }

    /// What was found, and the state of the files; empty where the plugin says nothing of it.
    ///
    /// # Errors
    /// As [`ForeignDataset::facts`].
    pub fn facts_and_state(&self) -> Result<(DatasetFacts, String), PluginError> {
        #[derive(serde::Deserialize)]
        struct State {
            #[serde(default)]
            state: String,
        }
        let Inner { component, ffi } = &*self.0;
        let text = component.origin.take("facts", ffi.vtable.facts()(ffi.instance))?;
        let facts: DatasetFacts = component.read("facts", &text)?;
        let State { state } = component.read("facts", &text)?;
        let roles = [&facts.roles.pretrain, &facts.roles.train, &facts.roles.test];
        if let Some(split) = roles.into_iter().flatten().find(|&&split| split >= facts.splits.len()) {
            let message = format!("a role names split {split} of {}", facts.splits.len());
            return Err(component.origin.breach("facts", message, "see `DatasetFacts::roles`"));
        }
        Ok((facts, state))
    }

    /// Reads one image.
    ///
    /// # Errors
    /// What the plugin says, or pixels that don't fit their size.
    pub fn read(&self, split: usize, index: u64) -> Result<Sample, PluginError> {
        let Inner { component, ffi } = &*self.0;
        let sample = component.origin.take("read", ffi.vtable.read()(ffi.instance, split as u64, index))?;
        let bytes: Vec<u8> = sample.bytes.into_vec();
        let image = match sample.encoding {
            0 => Image::Encoded(bytes),
            1 => {
                let expected = u64::from(sample.width) * u64::from(sample.height) * 3;
                if bytes.len() as u64 != expected {
                    let got = bytes.len();
                    let message = format!("{}×{} pixels need {expected} bytes, got {got}", sample.width, sample.height);
                    return Err(component.origin.breach("read", message, "see `Image::Rgb8`"));
                }
                Image::Rgb8 { width: sample.width, height: sample.height, pixels: bytes }
            }
            other => {
                let error = ComponentError::new(format!("unknown image encoding {other}"));
                return Err(component.origin.error("read", error));
            }
        };
        Ok(Sample { image, label: sample.label })
    }

    /// The labels of a split of `length` images; empty where the dataset does not know them without reading images.
    ///
    /// # Errors
    /// What the plugin says, or another number of labels than of images.
    pub fn labels(&self, split: usize, length: u64) -> Result<Vec<i64>, PluginError> {
        let Inner { component, ffi } = &*self.0;
        // Libraries built for version 1.0 of the boundary lack the function.
        let Some(labels) = ffi.vtable.labels() else { return Ok(Vec::new()) };
        let labels: Vec<i64> = component.origin.take("labels", labels(ffi.instance, split as u64))?.into_vec();
        if labels.is_empty() || labels.len() as u64 == length {
            return Ok(labels);
        }
        let message = format!("{} labels for the {length} images of split {split}", labels.len());
        Err(component.origin.breach("labels", message, "see `Dataset::labels`"))
    }

    /// Where an image comes from, for messages.
    pub fn locate(&self, split: usize, index: u64) -> String {
        let Inner { component, ffi } = &*self.0;
        let located = component.origin.take("locate", ffi.vtable.locate()(ffi.instance, split as u64, index));
        located.map_or_else(|_| format!("split {split}, image {index}"), |text| text.into_string())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.component.origin.take("drop", self.ffi.vtable.drop()(self.ffi.instance)) {
            log::warn!("{}", error.fault().message);
        }
    }
}
