//! Kinds of images: colour models, wrong names, animations, orientation, extreme sizes, bombs; through `image-folder`.

use crate::support::figures::figure;
use crate::support::{
    image_tree::{ImageTree, fixture},
    workspace::{component, registry},
};
use infomax::{
    augmentation::{ForeignAugmentation, describe},
    plugin::Kind,
};
use infomax_sdk::{ImageRef, Key, ViewMut, requests::Request};
use insta::assert_snapshot;
use serde_json::{Value, json};

const KINDS: [(&str, bool); 22] = [
    ("baseline.jpg", false),
    ("progressive.jpg", false),
    ("subsampled.jpg", false),
    ("restarts.jpg", false),
    ("gray.jpg", false),
    ("cmyk.jpg", false),
    ("ycck.jpg", false),
    ("gray.png", false),
    ("palette.png", false),
    ("one_bit.png", false),
    ("rgba.png", false),
    ("gray_alpha.png", false),
    ("gray16.png", false),
    ("rgb16.png", false),
    ("png_named.jpg", false),
    ("gif_named.jpg", false),
    ("bmp_named.jpg", false),
    ("webp_named.jpg", false),
    ("lossy.webp", false),
    ("animated.gif", true),
    ("animated.webp", true),
    ("animated.png", true),
];

