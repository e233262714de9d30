//! Every kind of JPEG, through libjpeg-turbo's descendant mozjpeg. What libjpeg only warns of (data that end early, codes that
//! don't exist) is an error here.

use crate::{
    DecodeError,
    decode::{DecodeOptions, Decoded, Format, orientation},
};
use mozjpeg::{Decompress, Marker};
use mozjpeg_sys::{jpeg_common_struct, jpeg_error_mgr, jpeg_std_error};
use std::{
    any::Any,
    mem,
    os::raw::c_int,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

/// Warnings about bytes between segments: no pixel depends on those.
const HARMLESS: [&str; 4] = ["extraneous bytes", "Adobe", "JFIF", "Invalid SOS parameters"];

pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    // libjpeg reports errors by unwinding out of its callbacks.
    catch_unwind(AssertUnwindSafe(|| decompress(bytes, options)))
        .unwrap_or_else(|payload| Err(damaged(&reason(&*payload))))
}

fn decompress(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    let io = |error: std::io::Error| damaged(&error.to_string());
    let markers: &[Marker] = if options.apply_orientation { &[Marker::APP(1)] } else { &[] };
    let mut decoder = Decompress::with_markers(markers).with_err(strict_errors()).from_mem(bytes).map_err(io)?;
    let (width, height) = decoder.size();
    let (width, height) = (width as u32, height as u32); // 16 bits in the header
    options.limits.check(Format::Jpeg, width, height)?;
    if let Some(least) = options.short_side {
        decoder.scale(eighths(width.min(height), least));
    }
    let exif = decoder.markers().find_map(|marker| marker.data.strip_prefix(b"Exif\0\0").map(<[u8]>::to_vec));
    let inks = decoder.components().len() == 4;
    let mut started =
        if inks { decoder.to_colorspace(mozjpeg::ColorSpace::JCS_CMYK) } else { decoder.rgb() }.map_err(io)?;
    let (width, height) = (started.width() as u32, started.height() as u32);
    let mut pixels: Vec<u8> = started.read_scanlines().map_err(io)?;
    started.finish().map_err(io)?;
    if inks {
        pixels = pixels.chunks_exact(4).flat_map(cmyk_to_rgb).collect();
    }
    let decoded = Decoded { width, height, pixels, format: Format::Jpeg, was_animated: false, was_gray16: false };
    Ok(match exif {
        Some(exif) => orientation::apply(decoded, &exif),
        None => decoded,
    })
}

/// The smallest of 1, 2, 4 and 8 eighths that keeps the short side.
pub(super) fn eighths(side: u32, least: u32) -> u8 {
    [1u8, 2, 4].into_iter().find(|&eighths| (side * u32::from(eighths)).div_ceil(8) >= least).unwrap_or(8)
}

/// Pillow's `cmyk2rgb` of inks that are stored inverted, as Adobe does.
pub fn cmyk_to_rgb(inks: &[u8]) -> [u8; 3] {
    let white = u32::from(inks[3]);
    [0, 1, 2].map(|ink| {
        let product = (255 - u32::from(inks[ink])) * white + 128;
        (white - (((product >> 8) + product) >> 8)) as u8
    })
}

fn damaged(reason: &str) -> DecodeError {
    DecodeError::Damaged { format: Format::Jpeg, reason: reason.to_owned(), offset: None }
}

fn reason(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("the decoder gave up").to_owned()
}

fn strict_errors() -> jpeg_error_mgr {
    // SAFETY: the struct holds integers and optional functions, so zeros are valid; `jpeg_std_error` fills it in.
    let mut errors = unsafe {
        let mut errors: jpeg_error_mgr = mem::zeroed();
        jpeg_std_error(&mut errors);
        errors
    };
    errors.error_exit = Some(fail);
    errors.emit_message = Some(warn);
    errors
}

extern "C-unwind" fn fail(decoder: &mut jpeg_common_struct) {
    resume_unwind(Box::new(message(decoder))); // no panic: the hook stays silent
}

extern "C-unwind" fn warn(decoder: &mut jpeg_common_struct, level: c_int) {
    if level < 0 {
        let message = message(decoder);
        if !HARMLESS.iter().any(|harmless| message.contains(harmless)) {
            resume_unwind(Box::new(message));
        }
    }
}

fn message(decoder: &mut jpeg_common_struct) -> String {
    type Writer = unsafe extern "C-unwind" fn(&mut jpeg_common_struct, &mut [u8; 80]);
    // SAFETY: libjpeg hands over a decoder whose error manager is the one set above.
    let writer = unsafe { decoder.err.as_ref() }.and_then(|errors| errors.format_message);
    let Some(writer) = writer else { return "damaged data".to_owned() };
    let mut buffer = [0u8; 80]; // JMSG_LENGTH_MAX
    // SAFETY: the C function writes at most 80 bytes into the buffer; only the declared mutability differs.
    unsafe {
        let writer: Writer = mem::transmute(writer);
        writer(decoder, &mut buffer);
    }
    let text = buffer.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).trim_start_matches("Corrupt JPEG data: ").to_owned()
}
