//! PNG, WebP, BMP, GIF and PNM through the `image` crate, and the way from their pixel layouts to 8-bit RGB.

use super::{DecodeOptions, Decoded, Format, Gray16, bmp, gif, orientation, structure};
use crate::DecodeError;
use image::{
    ColorType, ImageDecoder, ImageError,
    codecs::{bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, pnm::PnmDecoder, webp::WebPDecoder},
};
use std::io::Cursor;

pub(super) fn decode(bytes: &[u8], format: Format, options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    let fail = |e| error(format, e);
    let reader = Cursor::new(bytes);
    match format {
        Format::Jpeg | Format::Tiff => unreachable!("they have modules of their own"),
        Format::Png => {
            structure::png_ends(bytes)?;
            let mut decoder = PngDecoder::with_limits(reader, limits(options)).map_err(fail)?;
            let animated = decoder.is_apng().map_err(fail)?;
            let exif = decoder.exif_metadata().ok().flatten();
            finish(decoder, format, animated, exif, options)
        }
        Format::WebP => {
            structure::webp_ends(bytes)?;
            let mut decoder = WebPDecoder::new(reader).map_err(fail)?;
            let animated = decoder.has_animation();
            let exif = decoder.exif_metadata().ok().flatten();
            finish(decoder, format, animated, exif, options)
        }
        Format::Bmp => {
            structure::bmp_ends(bytes)?;
            let mut decoded = finish(BmpDecoder::new(reader).map_err(fail)?, format, false, None, options)?;
            bmp::as_pillow(bytes, &mut decoded.pixels);
            Ok(decoded)
        }
        Format::Gif => {
            let frames = structure::gif_frames(bytes)?;
            let mut decoded = finish(GifDecoder::new(reader).map_err(fail)?, format, frames > 1, None, options)?;
            gif::fill_around_frame(bytes, &mut decoded);
            Ok(decoded)
        }
        Format::Pnm => finish(PnmDecoder::new(reader).map_err(fail)?, format, false, None, options),
    }
}

fn limits(options: &DecodeOptions) -> image::Limits {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(options.limits.max_pixels.saturating_mul(8).max(1 << 20)); // 16-bit RGBA
    limits
}

fn finish(
    mut decoder: impl ImageDecoder,
    format: Format,
    was_animated: bool,
    exif: Option<Vec<u8>>,
    options: &DecodeOptions,
) -> Result<Decoded, DecodeError> {
    let (width, height) = decoder.dimensions();
    options.limits.check(format, width, height)?;
    decoder.set_limits(limits(options)).map_err(|e| error(format, e))?;
    let colour = decoder.color_type();
    let size = usize::try_from(decoder.total_bytes()).expect("checked against the limits");
    let mut raw = vec![0; size];
    decoder.read_image(&mut raw).map_err(|e| error(format, e))?;
    let pixels = to_rgb8(raw, colour, options.gray16)
        .ok_or_else(|| DecodeError::Unsupported { format, reason: format!("pixels of type {colour:?}") })?;
    let decoded = Decoded { width, height, pixels, format, was_animated, was_gray16: colour == ColorType::L16 };
    Ok(match exif.filter(|_| options.apply_orientation) {
        Some(exif) => orientation::apply(decoded, &exif),
        None => decoded,
    })
}

/// As Pillow's `convert("RGB")`: alpha dropped, the high byte of 16 bits; 16-bit gray without alpha as asked.
pub(super) fn to_rgb8(raw: Vec<u8>, colour: ColorType, gray16: Gray16) -> Option<Vec<u8>> {
    let high = if cfg!(target_endian = "little") { 1 } else { 0 };
    let gray = |stride: usize, offset: usize| raw.chunks_exact(stride).flat_map(|p| [p[offset]; 3]).collect();
    Some(match colour {
        ColorType::Rgb8 => raw,
        ColorType::L8 => gray(1, 0),
        ColorType::La8 => gray(2, 0),
        ColorType::L16 => raw.chunks_exact(2).flat_map(|p| [gray16.of(u16::from_ne_bytes([p[0], p[1]])); 3]).collect(),
        ColorType::La16 => gray(4, high),
        ColorType::Rgba8 => raw.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
        ColorType::Rgb16 => raw.chunks_exact(6).flat_map(|p| [p[high], p[2 + high], p[4 + high]]).collect(),
        ColorType::Rgba16 => raw.chunks_exact(8).flat_map(|p| [p[high], p[2 + high], p[4 + high]]).collect(),
        _ => return None,
    })
}

fn error(format: Format, error: ImageError) -> DecodeError {
    let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
    match error {
        ImageError::Unsupported(_) => DecodeError::Unsupported { format, reason },
        _ => DecodeError::Damaged { format, reason, offset: None },
    }
}
