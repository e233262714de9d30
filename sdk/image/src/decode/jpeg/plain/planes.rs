//! From coded blocks to planes of samples.

use super::{
    bits::{Bits, parts},
    header::Header,
    huffman::{self, Block},
    transform,
};

const END_OF_IMAGE: u8 = 0xD9;
/// Of a unit: 2 × 2 of luma, and chroma.
const MOST_BLOCKS: usize = 6;

/// At which size a file is decoded: how many samples a block of 8 gives a side, 8, 4, 2 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale(pub usize);

impl Scale {
    /// How long a side comes out.
    pub fn of(self, side: usize) -> usize {
        (side * self.0).div_ceil(8)
    }
}

/// Samples of one colour.
pub struct Plane {
    /// In samples that are of the image.
    pub width: usize,
    pub height: usize,
    /// Samples from one row to the next, with those that fill up blocks.
    stride: usize,
    samples: Vec<u8>,
}

impl Plane {
    /// The samples of a row, and what fills its last block.
    pub fn row(&self, y: usize) -> &[u8] {
        &self.samples[y * self.stride..][..self.stride]
    }
}

/// The planes of an image.
pub struct Planes {
    /// Of the image, in pixels.
    pub width: usize,
    pub height: usize,
    /// Y alone, or Y, Cb and Cr.
    pub planes: Vec<Plane>,
    /// Whether chroma has half as many samples both ways.
    pub is_coarse: bool,
}

impl Planes {
    /// None where the coded pixels are not in order.
    ///
    /// # Safety
    /// The processor has AVX2 and BMI2.
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    pub unsafe fn decode(header: &Header<'_>, scale: Scale) -> Option<Self> {
        let fineness = header.fineness();
        let [across, down] = [header.width, header.height].map(|side| side.div_ceil(8 * fineness));
        let is_coarse = fineness == 2 && scale.0 == 8;
        let (width, height) = (scale.of(header.width), scale.of(header.height));
        let mut sides = Vec::new();
        let mut planes = Vec::new();
        for component in &header.components {
            // Below full size, chroma that is sampled half as often gives twice as many of a block, and comes out as large as luma.
            let side = if is_coarse { 8 } else { scale.0 * (fineness / component.sampling) };
            let ratio = if is_coarse { fineness / component.sampling } else { 1 };
            let (width, height) = (width.div_ceil(ratio), height.div_ceil(ratio));
            let stride = across * component.sampling * side;
            planes.push(Plane { width, height, stride, samples: vec![0; stride * down * component.sampling * side] });
            sides.push(side);
        }
        if is_coarse && planes[1].width <= 2 {
            return None; // libjpeg does not interpolate these
        }
        let (bytes, ends, marker) = parts(header.scan)?;
        let units = across * down;
        let interval = if header.restart_interval == 0 { units } else { header.restart_interval };
        if marker != END_OF_IMAGE || ends.len() != units.div_ceil(interval) {
            return None;
        }
        // The blocks of a unit are read before the first of them is transformed: a load of what was just stored piece by piece waits.
        let mut blocks = [const { Block::new() }; MOST_BLOCKS];
        let mut begin = 0;
        let (mut x, mut y, mut left) = (0, 0, units);
        for end in ends {
            let mut bits = Bits::new(&bytes[begin..end]);
            let mut before = [0; 3];
            for _ in 0..left.min(interval) {
                let mut unit = blocks.iter_mut();
                for (component, before) in header.components.iter().zip(&mut before) {
                    let codes = (&component.dc, &*component.ac);
                    for block in unit.by_ref().take(component.sampling * component.sampling) {
                        // SAFETY: the processor has BMI2 (the caller).
                        unsafe { huffman::read(&mut bits, codes, before, block)? };
                    }
                }
                let mut unit = blocks.iter();
                for ((component, plane), &side) in header.components.iter().zip(&mut planes).zip(&sides) {
                    let sampling = component.sampling;
                    let corner = (y * sampling * plane.stride + x * sampling) * side;
                    for down in 0..sampling {
                        let corner = corner + down * plane.stride * side;
                        for (across, block) in unit.by_ref().take(sampling).enumerate() {
                            let to = &mut plane.samples[corner + across * side..];
                            // SAFETY: the processor has AVX2 (the caller).
                            unsafe { transform::block(block, &component.quantisers, to, plane.stride, side)? };
                        }
                    }
                }
                x += 1;
                if x == across {
                    (x, y) = (0, y + 1);
                }
            }
            if !bits.is_spent() {
                return None;
            }
            left = left.saturating_sub(interval);
            begin = end;
        }
        Some(Self { width, height, planes, is_coarse })
    }
}
