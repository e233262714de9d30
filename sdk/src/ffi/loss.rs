//! A loss as the boundary's table of functions.

use super::{
    instance::{drop_instance, hold, with, with_mut},
    module::{config, device, from_json, to_json},
    tensor::{borrow, give, give_named, give_none},
};
use crate::{
    Error, Facts, Feature, Features, Gradients, Key, Kind, Loss, Result, Source, Tensor, Terms, key::follow,
    nn::raised_after, requests::Request,
};
use infomax_abi::{
    Extension, FfiFacts, FfiFeature, FfiGradients, FfiLoss, FfiNamedTensor, FfiResult, FfiTerm, FfiTerms, Instance,
    LossVTable, LossVTableRef,
    abi_stable::{
        prefix_type::WithMetadata,
        staticref,
        std_types::{RSlice, RStr, RString, RVec},
    },
};
use std::marker::PhantomData;

/// Describes a loss.
///
/// # Errors
/// As the author's `describe`.
pub fn describe<T: Loss>(request: Request) -> Result<String> {
    to_json(&T::describe(&config(request.config)?, &request.loss)?)
}

/// Makes a loss.
///
/// # Errors
/// As the author's `create`.
pub fn create<T: Loss>(request: Request) -> Result<FfiLoss> {
    let loss = T::create(&config(request.config)?, &request.loss, device(&request.device)?)?;
    let maps = request.loss.maps.into_iter().map(|map| map.name).collect();
    Ok(FfiLoss { instance: hold(Named { loss, maps }), vtable: LossVTableRef(Provider::<T>::VTABLE.as_prefix()) })
}

/// A loss with the names of the encoder's maps, which cross the boundary by position.
struct Named<T> {
    loss: T,
    maps: Vec<String>,
}

struct Provider<T>(PhantomData<T>);

impl<T: Loss> Provider<T> {
    staticref!(const VTABLE: WithMetadata<LossVTable> = WithMetadata::new(LossVTable {
        drop: Self::drop,
        forward: Self::forward,
        forward_backward: Self::forward_backward,
        before_step: Self::before_step,
        after_update: Self::after_update,
        tensors: Self::tensors,
        state_save: Self::state_save,
        state_load: Self::state_load,
        extension: Self::extension,
        #[cfg(feature = "next")]
        appended: Self::appended,
    }));

    extern "C" fn drop(instance: Instance) -> FfiResult<()> {
        // SAFETY: the host passes the instance that it got with this table, once.
        unsafe { drop_instance::<Named<T>>(instance) }
    }

    extern "C" fn forward(
        instance: Instance,
        features: RSlice<'_, FfiFeature>,
        facts: &FfiFacts<'_>,
        from: u64,
        to: u64,
    ) -> FfiResult<FfiTerms> {
        // SAFETY: the host passes its instance, from one thread at a time, and live tensors.
        unsafe {
            with(instance, |named: &Named<T>| {
                let features = own_features(features.as_slice(), &named.maps)?;
                let facts = own_facts(facts);
                let _following = follow(facts.key);
                let terms = raised_after(|| named.loss.forward(&features, &facts, from as i64..to as i64))?;
                Ok(give_terms(terms))
            })
        }
    }

    extern "C" fn forward_backward(
        instance: Instance,
        features: RSlice<'_, FfiFeature>,
        facts: &FfiFacts<'_>,
        from: u64,
        to: u64,
    ) -> FfiResult<FfiGradients> {
        // SAFETY: the host passes its instance, from one thread at a time, and live tensors.
        unsafe {
            with(instance, |named: &Named<T>| {
                let features = own_features(features.as_slice(), &named.maps)?;
                let facts = own_facts(facts);
                let _following = follow(facts.key);
                let Gradients { terms, features, parameters } =
                    raised_after(|| named.loss.forward_backward(&features, &facts, from as i64..to as i64))?;
                Ok(FfiGradients {
                    terms: give_terms(terms),
                    features: features.into_iter().map(|g| g.map_or_else(give_none, give)).collect(),
                    parameters: give_pairs(parameters),
                })
            })
        }
    }

