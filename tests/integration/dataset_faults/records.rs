//! Binary datasets, through `cifar10`: files that are cut or too long, labels out of range.

use crate::support::figures::figure;
use crate::support::image_tree::open;
use infomax::error::Error;
use insta::assert_snapshot;
use serde_json::json;
use std::fs;
use tempfile::TempDir;

const RECORD: usize = 1 + 3 * 32 * 32;

fn cifar() -> TempDir {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("cifar-10-batches-bin");
    fs::create_dir(&folder).unwrap();
    for name in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        fs::write(folder.join(format!("{name}.bin")), vec![3; RECORD]).unwrap();
    }
    root
}

/// Replaces the third file; opens the dataset; gives the error.
fn opened(root: &TempDir, third: &[u8]) -> Result<u64, Error> {
    fs::write(root.path().join("cifar-10-batches-bin/data_batch_3.bin"), third).unwrap();
    let config = json!({"root": root.path(), "allow_subset": true});
    open("cifar10", json!({"name": "cifar10", "config": config})).map(|source| source.facts().splits[0].length)
}

fn shown(root: &TempDir, error: &Error) -> String {
    let text = error.to_string().replace(&root.path().display().to_string(), "FOLDER");
    let lines = text.lines().filter(|line| !line.contains(".so"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn d14_every_wrong_length_is_refused() {
    let root = cifar();
    let bytes = vec![3; 2 * RECORD + 40];
    let whole = |length: usize| length == RECORD || length == 2 * RECORD;
    let lengths = (0..bytes.len()).filter(|&at| at % 13 == 0 || at % RECORD < 3 || at % RECORD > RECORD - 3);
    let lengths: Vec<usize> = lengths.filter(|&length| !whole(length)).collect();
    let mut refused = 0;
    for &length in &lengths {
        let error = opened(&root, &bytes[..length]).unwrap_err();
        assert_eq!(error.exit_code(), 4, "{error}");
        assert!(error.to_string().contains(&format!("has {length} bytes")), "{error}");
        refused += 1;
    }
    figure("D14", "wrong lengths refused", refused, lengths.len());
    assert_eq!(opened(&root, &bytes[..2 * RECORD]).unwrap(), 6);
    assert_snapshot!("d14", shown(&root, &opened(&root, &bytes[..RECORD - 1]).unwrap_err()));
}

#[test]
fn d15_every_label_out_of_range_is_refused() {
    let root = cifar();
    let mut refused = 0;
    for label in 0..=255 {
        let mut bytes = vec![3; 2 * RECORD];
        bytes[RECORD] = label;
        match opened(&root, &bytes) {
            Ok(length) => assert!(label < 10 && length == 6),
            Err(error) => {
                assert_eq!(error.exit_code(), 4, "{error}");
                assert!(error.to_string().contains(&format!("record 1: label `{label}`")), "{error}");
                refused += 1;
            }
        }
    }
    figure("D15", "labels out of range refused", refused, 246);
    assert_eq!(refused, 246);
    let mut bytes = vec![3; RECORD];
    bytes[0] = 255;
    assert_snapshot!("d15", shown(&root, &opened(&root, &bytes).unwrap_err()));
}
