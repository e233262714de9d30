//! Views drawn by keys, so that counts are the same in every run.

mod policy;
mod views;

use infomax_sdk::{Augmentation, ImageRef, Key, ViewMut};

pub struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

/// Colours without a pattern that an operation could leave alone.
pub fn picture(width: u32, height: u32) -> Picture {
    let pixels = (0..width as usize * height as usize * 3).map(|i| (i * 37 % 251) as u8 ^ (i >> 7) as u8).collect();
    Picture { width, height, pixels }
}

impl Picture {
    fn as_ref(&self) -> ImageRef<'_> {
        ImageRef { width: self.width, height: self.height, pixels: &self.pixels }
    }
}

/// Every training view.
pub fn views<A: Augmentation>(config: &A::Config, picture: &Picture, key: Key) -> Vec<Vec<u8>> {
    let augmentation = A::create(config).expect("a config that works");
    let sizes = A::describe(config).expect("a config that works").views;
    let mut pixels: Vec<Vec<u8>> = sizes.iter().map(|v| vec![0; v.width as usize * v.height as usize * 3]).collect();
    let mut views: Vec<ViewMut<'_>> = sizes
        .iter()
        .zip(&mut pixels)
        .map(|(view, pixels)| ViewMut { width: view.width, height: view.height, pixels })
        .collect();
    augmentation.train_views(picture.as_ref(), key, &mut views).expect("views of any image");
    pixels
}

/// The view for evaluation.
pub fn evaluation<A: Augmentation>(config: &A::Config, picture: &Picture) -> Vec<u8> {
    let [height, width] = A::describe(config).expect("a config that works").eval_size;
    let mut pixels = vec![0; width as usize * height as usize * 3];
    let mut view = ViewMut { width, height, pixels: &mut pixels };
    A::create(config).expect("a config that works").eval_view(picture.as_ref(), &mut view).expect("a view");
    pixels
}
