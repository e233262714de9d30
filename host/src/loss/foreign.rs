//! The host's side of a loss plugin: calls it and checks what it gives back.

use crate::{
    encoder::{call_in, report},
    native::{SharedState, versions},
    plugin::{Component, PluginError, enter, request_text},
    tensor::{Facts, Features, Gradients, NamedTensor, Terms, lend_facts, lend_features, take, take_named},
    train::Arithmetic,
};
use infomax_abi::{FfiFacts, FfiLoss, FfiTerm, FfiTerms};
use infomax_sdk::{LossDescription, LossInput, Source, requests::Request};
use serde_json::Value;
use std::ops::Range;
use tch::{Kind, Tensor};

/// A loss of a loaded library.
pub struct ForeignLoss {
    component: Component,
    ffi: FfiLoss,
    description: LossDescription,
    input: LossInput,
    arithmetic: Arithmetic,
}

// SAFETY: a loss is `Send` on the plugin's side, by the bound of the author's trait.
unsafe impl Send for ForeignLoss {}

/// Describes a loss, and refuses descriptions that can't be used.
///
/// # Errors
/// What the plugin says.
pub fn describe(component: &Component, request: &Request) -> Result<LossDescription, PluginError> {
    let description: LossDescription = component.describe(request)?;
    let input = &request.loss;
    for need in &description.needs {
        let unknown = need.maps.iter().find(|map| input.map(map).is_none());
        if need.view >= input.views.len() || unknown.is_some() {
            let message = format!("it needs {:?} of view {}, which don't exist", need.maps, need.view);
            return Err(component.origin.breach("describe", message, "see `LossInput`"));
        }
    }
    if description.momentum.is_none() && description.needs.iter().any(|need| need.source == Source::MomentumEncoder) {
        let message = "it needs maps of a momentum encoder, but gives no schedule for one".to_owned();
        return Err(component.origin.breach("describe", message, "set `LossDescription::momentum`"));
    }
    if description.needs.iter().all(|need| need.source == Source::MomentumEncoder) {
        let message = "it needs no feature of the encoder, so nothing would learn".to_owned();
        return Err(component.origin.breach("describe", message, "list maps under `needs`"));
    }
    Ok(description)
}

