//! Files of many kinds against Pillow's pixels (`record_fixtures.py`), and files that must be refused.

use infomax_image::{DecodeError, DecodeOptions, Decoded, Format, Gray16, Limits, decode};
use std::{fs, path::PathBuf};

fn fixture(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", name].iter().collect();
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn strict(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    decode(bytes, &DecodeOptions::default())
}

/// Largest difference to a recorded `.rgb` file.
fn difference(decoded: &Decoded, recorded: &str) -> u8 {
    let expected = fixture(recorded);
    let size = [0, 4].map(|at| u32::from_le_bytes(expected[at..at + 4].try_into().expect("4 bytes")));
    assert_eq!([decoded.width, decoded.height], size, "{recorded}");
    decoded.pixels.iter().zip(&expected[8..]).map(|(a, b)| a.abs_diff(*b)).max().expect("pixels")
}

#[test]
fn d06_d07_d08_pixels_are_pillows() {
    let exact = 0;
    for (name, format, animated, tolerance) in [
        ("baseline.jpg", Format::Jpeg, false, exact),
        ("progressive.jpg", Format::Jpeg, false, exact),
        ("subsampled.jpg", Format::Jpeg, false, exact),
        ("restarts.jpg", Format::Jpeg, false, exact),
        ("gray.jpg", Format::Jpeg, false, exact),
        ("cmyk.jpg", Format::Jpeg, false, exact),
        ("ycck.jpg", Format::Jpeg, false, exact),
        ("gray.png", Format::Png, false, exact),
        ("palette.png", Format::Png, false, exact),
        ("one_bit.png", Format::Png, false, exact),
        ("rgba.png", Format::Png, false, exact),
        ("gray_alpha.png", Format::Png, false, exact),
        ("rgb16.png", Format::Png, false, exact),
        ("png_named.jpg", Format::Png, false, exact),
        ("gif_named.jpg", Format::Gif, false, exact),
        ("bmp_named.jpg", Format::Bmp, false, exact),
        ("webp_named.jpg", Format::WebP, false, exact),
        ("lossy.webp", Format::WebP, false, 2),
        ("animated.gif", Format::Gif, true, exact),
        ("animated.webp", Format::WebP, true, exact),
        ("animated.png", Format::Png, true, exact),
        ("arithmetic.jpg", Format::Jpeg, false, exact),
        ("arithmetic_progressive.jpg", Format::Jpeg, false, exact),
        ("555.bmp", Format::Bmp, false, exact),
        ("565.bmp", Format::Bmp, false, exact),
        ("555_masks.bmp", Format::Bmp, false, exact),
        ("small_frame.gif", Format::Gif, false, exact),
        ("small_transparent_frame.gif", Format::Gif, false, exact),
        ("rgb.tif", Format::Tiff, false, exact),
        ("lzw.tif", Format::Tiff, false, exact),
        ("deflate.tif", Format::Tiff, false, exact),
        ("packbits.tif", Format::Tiff, false, exact),
        ("jpeg_in.tif", Format::Tiff, false, 2),
        ("gray.tif", Format::Tiff, false, exact),
        ("gray_alpha.tif", Format::Tiff, false, exact),
        ("rgba.tif", Format::Tiff, false, exact),
        ("palette.tif", Format::Tiff, false, exact),
        ("one_bit.tif", Format::Tiff, false, exact),
        ("group4.tif", Format::Tiff, false, exact),
        ("cmyk.tif", Format::Tiff, false, exact),
        ("planar.tif", Format::Tiff, false, exact),
        ("planar_deflate.tif", Format::Tiff, false, exact),
        ("pages.tif", Format::Tiff, true, exact),
        ("turned.tif", Format::Tiff, false, exact),
        ("rgb.ppm", Format::Pnm, false, exact),
        ("text.ppm", Format::Pnm, false, exact),
        ("gray.pgm", Format::Pnm, false, exact),
        ("one_bit.pbm", Format::Pnm, false, exact),
    ] {
        let decoded = strict(&fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((decoded.format, decoded.was_animated), (format, animated), "{name}");
        let largest = difference(&decoded, &format!("{name}.rgb"));
        eprintln!("{name}: largest difference {largest}");
        assert!(largest <= tolerance, "{name}: differs by {largest}");
    }
}

#[test]
fn d07_gray_of_16_bits_is_scaled_or_saturated_in_every_format() {
    for name in ["gray16.png", "gray16.tif", "gray16.pgm"] {
        let of = |gray16| decode(&fixture(name), &DecodeOptions { gray16, ..DecodeOptions::default() }).expect(name);
        let (scaled, saturated) = (of(Gray16::Scale), of(Gray16::Saturate));
        assert!(scaled.was_gray16 && saturated.was_gray16, "{name}");
        assert_eq!(difference(&scaled, &format!("{name}.scaled.rgb")), 0, "{name}");
        assert_eq!(difference(&saturated, &format!("{name}.rgb")), 0, "{name}");
        assert_eq!(strict(&fixture(name)).expect(name), scaled, "{name}: scaled where nothing is said");
    }
    for name in ["gray.png", "rgb16.png", "gray_alpha.tif", "rgb.ppm"] {
        assert!(!strict(&fixture(name)).expect(name).was_gray16, "{name}");
    }
}

#[test]
fn d06_pixels_of_a_kind_that_is_not_read_are_refused_by_name() {
    for (name, said) in [
        ("ycbcr.tif", "pixels of type YCbCr(8)"),
        ("float.tif", "pixels of type Gray(32) that are no whole numbers"),
        ("planar_tiles.tif", "each colour in tiles of its own"),
    ] {
        let error = strict(&fixture(name)).expect_err(name);
        assert!(error.to_string().contains(said), "{name}: {error}");
    }
}

#[test]
fn d09_orientation_is_off_by_default_and_applied_on_request() {
    for orientation in 1..=8 {
        let name = format!("orientation{orientation}.jpg");
        let stored = strict(&fixture(&name)).expect("sound");
        assert!(difference(&stored, &format!("{name}.rgb")) == 0, "{name}");
        let options = DecodeOptions { apply_orientation: true, ..DecodeOptions::default() };
        let turned = decode(&fixture(&name), &options).expect("sound");
        assert!(difference(&turned, &format!("{name}.turned.rgb")) == 0, "{name}");
    }
}

#[test]
fn d01_every_truncation_is_refused() {
    let mut refused = 0;
    let mut tried = 0;
    for name in [
        "baseline.jpg",
        "progressive.jpg",
        "restarts.jpg",
        "rgba.png",
        "gif_named.jpg",
        "bmp_named.jpg",
        "webp_named.jpg",
        "lossy.webp",
        "animated.gif",
        "rgb.tif",
        "lzw.tif",
        "planar.tif",
        "gray16.tif",
        "rgb.ppm",
        "gray16.pgm",
    ] {
        let bytes = fixture(name);
        for length in 0..bytes.len() {
            tried += 1;
            match strict(&bytes[..length]) {
                Ok(_) => eprintln!("{name}: passed at {length} of {} bytes", bytes.len()),
                Err(_) => refused += 1,
            }
        }
    }
    assert_eq!(refused, tried);
}

#[test]
fn d01_a_scan_cut_short_and_closed_is_refused() {
    for name in ["baseline.jpg", "restarts.jpg", "gray.jpg"] {
        let bytes = fixture(name);
        let mut cut = bytes[..bytes.len() * 9 / 10].to_vec();
        cut.extend([0xFF, 0xD9]);
        let error = strict(&cut).expect_err(name).to_string();
        assert_eq!(error, "damaged JPEG: premature end of data segment", "{name}");
    }
}

#[test]
fn a_short_side_scales_the_decoding() {
    for (short_side, size) in [(17, (23, 17)), (9, (12, 9)), (5, (6, 5)), (1, (3, 3))] {
        let options = DecodeOptions { short_side: Some(short_side), ..DecodeOptions::default() };
        let decoded = decode(&fixture("baseline.jpg"), &options).expect("sound");
        assert_eq!((decoded.width, decoded.height), size);
    }
}

#[test]
fn d03_what_is_no_image_says_what_it_looks_like() {
    let message = |bytes: &[u8]| strict(bytes).expect_err("no image").to_string();
    assert_eq!(message(b""), "the file is empty");
    assert_eq!(message(b"x"), "not an image: 1 byte(s)");
    assert_eq!(message(b"<html><body>404"), "not an image: a web page or XML");
    assert_eq!(message(b"\0\0\0\x1cftypavif\0\0\0\0"), "not an image: AVIF, which is not read");
    assert_eq!(
        message(b"\0\0\0\x18ftypheic\0\0\0\0"),
        "not an image: HEIC or another film-like container, which is not read"
    );
    assert_eq!(
        message(b"\0\x05\x16\x07\0\x02"),
        "not an image: what macOS keeps beside a file (`._NAME`), which is not read"
    );
    assert_eq!(message(b"hello, world\n"), "not an image: text, `hello, world\\n`");
    assert_eq!(message(&[0xFF, 0xD8, 0xFF]), "truncated JPEG: no end-of-image marker at byte 3");
}

#[test]
fn d16_bombs_are_refused_by_their_header() {
    let mut png = fixture("gray.png");
    png[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    png[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let ihdr = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&ihdr.to_be_bytes());
    assert!(matches!(strict(&png), Err(DecodeError::TooLarge { width: 60_000, .. })), "{:?}", strict(&png).err());

    let mut jpeg = fixture("baseline.jpg");
    let frame = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).expect("a frame header");
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xEA, 0x60, 0xEA, 0x60]);
    assert!(matches!(strict(&jpeg), Err(DecodeError::TooLarge { width: 60_000, .. })), "{:?}", strict(&jpeg).err());

    let limits = Limits { max_side: 16, ..Limits::default() };
    let refused = decode(&fixture("baseline.jpg"), &DecodeOptions { limits, ..DecodeOptions::default() });
    assert_eq!(
        refused.expect_err("too large").to_string(),
        "JPEG of 23×17 pixels exceeds the limit of 16 pixels a side"
    );
    let limits = Limits { max_pixels: 16, ..Limits::default() };
    for name in ["baseline.jpg", "gray.png", "lossy.webp", "565.bmp", "animated.gif", "rgb.tif", "rgb.ppm"] {
        let refused = decode(&fixture(name), &DecodeOptions { limits, ..DecodeOptions::default() }).expect_err(name);
        assert!(refused.to_string().ends_with("of 23×17 pixels exceeds the limit of 16 pixels"), "{refused}");
        assert!(refused.hint().contains("`dataset.max_pixels`"), "{}", refused.hint());
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn d10_an_image_without_pixels_is_refused() {
    let mut jpeg = fixture("baseline.jpg");
    let frame = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).expect("a frame header");
    jpeg[frame + 7..frame + 9].copy_from_slice(&[0, 0]);
    assert!(strict(&jpeg).is_err());
}

#[test]
fn d21_mutated_files_never_panic() {
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407); // Knuth
        (state >> 33) as usize
    };
    let limits = Limits { max_pixels: 1 << 20, ..Limits::default() };
    for name in [
        "baseline.jpg",
        "progressive.jpg",
        "arithmetic.jpg",
        "cmyk.jpg",
        "palette.png",
        "animated.gif",
        "small_frame.gif",
        "lossy.webp",
        "bmp_named.jpg",
        "565.bmp",
        "lzw.tif",
        "palette.tif",
        "group4.tif",
        "jpeg_in.tif",
        "planar.tif",
        "planar_deflate.tif",
        "gray16.tif",
        "text.ppm",
        "gray16.pgm",
    ] {
        let original = fixture(name);
        for _ in 0..400 {
            let mut bytes = original.clone();
            for _ in 0..1 + next() % 8 {
                let at = next() % bytes.len();
                bytes[at] = next() as u8;
            }
            let _ = decode(&bytes, &DecodeOptions { limits, ..DecodeOptions::default() });
        }
    }
}