    extern "C" fn before_step(instance: Instance, facts: &FfiFacts<'_>) -> FfiResult<()> {
        // SAFETY: the host passes its instance, from one thread at a time, and live tensors.
        unsafe {
            with_mut(instance, |named: &mut Named<T>| {
                let facts = own_facts(facts);
                let _following = follow(facts.key);
                named.loss.before_step(&facts)
            })
        }
    }

    extern "C" fn after_update(
        instance: Instance,
        features: RSlice<'_, FfiFeature>,
        facts: &FfiFacts<'_>,
    ) -> FfiResult<()> {
        // SAFETY: the host passes its instance, from one thread at a time, and live tensors.
        unsafe {
            with_mut(instance, |named: &mut Named<T>| {
                let features = own_features(features.as_slice(), &named.maps)?;
                let facts = own_facts(facts);
                let _following = follow(facts.key);
                raised_after(|| named.loss.after_update(&features, &facts))
            })
        }
    }

    extern "C" fn tensors(instance: Instance) -> FfiResult<RVec<FfiNamedTensor>> {
        // SAFETY: the host passes its instance, from one thread at a time.
        unsafe { with(instance, |named: &Named<T>| Ok(give_named(named.loss.tensors())?.into())) }
    }

    extern "C" fn state_save(instance: Instance) -> FfiResult<RString> {
        // SAFETY: the host passes its instance, from one thread at a time.
        unsafe { with(instance, |named: &Named<T>| to_json(&named.loss.save()).map(RString::from)) }
    }

    extern "C" fn state_load(instance: Instance, state: RStr<'_>) -> FfiResult<()> {
        // SAFETY: the host passes its instance, from one thread at a time.
        unsafe { with_mut(instance, |named: &mut Named<T>| named.loss.load(from_json(&state)?)) }
    }

    extern "C" fn extension(_: Instance, _: RStr<'_>) -> Extension {
        std::ptr::null()
    }

    #[cfg(feature = "next")]
    extern "C" fn appended(_: Instance) -> u32 {
        2
    }
}

/// # Safety
/// The tensors are live for the call.
unsafe fn own_features(features: &[FfiFeature], maps: &[String]) -> Result<Features> {
    let own = |feature: &FfiFeature| {
        // SAFETY: the caller's promise.
        let tensor = unsafe { borrow(feature.tensor) };
        Ok(Feature {
            view: feature.view as usize,
            source: if feature.encoder == 1 { Source::MomentumEncoder } else { Source::Encoder },
            map: maps.get(feature.map as usize).cloned().ok_or_else(|| Error::new("the host passed an unknown map"))?,
            tensor: tensor.ok_or_else(|| Error::new("the host passed no tensor for a feature"))?,
        })
    };
    features.iter().map(own).collect::<Result<_>>().map(Features::new)
}

/// # Safety
/// The tensors are live for the call.
unsafe fn own_facts(facts: &FfiFacts<'_>) -> Facts {
    Facts {
        step: facts.step,
        total_steps: facts.total_steps,
        epoch: facts.epoch,
        key: Key([facts.key_a, facts.key_b]),
        world_size: facts.world_size,
        dtype: match facts.dtype {
            5 => Kind::F16,
            15 => Kind::Bf16,
            _ => Kind::F32,
        },
        // SAFETY: the caller's promise.
        labels: unsafe { borrow(facts.labels) },
        // SAFETY: the caller's promise.
        indices: unsafe { borrow(facts.indices) },
    }
}

fn give_terms(terms: Terms) -> FfiTerms {
    FfiTerms { total: give(terms.total), terms: give_pairs(terms.terms) }
}

fn give_pairs(pairs: Vec<(String, Tensor)>) -> RVec<FfiTerm> {
    pairs.into_iter().map(|(name, tensor)| FfiTerm { name: name.into(), tensor: give(tensor) }).collect()
}