/// Largest difference to Pillow's recorded pixels.
fn difference(width: u32, height: u32, pixels: &[u8], recorded: &str) -> u8 {
    let expected = fixture(recorded);
    let size = [0, 4].map(|at| u32::from_le_bytes(expected[at..at + 4].try_into().unwrap()));
    assert_eq!(([width, height], pixels.len()), (size, expected.len() - 8), "{recorded}");
    pixels.iter().zip(&expected[8..]).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

fn tree_of(names: &[&str]) -> ImageTree {
    let tree = ImageTree::empty();
    for (at, name) in names.iter().enumerate() {
        tree.put(format!("train/{}/{at:02}_{name}", if at * 2 < names.len() { "a" } else { "b" }), &fixture(name));
    }
    tree
}

#[test]
fn d06_d07_d08_every_kind_of_image_has_pillows_pixels() {
    let tree = tree_of(&KINDS.map(|(name, _)| name));
    let source = tree.open(json!({"gray16": "saturate"})).unwrap();
    let mut exact = 0;
    for (index, (name, animated)) in KINDS.into_iter().enumerate() {
        let image = source.read(0, index as u64).unwrap().unwrap_or_else(|bad| panic!("{name}: {}", bad.reason));
        let largest = difference(image.width, image.height, &image.pixels, &format!("{name}.rgb"));
        assert!(largest <= if name == "lossy.webp" { 2 } else { 0 }, "{name}: differs by {largest}");
        assert_eq!(image.was_animated, animated, "{name}");
        exact += usize::from(largest == 0);
    }
    figure("D06", "kinds of image with Pillow's pixels (D06-D08)", exact, KINDS.len());
}

#[test]
fn d07_gray_of_16_bits_is_scaled_unless_asked_otherwise_and_told() {
    let tree = tree_of(&["gray16.png", "gray16.tif", "gray.png", "gray16.pgm"]);
    for (asked, ending) in [(None, "scaled.rgb"), (Some("scale"), "scaled.rgb"), (Some("saturate"), "rgb")] {
        let source = tree.open(asked.map_or(json!({}), |asked| json!({"gray16": asked}))).unwrap();
        for (index, name) in [(0, "gray16.png"), (1, "gray16.tif"), (3, "gray16.pgm")] {
            let image = source.read(0, index).unwrap().unwrap();
            assert_eq!(difference(image.width, image.height, &image.pixels, &format!("{name}.{ending}")), 0, "{name}");
        }
    }
    let (ended, report) = tree.scan(&[]);
    assert_eq!((ended.code, report["gray16"].as_u64()), (0, Some(3)), "{}", ended.seen());
    let told = ended.err.matches("16-bit gray images are scaled").count();
    assert!(told == 1 && ended.err.contains("`dataset.gray16 = \"saturate\"`"), "{}", ended.seen());
    let trained = tree.run(&["train"], &["--set", "dataset.gray16=saturate"]);
    assert!(trained.code == 0 && trained.err.contains("16-bit gray images are cut off at 255"), "{}", trained.seen());
    let refused = tree.run(&["train"], &["--set", "dataset.gray16=half"]);
    assert!(refused.code == 2 && refused.err.contains("`scale`, `saturate`"), "{}", refused.seen());
}

#[test]
fn d08_a_scan_counts_animations() {
    let tree = tree_of(&KINDS.map(|(name, _)| name));
    assert_snapshot!("d08_scan", tree.run(&["data", "scan"], &[]).seen());
}

#[test]
fn d09_orientation_is_applied_on_request_only() {
    let names: Vec<String> = (1..=8).map(|n| format!("orientation{n}.jpg")).collect();
    let tree = tree_of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for (turn, ending) in [(false, "rgb"), (true, "turned.rgb")] {
        let source = tree.open(json!({"exif_rotation": turn})).unwrap();
        for (index, name) in names.iter().enumerate() {
            let image = source.read(0, index as u64).unwrap().unwrap();
            assert_eq!(difference(image.width, image.height, &image.pixels, &format!("{name}.{ending}")), 0, "{name}");
        }
    }
}

/// A bitmap of 24 bits.
fn bmp(width: u32, height: u32) -> Vec<u8> {
    let stride = (width * 3).next_multiple_of(4);
    let header: [u32; 12] = [54 + stride * height, 0, 54, 40, width, height, 1 | 24 << 16, 0, stride * height, 0, 0, 0];
    let mut bytes = b"BM".to_vec();
    header.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes.extend([0; 4]);
    bytes.extend((0..stride * height).map(|at| (at * 37 % 251) as u8));
    bytes
}

/// The files of extreme sizes: side, side.
const EXTREME: [(u32, u32); 7] = [(1, 1), (1, 20_000), (20_000, 1), (2, 3), (31, 33), (5, 400), (64, 31)];

#[test]
fn d10_images_of_any_size_pass_every_augmentation() {
    let tree = ImageTree::empty();
    for (n, (width, height)) in EXTREME.into_iter().enumerate() {
        tree.put(format!("train/{}/{n}.bmp", ["a", "b"][n * 2 / EXTREME.len()]), &bmp(width, height));
    }
    let source = tree.open(json!({})).unwrap();
    let registry = registry();
    let components = registry.candidates().iter().flat_map(|candidate| &candidate.manifest.components);
    let mut passed = 0;
    for found in components.filter(|component| component.kind == "augmentation") {
        let component = component(Kind::Augmentation, &found.name);
        let sizes = found.schema["properties"]["size"]["enum"].as_array().cloned();
        let configs = sizes.map_or_else(|| vec![json!({})], |all| all.iter().map(|s| json!({"size": s})).collect());
        for config in configs {
            let request = Request { config: config.clone(), ..Request::default() };
            let description = describe(&component, &request).unwrap();
            let augmentation = ForeignAugmentation::create(&component, &request).unwrap();
            for (index, size) in EXTREME.into_iter().enumerate() {
                let image = source.read(0, index as u64).unwrap().unwrap();
                assert_eq!((image.width, image.height), size);
                let mut views: Vec<_> =
                    description.views.iter().map(|v| vec![0; (v.height * v.width * 3) as usize]).collect();
                for draw in 0..20 {
                    let places = description.views.iter().zip(&mut views);
                    let mut places: Vec<_> = places
                        .map(|(view, pixels)| ViewMut { width: view.width, height: view.height, pixels })
                        .collect();
                    let made = augmentation.train_views(image.as_image(), Key::new(1).fold(draw), &mut places);
                    made.unwrap_or_else(|error| panic!("{} {config} {size:?}: {}", found.name, error.fault()));
                }
                let [height, width] = description.eval_size;
                let mut pixels = vec![0; (height * width * 3) as usize];
                let made =
                    augmentation.eval_view(image.as_image(), &mut ViewMut { width, height, pixels: &mut pixels });
                made.unwrap_or_else(|error| panic!("{} {config} {size:?}: {}", found.name, error.fault()));
                passed += 1;
            }
            // No decoder gives this; another dataset might.
            let nothing = ImageRef { width: 0, height: 0, pixels: &[] };
            let [height, width] = description.eval_size;
            let mut pixels = vec![0; (height * width * 3) as usize];
            let _ = augmentation.eval_view(nothing, &mut ViewMut { width, height, pixels: &mut pixels });
        }
    }
    figure("D10", "augmentations of images of extreme size, no panic", passed, passed);
    assert!(passed >= EXTREME.len());
}

fn announce(name: &str, side: u32) -> Vec<u8> {
    let mut bytes = fixture(name);
    match name {
        "gray.png" => {
            bytes[16..20].copy_from_slice(&side.to_be_bytes());
            bytes[20..24].copy_from_slice(&side.to_be_bytes());
            let ihdr = crc32(&bytes[12..29]);
            bytes[29..33].copy_from_slice(&ihdr.to_be_bytes());
        }
        "bmp_named.jpg" => {
            bytes[18..22].copy_from_slice(&side.to_le_bytes());
            bytes[22..26].copy_from_slice(&side.to_le_bytes());
        }
        "gif_named.jpg" => {
            let [low, high] = (side as u16).to_le_bytes();
            bytes[6..10].copy_from_slice(&[low, high, low, high]);
        }
        _ => {
            let frame = bytes.windows(2).position(|w| w == [0xFF, 0xC0] || w == [0xFF, 0xC2]).unwrap();
            let [high, low] = (side as u16).to_be_bytes();
            bytes[frame + 5..frame + 9].copy_from_slice(&[high, low, high, low]);
        }
    }
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn d10_d16_images_without_pixels_and_bombs_are_refused_by_their_headers() {
    let names = ["baseline.jpg", "progressive.jpg", "gray.png", "bmp_named.jpg", "gif_named.jpg"];
    let usual = tree_of(&names).scan(&[]).0;
    assert_eq!(usual.code, 0, "{}", usual.seen());
    for (side, snapshot) in [(0, "d10_no_pixels"), (60_000, "d16_bombs")] {
        let tree = ImageTree::empty();
        for (n, name) in names.iter().enumerate() {
            tree.put(format!("train/{}/{name}", ["a", "b"][n % 2]), &announce(name, side));
        }
        let (ended, report) = tree.scan(&[]);
        println!("{snapshot}: peak {} MiB, {} MiB with sound files", ended.peak_mib, usual.peak_mib);
        assert!(ended.peak_mib < usual.peak_mib + 64, "a 60000² image would take 10 GiB");
        let bad: Vec<String> = report["bad"].as_array().unwrap().iter().map(line).collect();
        assert_eq!((ended.code, bad.len()), (4, names.len()), "{}", ended.seen());
        assert_snapshot!(snapshot, bad.join("\n"));
    }
}

fn line(bad: &Value) -> String {
    format!("{}: {}", bad["path"].as_str().unwrap(), bad["reason"].as_str().unwrap())
}
