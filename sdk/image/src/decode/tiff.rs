//! TIFF: the first page of a file, where its pixels are whole numbers of up to 16 bits. As Pillow does, a page is turned as
//! its own orientation tag says, which is part of how TIFF stores pixels.

use super::{DecodeOptions, Decoded, Format, jpeg::cmyk_to_rgb, orientation, other::to_rgb8};
use crate::DecodeError;
use ::tiff::{
    ColorType, TiffError,
    decoder::{ChunkType, Decoder, DecodingResult, Limits},
    tags::Tag,
};
use std::{borrow::Cow, io::Cursor};

const PALETTE: u16 = 3; // PhotometricInterpretation
const BLACK_IS_ZERO: u16 = 1;
const SEPARATE_PLANES: u16 = 2;
const MOST_PLANES: usize = 5; // inks and what covers them

pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    let (bytes, has_palette) = without_palette(bytes);
    let mut decoder = Decoder::new(Cursor::new(&*bytes)).map_err(error)?.with_limits(limits(options));
    let (width, height) = decoder.dimensions().map_err(error)?;
    options.limits.check(Format::Tiff, width, height)?;
    let number = |decoder: &mut Decoder<_>, tag| decoder.find_tag_unsigned::<u16>(tag).ok().flatten();
    let colour = decoder.colortype().map_err(error)?;
    let is_planar = number(&mut decoder, Tag::PlanarConfiguration) == Some(SEPARATE_PLANES);
    let turned = number(&mut decoder, Tag::Orientation).and_then(|value| u8::try_from(value).ok());
    let palette = match has_palette {
        true => decoder.find_tag_unsigned_vec::<u16>(Tag::ColorMap).map_err(error)?,
        false => None,
    };
    let raw = match samples(colour) {
        Some(samples) if is_planar && samples > 1 => joined_planes(&mut decoder, width, height, samples)?,
        _ => decoder.read_image().map_err(error)?,
    };
    let mut was_gray16 = false;
    let (w, h) = (width as usize, height as usize);
    let pixels = match (raw, colour, palette) {
        (DecodingResult::U8(raw), ColorType::Gray(bits @ (1 | 2 | 4 | 8)), Some(map)) => {
            indices(&raw, w, h, bits).iter().flat_map(|&index| looked_up(&map, index)).collect()
        }
        (DecodingResult::U8(raw), ColorType::Gray(bits @ (1 | 2 | 4)), None) => {
            let most = (1u16 << bits) - 1;
            indices(&raw, w, h, bits).iter().flat_map(|&v| [(u16::from(v) * 255 / most) as u8; 3]).collect()
        }
        (DecodingResult::U8(raw), ColorType::CMYK(8), _) => raw
            .chunks_exact(4)
            .flat_map(|inks| cmyk_to_rgb(&[inks[0], inks[1], inks[2], inks[3]].map(|i| 255 - i)))
            .collect(),
        (DecodingResult::U8(raw), colour, None) => with_type(raw, colour, options)?,
        (DecodingResult::U16(raw), colour, None) => {
            was_gray16 = colour == ColorType::Gray(16);
            with_type(raw.into_iter().flat_map(u16::to_ne_bytes).collect(), colour, options)?
        }
        (_, colour, _) => {
            return Err(unsupported(format!("pixels of type {colour:?} that are no whole numbers of 8 or 16 bits")));
        }
    };
    let pages = decoder.more_images();
    if pixels.len() != w * h * 3 {
        let reason = format!("{} bytes of pixels for {width}×{height}", pixels.len());
        return Err(DecodeError::Damaged { format: Format::Tiff, reason, offset: None });
    }
    let decoded = Decoded { width, height, pixels, format: Format::Tiff, was_animated: pages, was_gray16 };
    Ok(turned.map_or_else(|| decoded.clone(), |value| orientation::apply_value(decoded.clone(), value)))
}

/// Values of a pixel.
fn samples(colour: ColorType) -> Option<usize> {
    Some(match colour {
        ColorType::Gray(_) | ColorType::Palette(_) => 1,
        ColorType::GrayA(_) => 2,
        ColorType::RGB(_) | ColorType::YCbCr(_) => 3,
        ColorType::RGBA(_) | ColorType::CMYK(_) => 4,
        ColorType::CMYKA(_) => 5,
        ColorType::Multiband { num_samples, .. } => usize::from(num_samples),
        _ => return None,
    })
}

