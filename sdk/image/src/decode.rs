//! From the bytes of a file to 8-bit RGB: by content, not by name; strictly, so that a damaged file is an error rather
//! than a grey area; within limits that are checked before anything is allocated.
//!
//! Pixels are those of Pillow's `convert("RGB")`: alpha is dropped (not blended), palettes are looked up, 16-bit
//! channels keep their high byte, an animation gives its first frame. 16-bit gray without alpha, which Pillow clips to 255, is
//! scaled unless [`Gray16`] says otherwise.

mod bmp;
mod gif;
mod jpeg;
mod orientation;
mod other;
mod structure;
mod tiff;

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
    /// Whether the file's pixels are 16-bit gray without alpha, so that [`DecodeOptions::gray16`] decided.
    pub was_gray16: bool,
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
    /// What becomes of 16-bit gray.
    pub gray16: Gray16,
    /// Decode a JPEG at 1/2, 1/4 or 1/8 as long as its short side stays at least this long: faster, with other pixels.
    /// Without a value, in full.
    pub short_side: Option<u32>,
}

/// How gray of 16 bits without alpha becomes gray of 8 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gray16 {
    /// The high byte, as of every other 16-bit channel: 0 to 65535 become 0 to 255.
    #[default]
    Scale,
    /// As Pillow does: what is above 255 becomes 255.
    Saturate,
}

impl Gray16 {
    fn of(self, value: u16) -> u8 {
        match self {
            Self::Scale => (value >> 8) as u8,
            Self::Saturate => value.min(255) as u8,
        }
    }
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
    /// The first page: gray, palette, RGB or CMYK of whole numbers up to 16 bits.
    Tiff,
    /// PBM, PGM, PPM, as text or binary, and PAM.
    Pnm,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Tiff => "TIFF",
            Self::Pnm => "PNM",
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
        Format::Tiff => tiff::decode(bytes, options),
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
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Ok(Format::Tiff),
        [b'P', b'1'..=b'7', space, ..] if space.is_ascii_whitespace() => Ok(Format::Pnm),
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
    if let Some(name) = known(bytes) {
        return format!("{name}, which is not read");
    }
    let printable = |&b: &u8| b.is_ascii_graphic() || b.is_ascii_whitespace();
    let shown: String = start[..start.len().min(16)].escape_ascii().to_string();
    if start.iter().all(printable) { format!("text, `{shown}`") } else { format!("unknown bytes `{shown}`") }
}

/// What people have in folders of images, by the first bytes.
fn known(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f' | b's', ..] => Some("AVIF"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'h' | b'm', ..] => Some("HEIC or another film-like container"),
        [_, _, _, _, b'J', b'X', b'L', b' ', ..] | [0xFF, 0x0A, ..] => Some("JPEG XL"),
        [_, _, _, _, b'j', b'P', b' ', b' ', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => Some("JPEG 2000"),
        [b'%', b'P', b'D', b'F', ..] => Some("PDF"),
        [b'P', b'K', 3 | 5, ..] => Some("a zip archive"),
        [0x1F, 0x8B, ..] => Some("a gzip archive"),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Some("a NumPy array"),
        [0, 5, 0x16, 7, ..] => Some("what macOS keeps beside a file (`._NAME`)"),
        _ => None,
    }
}

impl Limits {
    fn check(&self, format: Format, width: u32, height: u32) -> Result<(), DecodeError> {
        let too_large = |limit, pixels| Err(DecodeError::TooLarge { format, width, height, limit, pixels });
        if width == 0 || height == 0 {
            let reason = format!("the header announces {width}×{height} pixels");
            return Err(DecodeError::Damaged { format, reason, offset: None });
        }
        if width.max(height) > self.max_side {
            return too_large(format!("{} pixels a side", self.max_side), false);
        }
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return too_large(format!("{} pixels", self.max_pixels), true);
        }
        Ok(())
    }
}
