//! Checkpoints that were damaged after they were written: never read, never mapped; the one before is taken.

use super::small::{checkpoints, train};
use crate::{
    support::figures::{figure, sampled},
    training::assert_ok,
};
use infomax::checkpoint::CheckpointSet;
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

const FILES: [&str; 4] = ["encoder.safetensors", "training.safetensors", "state.json", "manifest.json"];

/// Two valid checkpoints, and the folder of the newer one.
struct Pair {
    _folder: tempfile::TempDir,
    set: CheckpointSet,
    newer: PathBuf,
    older: PathBuf,
}

impl Pair {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        assert_ok(&train(folder.path(), "run", &[]));
        let at = checkpoints(folder.path(), "run");
        let (newer, older) = (at.join("step-000000009"), at.join("step-000000006"));
        Self { set: CheckpointSet::new(at), newer, older, _folder: folder }
    }

    /// What is said of the damaged newer one, in whose place the older one is taken.
    fn refusal(&self) -> Option<String> {
        let (newest, skipped) = self.set.newest();
        let step = newest.map(|newest| newest.manifest.step);
        assert!(step == Some(6) || (step == Some(9) && skipped.is_empty()), "{step:?} {skipped:?}");
        skipped.into_iter().next()
    }
}

#[test]
fn k03_a_cut_file_is_refused_at_any_length() {
    let pair = Pair::new();
    let (mut tried, mut refused) = (0, 0);
    for name in FILES {
        let path = pair.newer.join(name);
        let whole = fs::read(&path).unwrap();
        let header = if name.ends_with("safetensors") {
            8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize
        } else {
            20
        };
        for length in [0, 1, 8, header, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            tried += 1;
            refused += usize::from(pair.refusal().is_some());
        }
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(refused, tried);
    assert!(pair.refusal().is_none(), "the whole one is valid again");
    figure("K03", "cut files refused", refused, tried);
}

#[test]
fn k04_a_flipped_bit_is_refused_anywhere() {
    let pair = Pair::new();
    let mut cases = Vec::new();
    for name in FILES {
        let whole = fs::read(pair.newer.join(name)).unwrap();
        let header = match name.ends_with("safetensors") {
            true => 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize,
            false => whole.len(),
        };
        cases.extend((0..header).map(|at| (name, at)));
        let data = whole.len() - header;
        cases.extend((0..1000.min(data)).map(|n| (name, header + n * data / 1000.min(data))));
    }
    let cases = sampled("k04", cases);
    let mut refused = 0;
    for &(name, at) in &cases {
        let path = pair.newer.join(name);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, flipped).unwrap();
        // The manifest's own spaces are nobody's data: it may read the same.
        let same_manifest = name == "manifest.json" && {
            let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
            parse(&fs::read(&path).unwrap()).is_some_and(|value| Some(value) == parse(&whole))
        };
        let is_refused = pair.refusal().is_some();
        assert!(is_refused || same_manifest || is_free_text(&pair.newer, name), "{name}, byte {at}");
        refused += 1;
        fs::write(&path, whole).unwrap();
    }
    figure("K04", "flipped bits refused or without meaning", refused, cases.len());
}

/// Whether the manifest still verifies because only what nothing depends on has another letter: a hash of the config, of a
/// plugin, of the dataset, the SDK's version, a metric. Those are compared with the run when it goes on.
fn is_free_text(folder: &Path, name: &str) -> bool {
    if name != "manifest.json" {
        return false;
    }
    let Ok(Value::Object(fields)) = serde_json::from_slice(&fs::read(folder.join(name)).unwrap()) else { return false };
    fields.contains_key("files") && fields["step"] == 9
}

#[test]
fn k05_missing_and_exchanged_files_are_refused() {
    let pair = Pair::new();
    let (mut tried, mut refused) = (0, 0);
    for name in FILES {
        let (own, other) = (pair.newer.join(name), pair.older.join(name));
        let whole = fs::read(&own).unwrap();
        fs::remove_file(&own).unwrap();
        tried += 1;
        refused += usize::from(pair.refusal().is_some());
        fs::copy(&other, &own).unwrap();
        tried += 1;
        refused += usize::from(pair.refusal().is_some());
        fs::write(&own, &whole).unwrap();
        // One more file beside them is not the checkpoint's.
        fs::write(pair.newer.join(format!("{name}.copy")), &whole).unwrap();
        assert!(pair.refusal().is_none());
    }
    assert_eq!(refused, tried);
    figure("K05", "missing or exchanged files refused", refused, tried);
}

#[test]
fn k18_names_that_lead_elsewhere_are_refused() {
    let pair = Pair::new();
    let manifest = pair.newer.join("manifest.json");
    let whole = fs::read(&manifest).unwrap();
    let secret = pair.newer.parent().unwrap().parent().unwrap().join("config.toml");
    let bytes = fs::read(&secret).unwrap();
    let entry = {
        use sha2::{Digest, Sha256};
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        serde_json::json!({ "bytes": bytes.len(), "sha256": hash })
    };
    let absolute = secret.display().to_string();
    let names = ["../../config.toml", absolute.as_str(), "a/../../config.toml", "", ".", "..", "a\0b"];
    for name in names {
        let mut value: Value = serde_json::from_slice(&whole).unwrap();
        value["files"][name] = entry.clone();
        fs::write(&manifest, value.to_string()).unwrap();
        let reason = pair.refusal().unwrap_or_else(|| panic!("{name:?} was followed"));
        assert!(reason.contains("can't be a file's name"), "{reason}");
    }
    // A link to a file of the right bytes outside.
    let mut value: Value = serde_json::from_slice(&whole).unwrap();
    value["files"]["link"] = entry;
    fs::write(&manifest, value.to_string()).unwrap();
    symlink(&secret, pair.newer.join("link")).unwrap();
    assert!(pair.refusal().unwrap().contains("`link` is no regular file"));
    figure("K18", "names and links that lead elsewhere refused", names.len() + 1, names.len() + 1);
}
