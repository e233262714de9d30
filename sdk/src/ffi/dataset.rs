//! A dataset as the boundary's table of functions.

use super::instance::{drop_instance, hold, with};
use crate::{Dataset, Image, Result, requests::Request};
use infomax_abi::{
    DatasetVTable, DatasetVTableRef, Extension, FfiDataset, FfiResult, FfiSample, Instance,
    abi_stable::{
        prefix_type::WithMetadata,
        staticref,
        std_types::{RStr, RString, RVec},
    },
};
use std::marker::PhantomData;

/// Describes a dataset.
///
/// # Errors
/// As the author's `describe`.
pub fn describe<T: Dataset>(request: Request) -> Result<String> {
    super::module::to_json(&T::describe(&super::module::config(request.config)?)?)
}

/// Makes a dataset.
///
/// # Errors
/// As the author's `create`.
pub fn create<T: Dataset>(request: Request) -> Result<FfiDataset> {
    let dataset = T::create(&super::module::config(request.config)?)?;
    Ok(FfiDataset { instance: hold(dataset), vtable: DatasetVTableRef(Provider::<T>::VTABLE.as_prefix()) })
}

/// What the function `facts` of the table gives; hosts that know no state pass over it.
#[derive(serde::Serialize)]
struct FactsAndState {
    #[serde(flatten)]
    facts: crate::DatasetFacts,
    state: String,
}

struct Provider<T>(PhantomData<T>);

impl<T: Dataset> Provider<T> {
    staticref!(const VTABLE: WithMetadata<DatasetVTable> = WithMetadata::new(DatasetVTable {
        drop: Self::drop,
        facts: Self::facts,
        read: Self::read,
        locate: Self::locate,
        extension: Self::extension,
        labels: Self::labels,
    }));

    extern "C" fn drop(instance: Instance) -> FfiResult<()> {
        // SAFETY: the host passes the instance that it got with this table, once.
        unsafe { drop_instance::<T>(instance) }
    }

    extern "C" fn facts(instance: Instance) -> FfiResult<RString> {
        // SAFETY: the host passes the instance that it got with this table.
        unsafe {
            with(instance, |dataset: &T| {
                let told = FactsAndState { facts: dataset.facts(), state: dataset.state() };
                super::module::to_json(&told).map(RString::from)
            })
        }
    }

    extern "C" fn read(instance: Instance, split: u64, index: u64) -> FfiResult<FfiSample> {
        // SAFETY: the host passes the instance that it got with this table; a dataset is `Sync`.
        unsafe {
            with(instance, |dataset: &T| {
                let sample = dataset.read(split as usize, index)?;
                let (encoding, width, height, bytes) = match sample.image {
                    Image::Encoded(bytes) => (0, 0, 0, bytes),
                    Image::Rgb8 { width, height, pixels } => (1, width, height, pixels),
                };
                Ok(FfiSample { encoding, width, height, bytes: bytes.into(), label: sample.label })
            })
        }
    }

    extern "C" fn locate(instance: Instance, split: u64, index: u64) -> FfiResult<RString> {
        // SAFETY: the host passes the instance that it got with this table; a dataset is `Sync`.
        unsafe { with(instance, |dataset: &T| Ok(dataset.locate(split as usize, index).into())) }
    }

    extern "C" fn labels(instance: Instance, split: u64) -> FfiResult<RVec<i64>> {
        // SAFETY: the host passes the instance that it got with this table; a dataset is `Sync`.
        unsafe { with(instance, |dataset: &T| Ok(dataset.labels(split as usize)?.into())) }
    }

    extern "C" fn extension(_: Instance, _: RStr<'_>) -> Extension {
        std::ptr::null()
    }
}
