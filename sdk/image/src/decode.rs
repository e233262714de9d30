//! From the bytes of a file to 8-bit RGB: by content, not by name; strictly, so that a damaged file is an error rather
//! than a grey area; within limits that are checked before anything is allocated.
//!
//! Pixels are those of Pillow's `convert("RGB")`: alpha is dropped (not blended), palettes are looked up, 16-bit
//! channels keep their high byte (but 16-bit gray without alpha is clipped to 255), an animation gives its first frame.

mod jpeg;
mod orientation;
mod other;
mod structure;

use crate::{DecodeError, Rgb8Ref};
use std::fmt;

/// A decoded image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// height × width × 3 bytes, row by row, red green blue.
    pub pixels: Vec<u8>,
    /// By content.
    pub format: Format,
    /// Whether the file holds more frames than the one that was decoded.
    pub was_animated: bool,
}

impl Decoded {
    /// Borrows the pixels.
    pub fn as_ref(&self) -> Rgb8Ref<'_> {
        Rgb8Ref::new(self.width, self.height, &self.pixels)
    }
}

/// How to decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    /// What a header may announce.
    pub limits: Limits,
    /// Turn and mirror the image as its EXIF orientation says. Off, as in torchvision: pixels as they are stored.
    pub apply_orientation: bool,
    /// Decode a JPEG at 1/2, 1/4 or 1/8 as long as its short side stays at least this long: faster, with other pixels.
    /// Without a value, in full.
    pub short_side: Option<u32>,
}

/// What a header may announce before it counts as a decompression bomb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest side in pixels.
    pub max_side: u32,
    /// Width × height.
    pub max_pixels: u64,
    /// Bytes of the file.
    pub max_file_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_side: 65_535, max_pixels: 178_956_970, max_file_bytes: 1 << 30 } // pixels: Pillow's bomb error
    }
}

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Baseline and progressive, in gray, YCbCr, RGB, CMYK or YCCK.
    Jpeg,
    /// Of any depth.
    Png,
    /// Lossy and lossless.
    WebP,
    /// Of any depth.
    Bmp,
    /// The first frame.
    Gif,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
        })
    }
}

/// Decodes an image file.
///
/// # Errors
/// A file that is no image, is truncated or damaged, or exceeds the limits.
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    let format = sniff(bytes)?;
    if bytes.len() as u64 > options.limits.max_file_bytes {
        let limit = options.limits.max_file_bytes;
        let reason = format!("{} bytes exceed the limit of {limit}", bytes.len());
        return Err(DecodeError::Unsupported { format, reason });
    }
    match format {
        Format::Jpeg => jpeg::decode(bytes, options),
        _ => other::decode(bytes, format, options),
    }
}

/// Tells the format from the first bytes.
fn sniff(bytes: &[u8]) -> Result<Format, DecodeError> {
    match bytes {
        [] => Err(DecodeError::Empty),
        [0xFF, 0xD8, ..] => Ok(Format::Jpeg),
        [0x89, b'P', b'N', b'G', ..] => Ok(Format::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(Format::WebP),
        [b'G', b'I', b'F', b'8', ..] => Ok(Format::Gif),
        [b'B', b'M', ..] => Ok(Format::Bmp),
        _ => Err(DecodeError::UnknownFormat { looks_like: describe(bytes) }),
    }
}

fn describe(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(64)];
    let text = start.trim_ascii_start();
    if bytes.len() < 4 {
        return format!("{} byte(s)", bytes.len());
    }
    if text.first() == Some(&b'<') {
        return "a web page or XML".to_owned();
    }
    let printable = |&b: &u8| b.is_ascii_graphic() || b.is_ascii_whitespace();
    let shown: String = start[..start.len().min(16)].escape_ascii().to_string();
    if start.iter().all(printable) { format!("text, `{shown}`") } else { format!("unknown bytes `{shown}`") }
}

impl Limits {
    fn check(&self, format: Format, width: u32, height: u32) -> Result<(), DecodeError> {
        let too_large = |limit| Err(DecodeError::TooLarge { format, width, height, limit });
        if width == 0 || height == 0 {
            let reason = format!("the header announces {width}×{height} pixels");
            return Err(DecodeError::Damaged { format, reason, offset: None });
        }
        if width.max(height) > self.max_side {
            return too_large(format!("{} pixels a side", self.max_side));
        }
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return too_large(format!("{} pixels", self.max_pixels));
        }
        Ok(())
    }
}
