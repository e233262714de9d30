//! An augmentation as the boundary's table of functions.

use super::{
    instance::{drop_instance, hold, peek, with},
    tensor::{borrow as borrow_tensor, give},
};
use crate::{Augmentation, BatchAugmentation, Error, ImageRef, Key, Result, ViewMut, requests::Request};
use infomax_abi::{
    AugmentationVTable, AugmentationVTableRef, BatchVTable, BatchVTableRef, Extension, FfiAugmentation, FfiImage,
    FfiResult, FfiTensor, FfiView, Instance, TensorPtr,
    abi_stable::{
        prefix_type::WithMetadata,
        staticref,
        std_types::{RSliceMut, RStr, RVec},
    },
    augmentation::{BATCH_ID, batch_as_extension},
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

    staticref!(const BATCH: WithMetadata<BatchVTable> = WithMetadata::new(BatchVTable {
        numbers: Self::numbers,
        draw: Self::draw,
        batch_views: Self::batch_views,
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

    extern "C" fn extension(instance: Instance, id: RStr<'_>) -> Extension {
        // SAFETY: the host passes the instance that it got with this table; an augmentation is `Sync`.
        let has_batch = || unsafe { peek(instance, |a: &T| a.batch().is_some()) }.unwrap_or(false);
        if id.as_str() == BATCH_ID && has_batch() {
            return batch_as_extension(BatchVTableRef(Self::BATCH.as_prefix()));
        }
        std::ptr::null()
    }

    extern "C" fn numbers(instance: Instance, width: u32, height: u32) -> FfiResult<u64> {
        // SAFETY: as in `extension`.
        unsafe { with(instance, |a: &T| Ok(batch(a)?.numbers(width, height)? as u64)) }
    }

    extern "C" fn draw(
        instance: Instance,
        width: u32,
        height: u32,
        key_a: u64,
        key_b: u64,
        mut numbers: RSliceMut<'_, f32>,
    ) -> FfiResult<()> {
        let numbers = numbers.as_mut_slice();
        // SAFETY: as in `extension`.
        unsafe { with(instance, |a: &T| batch(a)?.draw(width, height, Key([key_a, key_b]), numbers)) }
    }

    extern "C" fn batch_views(instance: Instance, images: TensorPtr, numbers: TensorPtr) -> FfiResult<RVec<FfiTensor>> {
        let none = || Error::new("the host passed no tensor");
        // SAFETY: as in `extension`; the host passes live tensors.
        unsafe {
            with(instance, |a: &T| {
                let images = borrow_tensor(images).ok_or_else(none)?;
                let numbers = borrow_tensor(numbers).ok_or_else(none)?;
                Ok(batch(a)?.batch_views(&images, &numbers)?.into_iter().map(give).collect())
            })
        }
    }
}

fn batch(augmentation: &impl Augmentation) -> Result<&dyn BatchAugmentation> {
    augmentation.batch().ok_or_else(|| Error::new("it makes no views in batch"))
}

fn own<'a>(image: &FfiImage<'a>) -> ImageRef<'a> {
    ImageRef { width: image.width, height: image.height, pixels: image.pixels.as_slice() }
}

fn borrow<'a>(view: &'a mut FfiView<'_>) -> ViewMut<'a> {
    ViewMut { width: view.width, height: view.height, pixels: view.pixels.as_mut_slice() }
}
