//! Walks over a file's outer structure and reports where it ends too early. Decoders stop at the last pixel that they
//! need, or fill in what is missing; a file that lost its tail is damaged all the same.

use super::Format;
use crate::DecodeError;

fn truncated(format: Format, reason: &str, bytes: &[u8]) -> DecodeError {
    DecodeError::Truncated { format, reason: reason.to_owned(), offset: bytes.len() as u64 }
}

fn damaged(format: Format, reason: String, offset: usize) -> DecodeError {
    DecodeError::Damaged { format, reason, offset: Some(offset as u64) }
}

/// From the start-of-image marker to the end-of-image marker. Bytes after that don't matter.
pub(super) fn jpeg_ends(bytes: &[u8]) -> Result<(), DecodeError> {
    let format = Format::Jpeg;
    let mut at = 2;
    loop {
        let Some(&byte) = bytes.get(at) else {
            return Err(truncated(format, "no end-of-image marker", bytes));
        };
        if byte != 0xFF {
            return Err(damaged(format, format!("expected a marker, found 0x{byte:02x}"), at));
        }
        while bytes.get(at) == Some(&0xFF) {
            at += 1; // fill bytes
        }
        let Some(&marker) = bytes.get(at) else {
            return Err(truncated(format, "no end-of-image marker", bytes));
        };
        at += 1;
        match marker {
            0xD9 => return Ok(()),
            0x01 | 0xD0..=0xD8 => continue,
            _ => {}
        }
        let Some(length) = bytes.get(at..at + 2) else {
            return Err(truncated(format, "a segment's length is missing", bytes));
        };
        at += usize::from(u16::from_be_bytes([length[0], length[1]]));
        if at > bytes.len() {
            return Err(truncated(format, "a segment is cut", bytes));
        }
        if marker == 0xDA {
            at = end_of_scan(bytes, at).ok_or_else(|| truncated(format, "the scan does not end", bytes))?;
        }
    }
}

/// The position of the next marker that is neither a stuffed byte nor a restart.
fn end_of_scan(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
        match bytes.get(at + 1)? {
            0x00 | 0xD0..=0xD7 => at += 2,
            0xFF => at += 1,
            _ => return Some(at),
        }
    }
}

/// Chunks up to the end chunk.
pub(super) fn png_ends(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut at = 8;
    loop {
        let Some(head) = bytes.get(at..at + 8) else {
            return Err(truncated(Format::Png, "no end chunk", bytes));
        };
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        at += length + 12;
        if at > bytes.len() {
            return Err(truncated(Format::Png, "a chunk is cut", bytes));
        }
        if &head[4..] == b"IEND" {
            return Ok(());
        }
    }
}

/// As many bytes as the container's header announces.
pub(super) fn webp_ends(bytes: &[u8]) -> Result<(), DecodeError> {
    let announced = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize + 8;
    if announced > bytes.len() {
        return Err(truncated(Format::WebP, &format!("{announced} bytes announced, the file ends"), bytes));
    }
    Ok(())
}

/// As many bytes as the header announces, where it announces any.
pub(super) fn bmp_ends(bytes: &[u8]) -> Result<(), DecodeError> {
    let announced = bytes.get(2..6).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    if bytes.len() < 26 || announced > bytes.len() {
        return Err(truncated(Format::Bmp, &format!("{announced} bytes announced, the file ends"), bytes));
    }
    Ok(())
}

/// Blocks up to the trailer; returns the number of frames.
pub(super) fn gif_frames(bytes: &[u8]) -> Result<usize, DecodeError> {
    let cut = || truncated(Format::Gif, "no trailer", bytes);
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3usize << ((flags & 7) + 1) };
    let mut at = 13 + table(*bytes.get(10).ok_or_else(cut)?);
    let mut frames = 0;
    loop {
        match bytes.get(at).ok_or_else(cut)? {
            0x3B => return Ok(frames),
            0x21 => at += 2,
            0x2C => {
                frames += 1;
                at += 10 + table(*bytes.get(at + 9).ok_or_else(cut)?) + 1;
            }
            other => return Err(damaged(Format::Gif, format!("unknown block 0x{other:02x}"), at)),
        }
        loop {
            let length = usize::from(*bytes.get(at).ok_or_else(cut)?);
            at += length + 1;
            if length == 0 {
                break;
            }
        }
    }
}
