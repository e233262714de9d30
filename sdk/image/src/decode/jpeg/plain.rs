//! Files of the usual kind, with AVX2: baseline Huffman codes in one scan, gray or YCbCr, with chroma as fine as luma or halved
//! both ways, at every size that [`eighths`] gives. Everything else, and every file that is not in order, is left to the library.

#![allow(unused_unsafe, reason = "intrinsics are unsafe up to Rust 1.86")]

mod bits;
mod codes;
mod colour;
mod header;
mod huffman;
mod pairs;
mod planes;
mod transform;
mod upsample;

use super::library::eighths;
use crate::decode::{DecodeOptions, Decoded, Format, orientation};
use header::Header;
use planes::{Planes, Scale};

/// None where the library has to do it.
pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Option<Decoded> {
    if !is_x86_feature_detected!("avx2") || !is_x86_feature_detected!("bmi2") {
        return None;
    }
    let header = Header::read(bytes)?;
    options.limits.check(Format::Jpeg, header.width as u32, header.height as u32).ok()?;
    let eighths = options.short_side.map_or(8, |least| eighths(header.width.min(header.height) as u32, least));
    let scale = Scale(eighths.into());
    // SAFETY: the processor has AVX2 and BMI2 (looked at above).
    let pixels = unsafe {
        let planes = Planes::decode(&header, scale)?;
        colour::to_rgb(&planes)
    };
    let (width, height) = (scale.of(header.width) as u32, scale.of(header.height) as u32);
    let decoded = Decoded { width, height, pixels, format: Format::Jpeg, was_animated: false, was_gray16: false };
    Some(match header.exif.filter(|_| options.apply_orientation) {
        Some(exif) => orientation::apply(decoded, exif),
        None => decoded,
    })
}
