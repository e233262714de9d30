//! Damaged files: cut, flipped, or no images at all.

use crate::support::figures::figure;
use crate::support::image_tree::{ImageTree, fixture};
use insta::assert_snapshot;
use std::fs;

#[test]
fn d01_every_truncation_is_flagged_by_a_scan() {
    let tree = ImageTree::empty();
    for (class, name) in [("a", "baseline.jpg"), ("b", "progressive.jpg")] {
        let bytes = fixture(name);
        for percent in 0..100 {
            tree.put(format!("train/{class}/{percent:02}.jpg"), &bytes[..bytes.len() * percent / 100]);
        }
    }
    let (ended, report) = tree.scan(&[]);
    let flagged = report["bad"].as_array().unwrap().len();
    figure("D01", "truncated files flagged", flagged, 200);
    assert_eq!((ended.code, flagged, report["images"].as_u64()), (4, 200, Some(200)));
    let ended = tree.run(&["train"], &["--set", "dataset.on_bad=skip", "--set", "dataset.max_bad_fraction=1"]);
    assert_eq!(ended.code, 4, "{}", ended.seen());
    assert!(ended.err.contains("no usable image in 100 tries"), "{}", ended.seen());
}

#[test]
fn d02_flipped_bits_are_caught_by_the_manifest_that_scan_writes() {
    let tree = ImageTree::empty();
    for image in 0..200 {
        let name = ["baseline.jpg", "progressive.jpg"][image % 2];
        tree.put(format!("train/{}/{image:03}.jpg", ["a", "b"][image % 2]), &fixture(name));
    }
    let written = tree.run(&["data", "scan"], &["--write-manifest"]);
    assert_snapshot!("d02_written", written.seen());
    assert_eq!(tree.scan(&[]).0.code, 0, "what was hashed passes");
    let mut state = 1_u64;
    for image in 0..200 {
        let path = tree.at(format!("train/{}/{image:03}.jpg", ["a", "b"][image % 2]));
        let mut bytes = fs::read(&path).unwrap();
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407); // Knuth
        let bit = (state >> 33) as usize % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bytes).unwrap();
    }
    let (ended, report) = tree.scan(&["--set", "train.workers=16"]); // a mismatch is read three times, with pauses
    let bad = report["bad"].as_array().unwrap();
    let caught = bad.iter().filter(|bad| bad["reason"].as_str().unwrap().contains("has the SHA-256")).count();
    assert_eq!((ended.code, report["retried"].as_u64()), (4, Some(400)));
    let again = tree.run(&["data", "scan"], &["--write-manifest"]);
    assert_snapshot!("d02_not_replaced", again.seen());
    fs::remove_file(tree.at("infomax-hashes.json")).unwrap();
    let alone = tree.scan(&[]).1["bad"].as_array().unwrap().len();
    figure("D02", "flipped bits caught by the hash manifest", caught, 200);
    println!("d02: {alone} of 200 by the decoder alone");
    assert_eq!(caught, 200);
    assert!(alone < 200);
}

#[test]
fn d02_a_dataset_without_files_has_no_manifest() {
    let tree = ImageTree::empty();
    let ended = tree.run(&["data", "scan"], &["--set", "dataset.name=shapes", "--write-manifest"]);
    assert_snapshot!("d02_no_files", ended.seen());
}

fn with_no_images() -> ImageTree {
    let tree = ImageTree::sound(8);
    tree.put("train/a/empty.jpg", b"");
    tree.put("train/a/one.jpg", b"\xFF");
    tree.put("train/a/page.jpg", b"<!DOCTYPE html><html><body>404 Not Found</body></html>");
    tree.put("train/a/text.png", b"to be done\n");
    tree
}

#[test]
fn d03_what_is_no_image_is_listed_with_path_and_reason() {
    let tree = with_no_images();
    assert_snapshot!("d03_scan", tree.run(&["data", "scan"], &[]).seen());
    let (ended, report) = tree.scan(&[]);
    assert_eq!((ended.code, report["bad"].as_array().unwrap().len()), (4, 4));
    assert_snapshot!("d03_json", serde_json::to_string_pretty(&report).unwrap());
}

#[test]
fn d03_d04_training_skips_what_is_no_image() {
    let tree = with_no_images();
    let more = ["dataset.on_bad=skip", "dataset.max_bad_fraction=0.5", "train.workers=0"];
    let ended = tree.run(&["train"], &more.map(|set| ["--set", set]).concat());
    assert_eq!(ended.code, 0, "{}", ended.seen());
    assert!(ended.out.contains("bad images skipped: 4; see runs/run/infomax.log"), "{}", ended.seen());
    let log = fs::read_to_string(tree.path("runs/run/infomax.log")).unwrap();
    assert_eq!(log.matches("bad image skipped: tree/train/a/").count(), 4, "{log}");
}

#[test]
fn d05_the_error_has_path_number_format_and_offset() {
    for (file, cut, name) in [("baseline.jpg", 300, "d05_jpeg"), ("rgba.png", 100, "d05_png")] {
        let tree = ImageTree::sound(8);
        (0..8).for_each(|image| tree.put(ImageTree::name(image), &fixture(file)[..cut]));
        assert_snapshot!(name, tree.run(&["train"], &["--set", "train.workers=0"]).seen());
    }
}
