//! Pillow's `ImageOps` that change each channel's values by a table.

/// `ImageOps.solarize`: inverts what is not below the threshold.
pub fn solarise(pixels: &mut [u8], threshold: f64) {
    pixels.iter_mut().filter(|value| f64::from(**value) >= threshold).for_each(|value| *value = 255 - *value);
}

/// `ImageOps.invert`.
pub fn invert(pixels: &mut [u8]) {
    pixels.iter_mut().for_each(|value| *value = 255 - *value);
}

/// `ImageOps.posterize`: keeps the highest bits.
///
/// # Panics
/// Where `bits` is above 8.
pub fn posterise(pixels: &mut [u8], bits: u32) {
    assert!(bits <= 8, "a byte has 8 bits, not {bits}");
    let mask = !((1u32 << (8 - bits)) - 1) as u8;
    pixels.iter_mut().for_each(|value| *value &= mask);
}

/// `ImageOps.autocontrast`: stretches each channel from its smallest to its largest value over 0 to 255.
pub fn autocontrast(pixels: &mut [u8]) {
    by_channel(pixels, |counts| {
        let low = counts.iter().position(|&count| count > 0).unwrap_or(0);
        let high = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
        if high <= low {
            return None;
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        Some(std::array::from_fn(|value| (value as f64 * scale + offset) as u8)) // truncated and clipped
    });
}

/// `ImageOps.equalize`: each channel's values become equally frequent.
pub fn equalise(pixels: &mut [u8]) {
    by_channel(pixels, |counts| {
        let last = counts.iter().rfind(|&&count| count > 0)?;
        let step = (counts.iter().sum::<usize>() - last) / 255;
        if step == 0 {
            return None;
        }
        let mut below = step / 2;
        Some(std::array::from_fn(|value| {
            let level = below / step;
            below += counts[value];
            level.min(255) as u8
        }))
    });
}

/// Changes each channel by the table that its histogram gives, or leaves it.
fn by_channel(pixels: &mut [u8], table: impl Fn(&[usize; 256]) -> Option<[u8; 256]>) {
    for channel in 0..3 {
        let mut counts = [0; 256];
        pixels.iter().skip(channel).step_by(3).for_each(|&value| counts[usize::from(value)] += 1);
        if let Some(table) = table(&counts) {
            pixels.iter_mut().skip(channel).step_by(3).for_each(|value| *value = table[usize::from(*value)]);
        }
    }
}