impl ForeignLoss {
    /// Makes the loss with fresh weights.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn create(component: &Component, request: &Request) -> Result<Self, PluginError> {
        let description = describe(component, request)?;
        let text = request_text(request);
        let create = component.library.module.create_loss();
        let state = SharedState::now();
        let call = enter(component, "create");
        let made = create(component.name.as_str().into(), text.as_str().into());
        drop(call);
        report(component, "create", state);
        let ffi = component.origin.take("create", made)?;
        let arithmetic = Arithmetic::default();
        Ok(Self { component: component.clone(), ffi, description, input: request.loss.clone(), arithmetic })
    }

    /// Runs its calls in a number format; f32 without this.
    #[must_use]
    pub fn computing_in(mut self, arithmetic: Arithmetic) -> Self {
        self.arithmetic = arithmetic;
        self
    }

    /// Who the loss is, for messages.
    pub fn label(&self) -> &str {
        &self.component.origin.component
    }

    /// What the loss needs and offers.
    pub fn description(&self) -> &LossDescription {
        &self.description
    }

    /// The loss of some source rows, by operations that autograd follows.
    ///
    /// # Errors
    /// What the plugin says, or what it got wrong.
    pub fn forward(&self, features: &Features, facts: &Facts, rows: Range<i64>) -> Result<Terms, PluginError> {
        let (lent, before) = (lend_features(features, &self.input.maps), versions(tensors_of(features)));
        let call = self.ffi.vtable.forward();
        let given = self.during("forward", facts, |f| {
            call(self.ffi.instance, lent.as_slice().into(), f, rows.start as u64, rows.end as u64)
        });
        let terms = self.take_terms("forward", self.component.origin.take("forward", given)?)?;
        self.check_unchanged("forward", features, &before)?;
        if SharedState::now().grad_mode() && !terms.total.requires_grad() {
            let message = "its total has no gradient, so nothing would learn".to_owned();
            return Err(self.breach("forward", message, "don't detach features, and keep gradient tracking on"));
        }
        Ok(terms)
    }

    /// The loss of some source rows with gradients by hand.
    ///
    /// # Errors
    /// What the plugin says, or what it got wrong.
    pub fn forward_backward(
        &self,
        features: &Features,
        facts: &Facts,
        rows: Range<i64>,
    ) -> Result<Gradients, PluginError> {
        const CALL: &str = "forward_backward";
        let (lent, before) = (lend_features(features, &self.input.maps), versions(tensors_of(features)));
        let call = self.ffi.vtable.forward_backward();
        let given = self.during(CALL, facts, |f| {
            call(self.ffi.instance, lent.as_slice().into(), f, rows.start as u64, rows.end as u64)
        });
        let given = self.component.origin.take(CALL, given)?;
        self.check_unchanged(CALL, features, &before)?;
        let terms = self.take_terms(CALL, given.terms)?;
        if given.features.len() != features.items().len() {
            let (got, expected) = (given.features.len(), features.items().len());
            let message = format!("{got} gradients for {expected} features");
            return Err(self.breach(CALL, message, "give one per feature, none for zero"));
        }
        let mut gradients = Vec::with_capacity(features.items().len());
        for (given, feature) in given.features.into_iter().zip(features.items()) {
            // SAFETY: the plugin handed the tensor over.
            let gradient = unsafe { take(given) };
            if let Some(gradient) = gradient.as_ref().filter(|g| g.size() != feature.tensor.size()) {
                let (got, expected) = (gradient.size(), feature.tensor.size());
                let message = format!("the gradient of `{}` has the shape {got:?}, expected {expected:?}", feature.map);
                return Err(self.breach(CALL, message, "a gradient has its feature's shape"));
            }
            gradients.push(gradient);
        }
        let parameters = self.take_pairs(CALL, given.parameters.into_vec())?;
        Ok(Gradients { terms, features: gradients, parameters })
    }

    /// A call with facts, in the loss's number format.
    fn during<T>(&self, call: &'static str, facts: &Facts, run: impl FnOnce(&FfiFacts<'_>) -> T) -> T {
        call_in(self.arithmetic, &self.component, call, || lend_facts(facts, run))
    }

    /// The error for a gradient of a parameter that the loss does not have.
    pub(crate) fn unknown_gradient(&self, name: &str) -> PluginError {
        let message = format!("it gives a gradient for `{name}`, which is none of its parameters");
        self.breach("forward_backward", message, "use the names that `tensors` gives")
    }

    /// Before a step's forward pass.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn before_step(&mut self, facts: &Facts) -> Result<(), PluginError> {
        let given = self.during("before_step", facts, |f| self.ffi.vtable.before_step()(self.ffi.instance, f));
        self.component.origin.take("before_step", given)
    }

    /// After a step's update.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn after_update(&mut self, features: &Features, facts: &Facts) -> Result<(), PluginError> {
        let (lent, before) = (lend_features(features, &self.input.maps), versions(tensors_of(features)));
        let call = self.ffi.vtable.after_update();
        let given = self.during("after_update", facts, |f| call(self.ffi.instance, lent.as_slice().into(), f));
        self.component.origin.take("after_update", given)?;
        self.check_unchanged("after_update", features, &before)
    }

    /// Parameters and buffers, sharing storage with the loss's own.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn tensors(&self) -> Result<Vec<NamedTensor>, PluginError> {
        let _call = enter(&self.component, "tensors");
        let given = self.component.origin.take("tensors", self.ffi.vtable.tensors()(self.ffi.instance))?;
        // SAFETY: the plugin handed the tensors over.
        unsafe { take_named(given.into_vec()) }.map_err(|error| self.component.origin.error("tensors", error))
    }

    /// State that is not a tensor.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn save(&self) -> Result<Value, PluginError> {
        let _call = enter(&self.component, "save");
        let text = self.component.origin.take("save", self.ffi.vtable.state_save()(self.ffi.instance))?;
        self.component.read("save", &text)
    }

    /// Gives state back.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn load(&mut self, state: &Value) -> Result<(), PluginError> {
        let _call = enter(&self.component, "load");
        let text = state.to_string();
        self.component.origin.take("load", self.ffi.vtable.state_load()(self.ffi.instance, text.as_str().into()))
    }

    /// Features are lent: the loss may read them and no more.
    fn check_unchanged(&self, call: &'static str, features: &Features, before: &[i64]) -> Result<(), PluginError> {
        let changed = before.iter().zip(versions(tensors_of(features))).position(|(before, now)| *before != now);
        let Some(feature) = changed.map(|at| &features.items()[at]) else { return Ok(()) };
        let message = format!("it changed `{}` of view {}, which it was lent, in place", feature.map, feature.view);
        Err(self.breach(call, message, "make a copy to write to: others read the features, too"))
    }

    fn take_terms(&self, call: &'static str, given: FfiTerms) -> Result<Terms, PluginError> {
        // SAFETY: the plugin handed the tensor over.
        let total = self.scalar(call, "total", unsafe { take(given.total) })?;
        let terms = self.take_pairs(call, given.terms.into_vec())?;
        for (name, term) in &terms {
            let _ = self.scalar(call, name, Some(term.shallow_clone()))?;
        }
        Ok(Terms { total, terms })
    }

    fn take_pairs(&self, call: &'static str, given: Vec<FfiTerm>) -> Result<Vec<(String, Tensor)>, PluginError> {
        let take_one = |term: FfiTerm| {
            let name = term.name.into_string();
            // SAFETY: the plugin handed the tensor over.
            let tensor = unsafe { take(term.tensor) }.filter(Tensor::defined);
            let undefined = || self.breach(call, format!("`{name}` is undefined"), "give every tensor it names");
            Ok((name.clone(), tensor.ok_or_else(undefined)?))
        };
        given.into_iter().map(take_one).collect()
    }

    fn scalar(&self, call: &'static str, name: &str, tensor: Option<Tensor>) -> Result<Tensor, PluginError> {
        let Some(tensor) = tensor.filter(Tensor::defined) else {
            return Err(self.breach(call, format!("`{name}` is undefined"), "return a scalar"));
        };
        if !tensor.size().is_empty() {
            let message = format!("`{name}` has the shape {:?}, expected a scalar []", tensor.size());
            return Err(self.breach(call, message, "reduce over the batch with `.mean()`; see `Loss::forward`"));
        }
        if !matches!(tensor.kind(), Kind::Float | Kind::Double) {
            let message = format!("`{name}` has the kind {:?}, expected Float", tensor.kind());
            return Err(self.breach(call, message, "make losses in f32"));
        }
        Ok(tensor)
    }

    pub(crate) fn breach(&self, call: &'static str, message: String, hint: &str) -> PluginError {
        self.component.origin.breach(call, message, hint)
    }
}

fn tensors_of(features: &Features) -> impl Iterator<Item = &Tensor> {
    features.items().iter().map(|feature| &feature.tensor)
}

impl Drop for ForeignLoss {
    fn drop(&mut self) {
        if let Err(error) = self.component.origin.take("drop", self.ffi.vtable.drop()(self.ffi.instance)) {
            log::warn!("{}", error.fault().message);
        }
    }
}
