//! The host's side of an augmentation plugin.

use crate::plugin::{Component, PluginError, request_text};
use infomax_abi::{FfiAugmentation, FfiImage, FfiView};
use infomax_sdk::{AugmentationDescription, ImageRef, Key, ViewMut, requests::Request};
use std::sync::Arc;

/// An augmentation of a loaded library; shared by loader threads.
#[derive(Clone)]
pub struct ForeignAugmentation(Arc<Inner>);

struct Inner {
    component: Component,
    ffi: FfiAugmentation,
}

// SAFETY: an augmentation is `Send + Sync` on the plugin's side, by the bound of the author's trait.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

/// Describes an augmentation, and refuses descriptions that can't be used.
///
/// # Errors
/// What the plugin says.
pub fn describe(component: &Component, request: &Request) -> Result<AugmentationDescription, PluginError> {
    let description: AugmentationDescription = component.describe(request)?;
    let sides = description.views.iter().flat_map(|view| [view.height, view.width]).chain(description.eval_size);
    if description.views.is_empty() || sides.into_iter().any(|side| side == 0 || side > 1 << 16) {
        let message = "it makes no view, or one of an impossible size".to_owned();
        return Err(component.origin.breach("describe", message, "see `AugmentationDescription`"));
    }
    Ok(description)
}

impl ForeignAugmentation {
    /// Makes the augmentation.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn create(component: &Component, request: &Request) -> Result<Self, PluginError> {
        let request = request_text(request);
        let create = component.library.module.create_augmentation();
        let ffi = component.origin.take("create", create(component.name.as_str().into(), request.as_str().into()))?;
        Ok(Self(Arc::new(Inner { component: component.clone(), ffi })))
    }

    /// The component's name.
    pub fn name(&self) -> &str {
        &self.0.component.name
    }

    pub(super) fn ffi(&self) -> &FfiAugmentation {
        &self.0.ffi
    }

    pub(super) fn component(&self) -> &Component {
        &self.0.component
    }

    /// Writes every training view.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn train_views(&self, image: ImageRef<'_>, key: Key, views: &mut [ViewMut<'_>]) -> Result<(), PluginError> {
        let Inner { component, ffi } = &*self.0;
        let mut views: Vec<FfiView<'_>> = views.iter_mut().map(lend_view).collect();
        let [a, b] = key.0;
        let call = ffi.vtable.train_views();
        component.origin.take("train_views", call(ffi.instance, lend(image), a, b, views.as_mut_slice().into()))
    }

    /// Writes the view for evaluation.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn eval_view(&self, image: ImageRef<'_>, view: &mut ViewMut<'_>) -> Result<(), PluginError> {
        let Inner { component, ffi } = &*self.0;
        component.origin.take("eval_view", ffi.vtable.eval_view()(ffi.instance, lend(image), lend_view(view)))
    }
}

fn lend(image: ImageRef<'_>) -> FfiImage<'_> {
    FfiImage { width: image.width, height: image.height, pixels: image.pixels.into() }
}

fn lend_view<'a>(view: &'a mut ViewMut<'_>) -> FfiView<'a> {
    FfiView { width: view.width, height: view.height, pixels: (&mut *view.pixels).into() }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.component.origin.take("drop", self.ffi.vtable.drop()(self.ffi.instance)) {
            log::warn!("{}", error.fault().message);
        }
    }
}
