//! What is drawn for a view, and how its place in the image is written down.

use crate::views::Jitter;
use infomax_image::{
    Rgb8Mut,
    operations::{Placement, Region, gaussian_blur, grayscale, solarise},
};

/// What is not below this is inverted by solarising: half of white, as in BYOL (appendix B).
pub const THRESHOLD: f64 = 128.0;

/// What was drawn for a view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// Where in the image it comes from.
    pub place: Place,
    /// Whether left and right are exchanged, after the view was cut out.
    pub flip: bool,
    /// How its colours change.
    pub jitter: Option<Jitter>,
    /// Whether it loses its colours.
    pub grayscale: bool,
    /// The standard deviation of its blur in pixels.
    pub blur: Option<f32>,
    /// Whether it is solarised.
    pub solarise: bool,
}

/// Where in the image a view comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The view that evaluation sees.
    Whole,
    /// The same, moved right and down by so many pixels; what comes in is the reflection.
    Moved {
        /// To the right.
        right: i32,
        /// Down.
        down: i32,
    },
    /// A region, resized.
    Crop(Region),
}

/// Where the views of a set come from: all in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// From the view that evaluation sees, [`Place::Whole`] or [`Place::Moved`].
    Whole {
        /// The image's short side before the centre is cut out.
        short_side: u32,
        /// Whether an image of the views' size stays as it is, whatever the short side.
        keeps: bool,
        /// The furthest movement in pixels, each way.
        furthest: u32,
    },
    /// From regions of the image, [`Place::Crop`].
    Crop,
}

impl Layout {
    pub(super) fn numbers(&self) -> usize {
        match self {
            Self::Whole { .. } => 2,
            Self::Crop => 6,
        }
    }

    pub(super) fn write(&self, [width, height]: [u32; 2], size: u32, drawn: &Drawn, numbers: &mut [f32]) {
        match (*self, drawn.place) {
            // A row of the table of moved positions, across and down.
            (Self::Whole { furthest, .. }, place) => {
                let (right, down) = if let Place::Moved { right, down } = place { (right, down) } else { (0, 0) };
                let row = |by: i32, flip: bool| (2 * (by + furthest as i32) + i32::from(flip)) as f32;
                numbers.copy_from_slice(&[row(right, drawn.flip), row(down, false)]);
            }
            // Of each direction: the row of the table of weights for the first pixel, the rows from pixel to pixel, and where
            // in a row the image's first pixel stands. Down, there is no flip: its step is one, and says in place of that
            // whether this direction comes first.
            (Self::Crop, Place::Crop(region)) => {
                let (last, flip) = (size - 1, u32::from(drawn.flip));
                let placement = Placement::crop(region, [size, size]);
                numbers.copy_from_slice(&[
                    (region.width * size + flip * last) as f32,
                    if drawn.flip { -1.0 } else { 1.0 },
                    (width - region.left) as f32,
                    (region.height * size) as f32,
                    f32::from(u8::from(placement.down_first)),
                    (height - region.top) as f32,
                ]);
            }
            (Self::Crop, _) => unreachable!("a set of crops has no other place"),
        }
    }
}

impl Drawn {
    /// Changes the colours of a view that was cut out and flipped.
    pub fn recolour(&self, view: &mut Rgb8Mut<'_>) {
        if let Some(jitter) = &self.jitter {
            jitter.apply(view.pixels);
        }
        if self.grayscale {
            grayscale(view.pixels);
        }
        if let Some(sigma) = self.blur {
            gaussian_blur(view, sigma);
        }
        if self.solarise {
            solarise(view.pixels, THRESHOLD);
        }
    }
}
