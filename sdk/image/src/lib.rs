//! Strict image decoding and Pillow-exact image operations, all on 8-bit RGB, free of I/O, threads and global state.
//!
//! In: the bytes of an image file, or pixels. Out: pixels. The host decodes with [`decode`]; augmentations work with
//! [`operations`].

pub mod decode;
pub mod error;
#[cfg(target_arch = "x86_64")]
mod lanes;
pub mod operations;
mod pixels;

pub use decode::{DecodeOptions, Decoded, Format, Gray16, Limits, decode};
pub use error::DecodeError;
pub use pixels::{Rgb8, Rgb8Mut, Rgb8Ref};
