//! JPEG with the same pixels as Pillow's, bit for bit.
//!
//! [`plain`] decodes files of the usual kind; whatever is not, or is not in order, is [`library`]'s, which also says what is wrong.

mod library;
#[cfg(target_arch = "x86_64")]
mod plain;

use super::{DecodeOptions, Decoded, structure};
use crate::DecodeError;

pub(super) use library::cmyk_to_rgb;

pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    #[cfg(target_arch = "x86_64")]
    if let Some(decoded) = plain::decode(bytes, options) {
        return Ok(decoded);
    }
    structure::jpeg_ends(bytes)?;
    library::decode(bytes, options)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use mozjpeg::{ColorSpace, Compress};
    use std::{env, fs, path::PathBuf};

    /// Colours that change slowly, with noise of some strength.
    fn image(width: usize, height: usize, noise: u32) -> Vec<u8> {
        let mut state = (width * 31 + height) as u32;
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                for colour in 0..3 {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223); // Numerical Recipes
                    let smooth = 128.0 + 100.0 * ((x * (colour + 1) + 2 * y) as f32 / 17.0).sin();
                    let value = smooth + (state >> 24) as f32 * noise as f32 / 256.0 - noise as f32 / 2.0;
                    pixels.push(value.clamp(0.0, 255.0) as u8);
                }
            }
        }
        pixels
    }

    fn file(size: [usize; 2], coarse: bool, gray: bool, quality: f32, noise: u32) -> Vec<u8> {
        let pixels = image(size[0], size[1], noise);
        let mut file = Compress::new(if gray { ColorSpace::JCS_GRAYSCALE } else { ColorSpace::JCS_RGB });
        file.set_size(size[0], size[1]);
        file.set_quality(quality);
        file.set_optimize_scans(false);
        file.set_fastest_defaults();
        if !gray {
            let size = if coarse { (2, 2) } else { (1, 1) };
            file.set_chroma_sampling_pixel_sizes(size, size);
        }
        let mut file = file.start_compress(Vec::new()).unwrap();
        let pixels = if gray { pixels.into_iter().step_by(3).collect() } else { pixels };
        file.write_scanlines(&pixels).unwrap();
        file.finish().unwrap()
    }

    fn both(bytes: &[u8], short_side: Option<u32>) -> (Option<Decoded>, Decoded) {
        let options = DecodeOptions { short_side, ..DecodeOptions::default() };
        (plain::decode(bytes, &options), library::decode(bytes, &options).unwrap())
    }

    fn has_it() -> bool {
        let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2");
        if !has {
            eprintln!("SKIPPED: no AVX2");
        }
        has
    }

    #[test]
    fn pixels_are_the_librarys_whatever_the_size() {
        if !has_it() {
            return;
        }
        let sizes = [
            [1, 1],
            [3, 5],
            [8, 8],
            [9, 7],
            [15, 17],
            [16, 16],
            [31, 33],
            [64, 48],
            [125, 93],
            [500, 3],
            [6, 301],
            [321, 247],
        ];
        for size in sizes {
            for (coarse, gray) in [(false, false), (true, false), (false, true)] {
                for (quality, noise) in [(95.0, 20), (75.0, 60), (30.0, 120), (100.0, 8)] {
                    let bytes = file(size, coarse, gray, quality, noise);
                    let side = size[0].min(size[1]) as u32;
                    for short_side in [None, Some(side.div_ceil(2)), Some(side.div_ceil(4)), Some(side.div_ceil(8))] {
                        let (plain, library) = both(&bytes, short_side);
                        let eighths = short_side.map_or(8, |least| library::eighths(side, least));
                        let is_narrow = coarse && size[0] <= 4 && eighths == 8; // libjpeg does not interpolate so few
                        assert_eq!(
                            plain.is_none(),
                            is_narrow,
                            "{size:?}, coarse {coarse}, gray {gray}, {short_side:?}"
                        );
                        if let Some(plain) = plain {
                            assert_eq!([plain.width, plain.height], [library.width, library.height]);
                            assert!(
                                plain == library,
                                "{size:?}, coarse {coarse}, gray {gray}, {quality}, {short_side:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn files_of_the_usual_kind_need_no_library() {
        if !has_it() {
            return;
        }
        for (name, is_plain) in [
            ("baseline.jpg", true),
            ("subsampled.jpg", true),
            ("restarts.jpg", true),
            ("gray.jpg", true),
            ("progressive.jpg", false),
            ("arithmetic.jpg", false),
            ("cmyk.jpg", false),
        ] {
            let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", name].iter().collect();
            let (plain, library) = both(&fs::read(path).unwrap(), None);
            assert_eq!(plain.is_some(), is_plain, "{name}");
            assert!(plain.is_none_or(|plain| plain == library), "{name}");
        }
    }

    #[test]
    fn blocks_that_no_photograph_has_are_left_to_the_library() {
        let noise: Vec<u8> = file([64, 64], false, true, 100.0, 4_000);
        let (plain, _) = both(&noise, None);
        assert!(plain.is_none());
    }

    /// Cuts a file at some of its places, and changes the byte there by each of the flips: what is decoded all the same has the library's
    /// pixels. How often that was.
    fn taken_of_changed(sound: &[u8], places: impl Iterator<Item = usize>, flips: &[u8]) -> usize {
        let options = DecodeOptions::default();
        let mut taken = 0;
        for at in places {
            assert!(plain::decode(&sound[..at], &options).is_none(), "cut at {at}");
            for flip in flips {
                let mut bytes = sound.to_vec();
                bytes[at] ^= flip;
                if let Some(plain) = plain::decode(&bytes, &options) {
                    taken += 1;
                    let library =
                        library::decode(&bytes, &options).unwrap_or_else(|error| panic!("{at} {flip}: {error}"));
                    assert!(plain == library, "byte {at} changed by {flip}");
                }
            }
        }
        taken
    }

    #[test]
    fn a_file_that_is_cut_or_changed_anywhere_is_never_other_pixels() {
        if !has_it() {
            return;
        }
        let sound = file([40, 24], true, false, 80.0, 40);
        let taken = taken_of_changed(&sound, 2..sound.len(), &[1, 0x80, 0xFF]);
        assert!(taken > 100, "{taken} changed files were decoded");
    }

    /// As above, of a file that is long enough to be read by pairs of coefficients, at some of its places.
    #[test]
    fn a_long_file_that_is_cut_or_changed_is_never_other_pixels() {
        if !has_it() {
            return;
        }
        let sound = file([240, 160], true, false, 98.0, 200);
        assert!(sound.len() > 17_000, "{}", sound.len());
        let taken = taken_of_changed(&sound, (2..sound.len()).step_by(61), &[1, 0x10, 0x80, 0xFF]);
        assert!(taken > 20, "{taken} changed files were decoded");
    }

    #[test]
    fn photographs_are_the_librarys_to_the_bit() {
        let shared = env::var_os("INFOMAX_SHARED").map(PathBuf::from);
        let folder = shared.map(|shared| shared.join("data/cifar10")).filter(|folder| folder.is_dir());
        let Some(folder) = env::var_os("INFOMAX_BENCH_IMAGES").map(PathBuf::from).or(folder).filter(|_| has_it())
        else {
            eprintln!("SKIPPED: no photographs: set INFOMAX_SHARED or INFOMAX_BENCH_IMAGES");
            return;
        };
        let (mut folders, mut count, mut plain_ones) = (vec![folder], 0, 0);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let (Ok(bytes @ [0xFF, 0xD8, ..]), true) = (fs::read(&path).as_deref(), count < 600) {
                    count += 1;
                    for short_side in [None, Some(100)] {
                        let (plain, library) = both(bytes, short_side);
                        plain_ones += usize::from(plain.is_some());
                        assert!(plain.is_none_or(|plain| plain == library), "{}", path.display());
                    }
                }
            }
        }
        println!("{plain_ones} of {} decoded without the library", 2 * count);
        assert!(plain_ones > count);
    }
}
