//! Sixteen pixels by colour, and back, for what reads and what changes images.

#![allow(unused_unsafe, reason = "intrinsics are unsafe up to Rust 1.86")]

use std::arch::x86_64::*;

/// Pixels at once.
pub const PIXELS: usize = 16;
/// Their bytes.
pub const BYTES: usize = 3 * PIXELS;
/// Red, green and blue of as many pixels.
pub type Colours<T> = [[T; PIXELS]; 3];

/// Which byte of each third of [`BYTES`] is a colour's, by colour and third; -1: none.
static OUT: [[[i8; 16]; 3]; 3] = {
    let mut places = [[[-1; 16]; 3]; 3];
    let mut at = 0;
    while at < BYTES {
        places[at % 3][at / 16][at / 3] = (at % 16) as i8;
        at += 1;
    }
    places
};

/// Which byte of a colour goes where in each third of [`BYTES`], by third and colour; -1: none.
static IN: [[[i8; 16]; 3]; 3] = {
    let mut places = [[[-1; 16]; 3]; 3];
    let mut at = 0;
    while at < BYTES {
        places[at / 16][at % 3][at % 16] = (at / 3) as i8;
        at += 1;
    }
    places
};

/// Three vectors' bytes, each where a row of the table says.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn gathered(from: &[[u8; 16]; 3], places: &[[i8; 16]; 3]) -> [u8; 16] {
    let mut to = [0; 16];
    // SAFETY: loads and a store of 16 bytes from and to arrays of 16; AVX2 is there (the callers).
    unsafe {
        let mut all = _mm_setzero_si128();
        for (from, places) in from.iter().zip(places) {
            let (from, places) = (_mm_loadu_si128(from.as_ptr().cast()), _mm_loadu_si128(places.as_ptr().cast()));
            all = _mm_or_si128(all, _mm_shuffle_epi8(from, places));
        }
        _mm_storeu_si128(to.as_mut_ptr().cast(), all);
    }
    to
}

/// The colours of pixels.
///
/// # Safety
/// The processor has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
pub unsafe fn colours(pixels: &[u8; BYTES]) -> Colours<u8> {
    let mut thirds = [[0; 16]; 3];
    for (third, bytes) in thirds.iter_mut().zip(pixels.chunks_exact(16)) {
        third.copy_from_slice(bytes);
    }
    // SAFETY: AVX2 is there (the caller).
    unsafe { [gathered(&thirds, &OUT[0]), gathered(&thirds, &OUT[1]), gathered(&thirds, &OUT[2])] }
}

/// The pixels of colours.
///
/// # Safety
/// The processor has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
pub unsafe fn pixels(colours: &Colours<u8>, pixels: &mut [u8; BYTES]) {
    for (third, places) in pixels.chunks_exact_mut(16).zip(&IN) {
        // SAFETY: AVX2 is there (the caller).
        third.copy_from_slice(&unsafe { gathered(colours, places) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_come_back_from_their_colours() {
        if !is_x86_feature_detected!("avx2") {
            eprintln!("SKIPPED: no AVX2");
            return;
        }
        let before: [u8; BYTES] = std::array::from_fn(|at| at as u8 * 5);
        let mut after = [0; BYTES];
        // SAFETY: AVX2 was detected.
        let by_colour = unsafe { colours(&before) };
        assert_eq!(by_colour[2][7], before[7 * 3 + 2]);
        // SAFETY: the same.
        unsafe { pixels(&by_colour, &mut after) };
        assert_eq!(before, after);
    }
}
