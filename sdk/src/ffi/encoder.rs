//! An encoder as the boundary's table of functions.

use super::{
    instance::{drop_instance, hold, with, with_mut},
    module::{config, device, from_json, to_json},
    tensor::{borrow, give, give_named},
};
use crate::{Encoder, Error, Mode, Result, nn::raised_after, requests::Request};
use infomax_abi::{
    EncoderVTable, EncoderVTableRef, Extension, FfiEncoder, FfiNamedTensor, FfiResult, FfiTensor, Instance, TensorPtr,
    abi_stable::{
        prefix_type::WithMetadata,
        staticref,
        std_types::{RSlice, RStr, RString, RVec},
    },
    encoder::{MODE_EVALUATE, MODE_REFRESH_STATISTICS, MODE_TRAIN, MODE_TRAIN_FROZEN_STATISTICS},
};
use std::marker::PhantomData;

/// Describes an encoder.
///
/// # Errors
/// As the author's `describe`.
pub fn describe<T: Encoder>(request: Request) -> Result<String> {
    to_json(&T::describe(&config(request.config)?, &request.encoder)?)
}

/// Makes an encoder.
///
/// # Errors
/// As the author's `create`.
pub fn create<T: Encoder>(request: Request) -> Result<FfiEncoder> {
    let encoder = T::create(&config(request.config)?, &request.encoder, device(&request.device)?)?;
    Ok(FfiEncoder { instance: hold(encoder), vtable: EncoderVTableRef(Provider::<T>::VTABLE.as_prefix()) })
}

/// The boundary's number of a mode.
pub fn mode_code(mode: Mode) -> u32 {
    match mode {
        Mode::Train => MODE_TRAIN,
        Mode::TrainFrozenStatistics => MODE_TRAIN_FROZEN_STATISTICS,
        Mode::RefreshStatistics => MODE_REFRESH_STATISTICS,
        Mode::Evaluate => MODE_EVALUATE,
    }
}

fn mode(code: u32) -> Result<Mode> {
    let known = [Mode::Train, Mode::TrainFrozenStatistics, Mode::RefreshStatistics, Mode::Evaluate];
    known.into_iter().find(|&mode| mode_code(mode) == code).ok_or_else(|| {
        Error::new(format!("the host asks for mode {code}, which this plugin's SDK does not know"))
            .hint("rebuild the plugin against the host's SDK")
    })
}

struct Provider<T>(PhantomData<T>);

impl<T: Encoder> Provider<T> {
    staticref!(const VTABLE: WithMetadata<EncoderVTable> = WithMetadata::new(EncoderVTable {
        drop: Self::drop,
        forward: Self::forward,
        tensors: Self::tensors,
        state_save: Self::state_save,
        state_load: Self::state_load,
        extension: Self::extension,
    }));

    extern "C" fn drop(instance: Instance) -> FfiResult<()> {
        // SAFETY: the host passes the instance that it got with this table, once.
        unsafe { drop_instance::<T>(instance) }
    }

    extern "C" fn forward(instance: Instance, views: RSlice<'_, TensorPtr>, code: u32) -> FfiResult<RVec<FfiTensor>> {
        // SAFETY: the host passes its instance, from one thread at a time, and live tensors.
        unsafe {
            with_mut(instance, |encoder: &mut T| {
                let views: Option<Vec<_>> = views.iter().map(|&view| borrow(view)).collect();
                let views = views.ok_or_else(|| Error::new("the host passed no tensor for a view"))?;
                let mode = mode(code)?;
                let maps = raised_after(|| encoder.forward(&views, mode))?;
                Ok(maps.into_iter().flatten().map(give).collect())
            })
        }
    }

    extern "C" fn tensors(instance: Instance) -> FfiResult<RVec<FfiNamedTensor>> {
        // SAFETY: the host passes its instance, from one thread at a time.
        unsafe { with(instance, |encoder: &T| Ok(give_named(encoder.tensors())?.into())) }
    }

    extern "C" fn state_save(instance: Instance) -> FfiResult<RString> {
        // SAFETY: the host passes its instance, from one thread at a time.
        unsafe { with(instance, |encoder: &T| to_json(&encoder.save()).map(RString::from)) }
    }

    extern "C" fn state_load(instance: Instance, state: RStr<'_>) -> FfiResult<()> {
        // SAFETY: the host passes its instance, from one thread at a time.
        unsafe { with_mut(instance, |encoder: &mut T| encoder.load(from_json(&state)?)) }
    }

    extern "C" fn extension(_: Instance, _: RStr<'_>) -> Extension {
        std::ptr::null()
    }
}
