//! The host's side of an encoder plugin: calls it and checks what it gives back.

use crate::{
    native::{SharedState, versions},
    plugin::{Component, PluginError, enter, request_text, tell},
    tensor::{NamedTensor, lend, take, take_named},
    train::Arithmetic,
};
use infomax_abi::{FfiEncoder, TensorPtr};
use infomax_sdk::{EncoderDescription, Mode, ffi::encoder::mode_code, requests::Request};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

/// An encoder of a loaded library.
pub struct ForeignEncoder {
    component: Component,
    ffi: FfiEncoder,
    description: EncoderDescription,
    arithmetic: Arithmetic,
    views: Vec<[i64; 2]>,
}

// SAFETY: an encoder is `Send` on the plugin's side, by the bound of the author's trait.
unsafe impl Send for ForeignEncoder {}

/// Describes an encoder, and refuses descriptions that can't be used.
///
/// # Errors
/// What the plugin says.
pub fn describe(component: &Component, request: &Request) -> Result<EncoderDescription, PluginError> {
    let description: EncoderDescription = component.describe(request)?;
    if !description.maps.iter().any(|map| map.name == description.representation) {
        let message = format!("its representation `{}` is none of its maps", description.representation);
        return Err(component.origin.breach("describe", message, "see `EncoderDescription::representation`"));
    }
    Ok(description)
}

impl ForeignEncoder {
    /// Makes the encoder with fresh weights.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn create(component: &Component, request: &Request) -> Result<Self, PluginError> {
        let description = describe(component, request)?;
        let text = request_text(request);
        let create = component.library.module.create_encoder();
        let state = SharedState::now();
        let call = enter(component, "create");
        let made = create(component.name.as_str().into(), text.as_str().into());
        drop(call);
        report(component, "create", state);
        let ffi = component.origin.take("create", made)?;
        let input = &request.encoder;
        let sides = input.views.iter().map(|view| [view.height, view.width]).chain([input.eval_size]);
        let views = sides.map(|sides| sides.map(i64::from)).collect();
        Ok(Self { component: component.clone(), ffi, description, arithmetic: Arithmetic::default(), views })
    }

    /// Runs its forward passes in a number format; f32 without this.
    #[must_use]
    pub fn computing_in(mut self, arithmetic: Arithmetic) -> Self {
        self.arithmetic = arithmetic;
        self
    }

    /// The number format of its forward passes.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// The component's name.
    pub fn name(&self) -> &str {
        &self.component.name
    }

    /// Height and width of what it was made for: the views, and what is evaluated.
    pub fn views(&self) -> &[[i64; 2]] {
        &self.views
    }

    /// What the encoder gives.
    pub fn description(&self) -> &EncoderDescription {
        &self.description
    }

    /// The maps of each view, checked: number, shape, kind, device, and whether gradients flow.
    ///
    /// # Errors
    /// What the plugin says, or what it got wrong.
    pub fn forward(&mut self, views: &[Tensor], mode: Mode) -> Result<Vec<Vec<Tensor>>, PluginError> {
        let pointers: Vec<TensorPtr> = views.iter().map(lend).collect();
        let (tracking, before) = (SharedState::now().grad_mode(), versions(views));
        let given = call_in(self.arithmetic, &self.component, "forward", || {
            self.ffi.vtable.forward()(self.ffi.instance, pointers.as_slice().into(), mode_code(mode))
        });
        let given = self.component.origin.take("forward", given)?;
        if let Some(view) = before.iter().zip(versions(views)).position(|(before, now)| *before != now) {
            let message = format!("it changed view {view}, which it was lent, in place");
            return Err(self.breach("forward", message, "make a copy to write to: others read the views, too"));
        }
        let maps = &self.description.maps;
        let expected = views.len() * maps.len();
        if given.len() != expected {
            let message = format!("{} maps for {} views, expected {expected}", given.len(), views.len());
            return Err(self.breach("forward", message, "give every described map of every view"));
        }
        let mut given = given.into_iter();
        let mut result = Vec::with_capacity(views.len());
        for view in views {
            let mut of_view = Vec::with_capacity(maps.len());
            for map in maps {
                // SAFETY: the plugin handed the tensor over.
                let tensor = unsafe { take(given.next().expect("counted above")) };
                let shape = [view.size()[0], map.channels.into(), map.height.into(), map.width.into()];
                let trains = tracking && matches!(mode, Mode::Train | Mode::TrainFrozenStatistics);
                of_view.push(self.checked(&map.name, tensor, shape, view.device(), trains)?);
            }
            result.push(of_view);
        }
        Ok(result)
    }

    fn checked(
        &self,
        name: &str,
        tensor: Option<Tensor>,
        shape: [i64; 4],
        device: Device,
        trains: bool,
    ) -> Result<Tensor, PluginError> {
        let wrong = |message: String, hint| Err(self.breach("forward", message, hint));
        let Some(tensor) = tensor.filter(Tensor::defined) else {
            return wrong(format!("map `{name}` is undefined"), "give every described map");
        };
        if tensor.size() != shape {
            let got = tensor.size();
            return wrong(format!("map `{name}` has the shape {got:?}, expected {shape:?}"), "see its description");
        }
        if !matches!(tensor.kind(), Kind::Float | Kind::Half | Kind::BFloat16) {
            let got = tensor.kind();
            return wrong(format!("map `{name}` has the kind {got:?}, expected Float"), "give floating-point features");
        }
        if tensor.device() != device {
            let got = tensor.device();
            return wrong(format!("map `{name}` is on {got:?}, expected {device:?}"), "stay on the input's device");
        }
        if trains && !tensor.requires_grad() {
            let hint = "don't detach it, and keep gradient tracking on";
            return wrong(format!("map `{name}` has no gradient, so the encoder would not learn"), hint);
        }
        Ok(tensor)
    }

    /// Parameters and buffers, sharing storage with the encoder's own.
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

    pub(crate) fn breach(&self, call: &'static str, message: String, hint: &str) -> PluginError {
        self.component.origin.breach(call, message, hint)
    }
}

/// Calls a component in a number format, and puts back what it leaves changed of the state that all share.
pub(crate) fn call_in<T>(
    arithmetic: Arithmetic,
    component: &Component,
    call: &'static str,
    run: impl FnOnce() -> T,
) -> T {
    let _autocast = arithmetic.begin();
    let state = SharedState::now();
    let under_way = enter(component, call);
    let given = run();
    drop(under_way);
    report(component, call, state);
    given
}

/// Puts libtorch's shared state back after a call and says who changed it.
pub(crate) fn report(component: &Component, call: &str, before: SharedState) {
    for what in before.restore() {
        tell(&component.origin.component, call, what);
    }
}

impl Drop for ForeignEncoder {
    fn drop(&mut self) {
        if let Err(error) = self.component.origin.take("drop", self.ffi.vtable.drop()(self.ffi.instance)) {
            log::warn!("{}", error.fault().message);
        }
    }
}