/// The pixels of a page that has each colour in a plane of its own, of which the decoder gives one strip after the other.
fn joined_planes(
    decoder: &mut Decoder<Cursor<&[u8]>>,
    width: u32,
    height: u32,
    samples: usize,
) -> Result<DecodingResult, DecodeError> {
    if decoder.get_chunk_type() != ChunkType::Strip {
        return Err(unsupported("each colour in tiles of its own".to_owned()));
    }
    if samples > MOST_PLANES {
        return Err(unsupported(format!("{samples} planes")));
    }
    let rows = decoder.chunk_dimensions().1.clamp(1, height.max(1));
    let strips = height.div_ceil(rows);
    let (mut bytes, mut words) = (Vec::new(), Vec::new());
    for strip in 0..strips * samples as u32 {
        match decoder.read_chunk(strip).map_err(error)? {
            DecodingResult::U8(values) => bytes.extend(values),
            DecodingResult::U16(values) => words.extend(values),
            _ => {
                let what = "each colour in a plane of its own, in numbers that are not whole ones of 8 or 16 bits";
                return Err(unsupported(what.to_owned()));
            }
        }
    }
    let pixels = width as usize * height as usize;
    Ok(match words.is_empty() {
        true => DecodingResult::U8(interleaved(&bytes, pixels, samples)),
        false => DecodingResult::U16(interleaved(&words, pixels, samples)),
    })
}

/// Planes, one behind the other, as pixels; nothing where they are not whole.
fn interleaved<T: Copy>(planes: &[T], pixels: usize, samples: usize) -> Vec<T> {
    if planes.len() != pixels * samples {
        return Vec::new();
    }
    (0..pixels).flat_map(|pixel| (0..samples).map(move |sample| planes[sample * pixels + pixel])).collect()
}

fn with_type(raw: Vec<u8>, colour: ColorType, options: &DecodeOptions) -> Result<Vec<u8>, DecodeError> {
    use image::ColorType as Layout;
    let layout = match colour {
        ColorType::Gray(8) => Layout::L8,
        ColorType::Gray(16) => Layout::L16,
        ColorType::GrayA(8) | ColorType::Multiband { bit_depth: 8, num_samples: 2 } => Layout::La8,
        ColorType::GrayA(16) | ColorType::Multiband { bit_depth: 16, num_samples: 2 } => Layout::La16,
        ColorType::RGB(8) => Layout::Rgb8,
        ColorType::RGB(16) => Layout::Rgb16,
        ColorType::RGBA(8) => Layout::Rgba8,
        ColorType::RGBA(16) => Layout::Rgba16,
        _ => return Err(unsupported(format!("pixels of type {colour:?}"))),
    };
    to_rgb8(raw, layout, options.gray16).ok_or_else(|| unsupported(format!("pixels of type {colour:?}")))
}

/// One byte a pixel from rows that are packed into whole bytes.
fn indices(raw: &[u8], width: usize, height: usize, bits: u8) -> Vec<u8> {
    let bits = usize::from(bits);
    let stride = (width * bits).div_ceil(8);
    let mask = (0xFFu16 >> (8 - bits)) as u8;
    let mut indices = Vec::with_capacity(width * height);
    for row in raw.chunks_exact(stride).take(height) {
        indices.extend((0..width).map(|x| (row[x * bits / 8] >> (8 - bits - x * bits % 8)) & mask));
    }
    indices
}

/// The high bytes of a colour map: all reds, all greens, all blues.
fn looked_up(map: &[u16], index: u8) -> [u8; 3] {
    let colours = map.len() / 3;
    [0, 1, 2].map(|channel| map.get(channel * colours + usize::from(index)).map_or(0, |value| (value >> 8) as u8))
}

/// The decoder knows no palettes: the first page's indices are read as gray.
fn without_palette(bytes: &[u8]) -> (Cow<'_, [u8]>, bool) {
    match interpretation_at(bytes) {
        Some((at, little)) => {
            let mut gray = bytes.to_vec();
            let value = if little { BLACK_IS_ZERO.to_le_bytes() } else { BLACK_IS_ZERO.to_be_bytes() };
            gray[at..at + 2].copy_from_slice(&value);
            (Cow::Owned(gray), true)
        }
        None => (Cow::Borrowed(bytes), false),
    }
}

/// Where the first page says that it has a palette, and the byte order.
fn interpretation_at(bytes: &[u8]) -> Option<(usize, bool)> {
    const INTERPRETATION: u16 = 262;
    const ENTRY: usize = 12;
    let little = bytes.starts_with(b"II");
    let short = |at: usize| {
        let pair = bytes.get(at..at + 2)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let long = |at: usize| {
        let four = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    };
    if short(2)? != 42 {
        return None; // BigTIFF, which nobody writes for small palettes
    }
    let directory = long(4)? as usize;
    let count = usize::from(short(directory)?);
    let at = (0..count).map(|i| directory + 2 + i * ENTRY).find(|&at| short(at) == Some(INTERPRETATION))?;
    (short(at + 8)? == PALETTE).then_some((at + 8, little))
}

fn limits(options: &DecodeOptions) -> Limits {
    let most = usize::try_from(options.limits.max_pixels.saturating_mul(8).max(1 << 20)).unwrap_or(usize::MAX);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = most;
    limits.intermediate_buffer_size = most;
    limits.ifd_value_size = 1 << 20;
    limits
}

fn unsupported(reason: String) -> DecodeError {
    DecodeError::Unsupported { format: Format::Tiff, reason }
}

fn error(error: TiffError) -> DecodeError {
    let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
    match error {
        TiffError::UnsupportedError(_) => unsupported(reason),
        _ => DecodeError::Damaged { format: Format::Tiff, reason, offset: None },
    }
}
