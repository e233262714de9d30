//! Why an image file can't be decoded: the format, the reason, the offset where that is known, and what to do.

use crate::Format;

/// Why an image file can't be decoded. The caller adds the path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// The content is of no known format, whatever the file's name says.
    #[error("not an image: {looks_like}")]
    UnknownFormat {
        /// What the content looks like instead.
        looks_like: String,
    },
    /// The file ends before the image does.
    #[error("truncated {format}: {reason} at byte {offset}")]
    Truncated {
        /// By content.
        format: Format,
        /// What is missing.
        reason: String,
        /// Where the file ends.
        offset: u64,
    },
    /// The content contradicts its format.
    #[error("damaged {format}: {reason}{}", at(*.offset))]
    Damaged {
        /// By content.
        format: Format,
        /// What the decoder found.
        reason: String,
        /// Where, as far as the decoder says.
        offset: Option<u64>,
    },
    /// The format is known, this variant of it isn't read.
    #[error("unsupported {format}: {reason}")]
    Unsupported {
        /// By content.
        format: Format,
        /// The variant.
        reason: String,
    },
    /// The header announces more than the limits allow.
    #[error("{format} of {width}×{height} pixels exceeds the limit of {limit}")]
    TooLarge {
        /// By content.
        format: Format,
        /// As the header says.
        width: u32,
        /// As the header says.
        height: u32,
        /// The limit that it exceeds.
        limit: String,
        /// Whether it is the limit of [`Limits::max_pixels`](crate::Limits), not that of a side.
        pixels: bool,
    },
}

impl DecodeError {
    /// The format by content, where there is one.
    pub fn format(&self) -> Option<Format> {
        match self {
            Self::Empty | Self::UnknownFormat { .. } => None,
            Self::Truncated { format, .. }
            | Self::Damaged { format, .. }
            | Self::Unsupported { format, .. }
            | Self::TooLarge { format, .. } => Some(*format),
        }
    }

    /// The byte where it failed, as far as the decoder says.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Truncated { offset, .. } => Some(*offset),
            Self::Damaged { offset, .. } => *offset,
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty | Self::Truncated { .. } | Self::Damaged { .. } => {
                "copy or download the file again, or remove it from the dataset"
            }
            Self::UnknownFormat { .. } => {
                "convert the file, or remove it from the dataset; JPEG, PNG, WebP, BMP, GIF, TIFF and PNM are read"
            }
            Self::Unsupported { .. } => "convert the file to PNG or to a common JPEG",
            Self::TooLarge { pixels: true, .. } => "raise `dataset.max_pixels`, or scale the image down",
            Self::TooLarge { .. } => "scale the image down",
        }
    }
}

fn at(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| format!(" at byte {offset}"))
}
