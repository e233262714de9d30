//! 16-bit bitmaps: how five or six bits become eight.

/// Replaces the decoder's rounding of 16-bit bitmaps by Pillow's, which cuts off: `v * 255 / 31` in whole numbers.
pub(super) fn as_pillow(bytes: &[u8], pixels: &mut [u8]) {
    let Some(green) = green_most(bytes) else { return };
    let cut = |value: u8, most: u32| ((u32::from(value) * most + 127) / 255 * 255 / most) as u8;
    for pixel in pixels.chunks_exact_mut(3) {
        pixel[0] = cut(pixel[0], 31);
        pixel[1] = cut(pixel[1], green);
        pixel[2] = cut(pixel[2], 31);
    }
}

/// The largest value of green, where a pixel has 5-5-5 or 5-6-5 bits.
fn green_most(bytes: &[u8]) -> Option<u32> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    const CORE_HEADER: u32 = 12; // OS/2: no compression, no masks
    const BITFIELDS: u32 = 3;
    let core = number(14)? == CORE_HEADER;
    let bits = if core { number(22)? >> 16 } else { number(26)? >> 16 };
    if bits != 16 {
        return None;
    }
    if core || number(30)? != BITFIELDS {
        return Some(31);
    }
    match [number(54)?, number(58)?, number(62)?] {
        [0xF800, 0x7E0, 0x1F] => Some(63),
        [0x7C00, 0x3E0, 0x1F] => Some(31),
        _ => None,
    }
}
