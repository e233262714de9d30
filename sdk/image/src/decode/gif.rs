//! GIF files whose first frame does not fill the screen.

use super::Decoded;

/// What the first frame leaves open gets Pillow's colour: that of the frame's transparent index, or else of index 0.
pub(super) fn fill_around_frame(bytes: &[u8], decoded: &mut Decoded) {
    let Some(frame) = first_frame(bytes) else { return };
    let (width, height) = (decoded.width as usize, decoded.height as usize);
    let [left, top, w, h] = frame.place;
    for y in 0..height {
        for x in 0..width {
            let inside = x >= left && x < left + w && y >= top && y < top + h;
            if !inside {
                decoded.pixels[(y * width + x) * 3..][..3].copy_from_slice(&frame.around);
            }
        }
    }
}

struct Frame {
    /// Left, top, width, height.
    place: [usize; 4],
    around: [u8; 3],
}

fn first_frame(bytes: &[u8]) -> Option<Frame> {
    let table_length = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3usize << ((flags & 7) + 1) };
    let global = 13;
    let mut at = global + table_length(*bytes.get(10)?);
    let mut transparent = None;
    loop {
        match *bytes.get(at)? {
            0x21 => {
                let control = bytes.get(at + 1..at + 8)?;
                if control[0] == 0xF9 && control[1] == 4 {
                    transparent = (control[2] & 1 == 1).then_some(control[5]);
                }
                at += 2;
                loop {
                    let length = usize::from(*bytes.get(at)?);
                    at += length + 1;
                    if length == 0 {
                        break;
                    }
                }
            }
            0x2C => {
                let head = bytes.get(at + 1..at + 10)?;
                let number = |i: usize| usize::from(u16::from_le_bytes([head[i], head[i + 1]]));
                let local = table_length(head[8]);
                let table = if local > 0 { at + 10 } else { global };
                let index = usize::from(transparent.unwrap_or(0));
                let colour = bytes.get(table + 3 * index..table + 3 * index + 3)?;
                let place = [number(0), number(2), number(4), number(6)];
                return Some(Frame { place, around: [colour[0], colour[1], colour[2]] });
            }
            _ => return None,
        }
    }
}
