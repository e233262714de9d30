//! Chroma of half the size as fine as luma: between the four nearest samples, 9 : 3 : 3 : 1, as libjpeg rounds it.

/// One row of twice as many samples, from the chroma row that it lies in and the next nearest one.
#[inline(always)]
pub fn row(own: &[u8], near: &[u8], sums: &mut Vec<u16>, out: &mut Vec<u8>) {
    let width = own.len();
    let near = &near[..width];
    sums.resize(width + 2, 0);
    for ((sum, &own), &near) in sums[1..].iter_mut().zip(own).zip(near) {
        *sum = 3 * u16::from(own) + u16::from(near);
    }
    (sums[0], sums[width + 1]) = (sums[1], sums[width]);
    out.resize(2 * width, 0);
    let neighbours = sums.iter().zip(&sums[1..]).zip(&sums[2..]);
    for (pixels, ((&left, &own), &right)) in out.chunks_exact_mut(2).zip(neighbours) {
        let (first, second) = ((3 * own + left + 8) >> 4, (3 * own + right + 7) >> 4);
        pixels.copy_from_slice(&(first | second << 8).to_le_bytes());
    }
}
