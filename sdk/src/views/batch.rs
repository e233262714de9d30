//! The operations of views on a batch of images on a device, in tensors: to the byte what `infomax_image` does to each image.
//!
//! What is drawn for a view is a [`Drawn`]: applied to one image as ever, or written down as numbers that cross to the device.
//! [`Set`] says which operations may occur at all, and makes the views. A view that an operation leaves alone goes through it
//! with numbers that change nothing, or is put back by a mask, since no size may depend on what was drawn.
//!
//! Every sum is one of integers that f32 or f64 hold exactly, and products and sums are rounded one by one, as the processor
//! does: so the pixels don't depend on the device.

mod blur;
mod colour;
mod drawn;
mod groups;
mod kept;
mod place;

pub use drawn::{Drawn, Layout, Place, THRESHOLD};
pub use groups::Groups;
pub use kept::Kept;

use crate::{Kind, MemoryFormat, Tensor, tensor::Value};
use colour::Canvas;

// N images · V views of an image · M = N·V · P pixels of a view · S side of a view

/// The largest image, in pixels a side, of which views are made in batch: tables grow with it.
pub const LARGEST: u32 = 256;

/// Which operations the views of a group may go through, all of one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Set {
    /// Side of a view in pixels.
    pub size: u32,
    /// Where in the image a view comes from.
    pub layout: Layout,
    /// Brightness, contrast and saturation.
    pub jitter: bool,
    /// With the jitter, the hue.
    pub hue: bool,
    /// Gray in all channels.
    pub grayscale: bool,
    /// A Gaussian blur.
    pub blur: bool,
    /// What is not below [`THRESHOLD`] is inverted.
    pub solarise: bool,
}

impl Set {
    /// The operations of both, for views of one size and layout.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self {
            jitter: self.jitter || other.jitter,
            hue: self.hue || other.hue,
            grayscale: self.grayscale || other.grayscale,
            blur: self.blur || other.blur,
            solarise: self.solarise || other.solarise,
            ..*self
        }
    }

    /// How many numbers hold a [`Drawn`].
    pub fn numbers(&self) -> usize {
        self.sections().iter().sum()
    }

    /// How many of them are for the place, the jitter, grayscale, blur and solarising.
    fn sections(&self) -> [usize; 5] {
        [
            self.layout.numbers(),
            if self.jitter { colour::jitter_numbers(self.hue) } else { 0 },
            usize::from(self.grayscale),
            if self.blur { blur::NUMBERS } else { 0 },
            usize::from(self.solarise),
        ]
    }

    /// Writes what was drawn for a view of an image (width, height) down.
    pub fn write(&self, image: [u32; 2], drawn: &Drawn, numbers: &mut [f32]) {
        let mut rest = numbers;
        let parts = self.sections().map(|count| {
            let (part, others) = std::mem::take(&mut rest).split_at_mut(count);
            rest = others;
            part
        });
        let [place, jitter, grayscale, blur, solarise] = parts;
        self.layout.write(image, self.size, drawn, place);
        if self.jitter {
            colour::write_jitter(drawn.jitter.as_ref(), self.hue, jitter);
        }
        if self.grayscale {
            grayscale[0] = f32::from(u8::from(drawn.grayscale));
        }
        if self.blur {
            blur::write(drawn.blur, blur);
        }
        if self.solarise {
            solarise[0] = if drawn.solarise { THRESHOLD as f32 } else { f32::INFINITY };
        }
    }

    /// The views: V × N × S × S × 3 bytes of N × H × W × 3 bytes and N × V·[`Set::numbers`].
    pub fn views(&self, kept: &Kept, images: &Tensor, numbers: &Tensor) -> Tensor {
        let (n, side) = (images.size_of(0), i64::from(self.size));
        let numbers_m = numbers.reshape([-1, self.numbers() as i64]);
        let m = numbers_m.size_of(0);
        let mut from = 0;
        let [place, jitter, grayscale, blur, solarise] = self.sections().map(|count| {
            let part = numbers_m.narrow(1, from, count as i64);
            from += count as i64;
            part
        });
        let canvas = self.layout.place(kept, self.size, images, &place, m / n);
        let mut canvas = Canvas::new(kept, canvas.view([3, m, side * side]));
        if self.jitter {
            canvas.jitter(&jitter, self.hue.then(|| colour::Tables::of(kept, images.device())).as_ref());
        }
        if self.grayscale {
            canvas.grayscale(&grayscale);
        }
        let mut x = canvas.into_tensor();
        if self.blur {
            x = blur::blurred(kept, &x, side, &blur);
        }
        if self.solarise {
            let (bright, inverted) = (x.ge(&solarise), 255.0 - &x);
            x = inverted.where_else(&bright, &x);
        }
        let views = x.view([3, n, m / n, side, side]).permute([2, 1, 3, 4, 0]);
        converted(&views, Kind::U8)
    }
}

/// In order in memory as another kind, in one pass.
fn converted(x: &Tensor, kind: Kind) -> Tensor {
    let order = MemoryFormat::Contiguous;
    Tensor::op("aten::to.dtype", &[x, &kind, &Value::DEFAULT, &Value::DEFAULT, &order])
}

/// Sums of weights and pixels to bytes, in place: half a unit more, cut off, within 0 and 255.
fn to_bytes(sums: &Tensor) -> Tensor {
    let whole = Tensor::op("aten::floor_", &[&sums.add_(0.5)]);
    Tensor::op("aten::clamp_", &[&whole, &0.0, &255.0])
}
