//! A hash manifest: one JSON object with the SHA-256 of every image, `{"version":1,"files":{"rel/path":"hex",…}}`. It is
//! the only thing that notices a flipped bit in most images.

use crate::{archive::hex, names};
use infomax_sdk::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
#[cfg(test)]
use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

/// The name under which a manifest is found without being asked for.
pub(crate) const FILE: &str = "infomax-hashes.json";
const VERSION: u32 = 1;
const LARGEST: u64 = 1 << 30; // a manifest of 1.3 million files has about 150 MB

#[derive(Serialize, Deserialize)]
struct Manifest {
    version: u32,
    files: BTreeMap<String, String>,
}

/// SHA-256 by relative path, escaped as in messages.
#[derive(Debug)]
pub(crate) struct Hashes {
    files: BTreeMap<String, [u8; 32]>,
    path: PathBuf,
}

impl Hashes {
    /// Reads a manifest.
    pub fn load(path: &Path) -> Result<Self> {
        let shown = names::path(path);
        let fail = |reason: String| {
            Error::data(format!("the hash manifest `{shown}` can't be used: {reason}"))
                .hint("remove it and write it again with `infomax data scan --write-manifest`")
        };
        let metadata = fs::metadata(path).map_err(|cause| fail(cause.to_string()))?;
        if !metadata.is_file() || metadata.len() > LARGEST {
            return Err(fail(format!("no regular file of at most {LARGEST} bytes")));
        }
        let bytes = fs::read(path).map_err(|cause| fail(cause.to_string()))?;
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|cause| fail(cause.to_string()))?;
        if manifest.version != VERSION {
            return Err(fail(format!("version {}, expected {VERSION}", manifest.version)));
        }
        let files = manifest.files.into_iter().map(|(name, text)| match parse(&text) {
            Some(hash) => Ok((name, hash)),
            None => Err(fail(format!("`{text}` of `{name}` is no SHA-256"))),
        });
        Ok(Self { files: files.collect::<Result<_>>()?, path: path.to_owned() })
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Checks a file's bytes.
    pub fn verify(&self, relative: &[u8], bytes: &[u8]) -> Result<()> {
        let (name, path) = (names::escape(relative), names::path(&self.path));
        let Some(expected) = self.files.get(&name) else {
            return Err(Error::data(format!("`{name}` is not in the hash manifest `{path}`"))
                .hint("if the file belongs to the dataset, remove the manifest and write it again"));
        };
        let found = Sha256::digest(bytes);
        if found[..] == expected[..] {
            return Ok(());
        }
        let (found, expected) = (hex(&found), hex(expected));
        Err(Error::data(format!("`{name}` has the SHA-256 `{found}`, expected `{expected}` from `{path}`"))
            .hint("the file was damaged or replaced: copy it again"))
    }
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// Hashes the files (paths relative to `root`, as bytes) and writes the manifest to `target`, as `infomax data scan
/// --write-manifest` does from what it reads.
#[cfg(test)]
pub(crate) fn write<'a>(root: &Path, files: impl IntoIterator<Item = &'a [u8]>, target: &Path) {
    let mut manifest = Manifest { version: VERSION, files: BTreeMap::new() };
    for relative in files {
        let bytes = fs::read(root.join(OsStr::from_bytes(relative))).expect("a file");
        manifest.files.insert(names::escape(relative), hex(&Sha256::digest(&bytes)));
    }
    fs::write(target, serde_json::to_vec(&manifest).expect("a map of strings")).expect("written");
}
