//! JPEG through `zune-jpeg` in strict mode, behind a walk over the markers: the decoder alone lets some truncations pass.

use super::{DecodeOptions, Decoded, Format, orientation, structure};
use crate::DecodeError;
use zune_jpeg::{
    JpegDecoder,
    errors::DecodeErrors,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    structure::jpeg_ends(bytes)?;
    let side = options.limits.max_side as usize + 1; // ours is the message that names the limit
    let settings = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(side.max(65_536))
        .set_max_height(side.max(65_536))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), settings);
    decoder.decode_headers().map_err(error)?;
    let (width, height) = decoder.dimensions().expect("known after the headers");
    let (width, height) = (width as u32, height as u32); // 16 bits in the header
    options.limits.check(Format::Jpeg, width, height)?;
    let pixels = decoder.decode().map_err(error)?;
    let exif = if options.apply_orientation { decoder.exif().cloned() } else { None };
    let decoded = Decoded { width, height, pixels, format: Format::Jpeg, was_animated: false };
    Ok(match exif {
        Some(exif) => orientation::apply(decoded, &exif),
        None => decoded,
    })
}

fn error(error: DecodeErrors) -> DecodeError {
    let format = Format::Jpeg;
    match error {
        DecodeErrors::Unsupported(scheme) => DecodeError::Unsupported { format, reason: format!("{scheme:?}") },
        other => DecodeError::Damaged { format, reason: one_line(&other.to_string()), offset: None },
    }
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().trim_matches('"').trim_end_matches('.').to_owned()
}
