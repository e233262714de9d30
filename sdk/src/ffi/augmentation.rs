//! An augmentation as the boundary's table of functions.

use super::instance::{drop_instance, hold, with};
use crate::{Augmentation, ImageRef, Key, Result, ViewMut, requests::Request};
use infomax_abi::{
    AugmentationVTable, AugmentationVTableRef, Extension, FfiAugmentation, FfiImage, FfiResult, FfiView, Instance,
    abi_stable::{
        prefix_type::WithMetadata,
        staticref,
        std_types::{RSliceMut, RStr},
    },
};
use std::marker::PhantomData;

/// Describes an augmentation.
///
/// # Errors
/// As the author's `describe`.
pub fn describe<T: Augmentation>(request: Request) -> Result<String> {
    super::module::to_json(&T::describe(&super::module::config(request.config)?)?)
}

/// Makes an augmentation.
///
/// # Errors
/// As the author's `create`.
pub fn create<T: Augmentation>(request: Request) -> Result<FfiAugmentation> {
    let augmentation = T::create(&super::module::config(request.config)?)?;
    let vtable = AugmentationVTableRef(Provider::<T>::VTABLE.as_prefix());
    Ok(FfiAugmentation { instance: hold(augmentation), vtable })
}

struct Provider<T>(PhantomData<T>);

impl<T: Augmentation> Provider<T> {
    staticref!(const VTABLE: WithMetadata<AugmentationVTable> = WithMetadata::new(AugmentationVTable {
        drop: Self::drop,
        train_views: Self::train_views,
        eval_view: Self::eval_view,
        extension: Self::extension,
    }));

    extern "C" fn drop(instance: Instance) -> FfiResult<()> {
        // SAFETY: the host passes the instance that it got with this table, once.
        unsafe { drop_instance::<T>(instance) }
    }

    extern "C" fn train_views(
        instance: Instance,
        image: FfiImage<'_>,
        key_a: u64,
        key_b: u64,
        mut views: RSliceMut<'_, FfiView<'_>>,
    ) -> FfiResult<()> {
        let mut views: Vec<ViewMut<'_>> = views.as_mut_slice().iter_mut().map(borrow).collect();
        // SAFETY: the host passes the instance that it got with this table; an augmentation is `Sync`.
        unsafe { with(instance, |a: &T| a.train_views(own(&image), Key([key_a, key_b]), &mut views)) }
    }

    extern "C" fn eval_view(instance: Instance, image: FfiImage<'_>, mut view: FfiView<'_>) -> FfiResult<()> {
        // SAFETY: the host passes the instance that it got with this table; an augmentation is `Sync`.
        unsafe { with(instance, |a: &T| a.eval_view(own(&image), &mut borrow(&mut view))) }
    }

    extern "C" fn extension(_: Instance, _: RStr<'_>) -> Extension {
        std::ptr::null()
    }
}

fn own<'a>(image: &FfiImage<'a>) -> ImageRef<'a> {
    ImageRef { width: image.width, height: image.height, pixels: image.pixels.as_slice() }
}

fn borrow<'a>(view: &'a mut FfiView<'_>) -> ViewMut<'a> {
    ViewMut { width: view.width, height: view.height, pixels: view.pixels.as_mut_slice() }
}
