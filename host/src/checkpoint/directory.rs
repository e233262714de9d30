//! Checkpoint directories `step-000012000/`: each file's size and hash in a manifest; written beside, synced, read back,
//! renamed. Valid = the name fits and the manifest verifies; the newest valid one wins, what is skipped is said. A killed
//! process leaves a torn sibling that nothing reads; after a power cut the last rename may be missing.

use crate::error::{Error, Fault, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of this layout.
    pub format: u32,
    /// Updates done.
    pub step: u64,
    /// SHA-256 of the resolved config.
    pub config: String,
    /// The SDK's version.
    pub sdk: String,
    /// SHA-256 of each plugin library, by name.
    pub plugins: BTreeMap<String, String>,
    /// The dataset's fingerprint.
    pub dataset: String,
    /// By name.
    pub files: BTreeMap<String, FileEntry>,
}

/// A file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    pub bytes: u64,
    pub sha256: String,
}

/// The checkpoints of a run.
#[derive(Clone, Debug)]
pub struct CheckpointSet {
    folder: PathBuf,
}

/// A checkpoint whose every byte was checked, in memory.
#[derive(Debug)]
pub struct Verified {
    pub manifest: Manifest,
    pub path: PathBuf,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl CheckpointSet {
    /// The checkpoints in a folder, which may not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Writes a checkpoint; one of this step that is already there and valid stays.
    ///
    /// # Errors
    /// The system's, with the path; nothing is left behind.
    pub fn write(&self, mut manifest: Manifest, files: &[(&str, Vec<u8>)], verify: bool) -> Result<PathBuf> {
        let target = self.folder.join(name(manifest.step));
        if read_verified(&target).is_ok() {
            return Ok(target);
        }
        manifest.format = FORMAT;
        let entry = |bytes: &[u8]| FileEntry { bytes: bytes.len() as u64, sha256: hash(bytes) };
        manifest.files = files.iter().map(|(name, bytes)| ((*name).to_owned(), entry(bytes))).collect();
        fs::create_dir_all(&self.folder).map_err(Error::io("make the folder", &self.folder))?;
        let beside = self.folder.join(format!(".writing-{}", name(manifest.step)));
        let written = self.write_beside(&beside, &manifest, files, verify).and_then(|()| {
            if target.exists() {
                fs::remove_dir_all(&target).map_err(Error::io("remove the damaged", &target))?;
            }
            fs::rename(&beside, &target).map_err(Error::io("rename a checkpoint to", &target))?;
            sync_folder(&self.folder)
        });
        if written.is_err() {
            let _ = fs::remove_dir_all(&beside);
        }
        written.map(|()| target)
    }

    fn write_beside(&self, beside: &Path, manifest: &Manifest, files: &[(&str, Vec<u8>)], verify: bool) -> Result<()> {
        if beside.exists() {
            fs::remove_dir_all(beside).map_err(Error::io("remove the torn", beside))?;
        }
        fs::create_dir(beside).map_err(Error::io("make the folder", beside))?;
        for (name, bytes) in files {
            write_synced(&beside.join(name), bytes)?;
        }
        let text = serde_json::to_vec_pretty(manifest).expect("a manifest is plain data");
        write_synced(&beside.join(MANIFEST), &text)?;
        sync_folder(beside)?;
        if verify {
            read_files(beside, manifest).map_err(|reason| {
                let fault = Fault::new(format!("a checkpoint just written does not read back: {reason}"));
                Error::Checkpoint { fault: fault.at(beside.display().to_string()).hint("check the disk") }
            })?;
        }
        Ok(())
    }

    /// The newest valid checkpoint, with what was passed over and why.
    pub fn newest(&self) -> (Option<Verified>, Vec<String>) {
        let mut skipped = Vec::new();
        for (_, path) in self.by_step().into_iter().rev() {
            match read_verified(&path) {
                Ok(verified) => return (Some(verified), skipped),
                Err(reason) => skipped.push(format!("{}: {reason}", path.display())),
            }
        }
        (None, skipped)
    }

    /// Removes all but the newest `keep` valid ones, and torn siblings; damaged ones newer than those stay for people.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn retain(&self, keep: u64) -> Result<()> {
        let mut valid = 0;
        for (_, path) in self.by_step().into_iter().rev() {
            if valid >= keep.max(2) {
                fs::remove_dir_all(&path).map_err(Error::io("remove the old checkpoint", &path))?;
            } else if read_verified(&path).is_ok() {
                valid += 1;
            }
        }
        Ok(())
    }

    /// Directories named like checkpoints, oldest first.
    fn by_step(&self) -> Vec<(u64, PathBuf)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut list: Vec<_> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| Some((step_of(entry.file_name().to_str()?)?, entry.path())))
            .collect();
        list.sort();
        list
    }
}

fn name(step: u64) -> String {
    format!("step-{step:09}")
}

fn step_of(file_name: &str) -> Option<u64> {
    let step = file_name.strip_prefix("step-")?.parse().ok()?;
    (name(step) == file_name).then_some(step)
}

fn read_verified(path: &Path) -> Result<Verified, String> {
    let text = fs::read(path.join(MANIFEST)).map_err(|error| format!("no manifest: {error}"))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| format!("the manifest: {error}"))?;
    if manifest.format > FORMAT {
        return Err(format!("its format {} is newer than this program's {FORMAT}", manifest.format));
    }
    let expected = name(manifest.step);
    if path.file_name().is_none_or(|name| name != expected.as_str()) {
        return Err(format!("it is named unlike its step {}", manifest.step));
    }
    let files = read_files(path, &manifest)?;
    Ok(Verified { manifest, path: path.to_owned(), files })
}

fn read_files(path: &Path, manifest: &Manifest) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let read = |(name, entry): (&String, &FileEntry)| {
        if name.contains('/') || name.starts_with('.') {
            return Err(format!("`{name}` can't be a file's name"));
        }
        let file = path.join(name);
        let is_file = fs::symlink_metadata(&file).map_err(|error| format!("`{name}`: {error}"))?;
        if !is_file.is_file() || is_file.len() != entry.bytes {
            return Err(format!("`{name}` has {} bytes, expected {}", is_file.len(), entry.bytes));
        }
        let bytes = fs::read(&file).map_err(|error| format!("`{name}`: {error}"))?;
        if hash(&bytes) != entry.sha256 {
            return Err(format!("`{name}` has another hash than the manifest says"));
        }
        Ok((name.clone(), bytes))
    };
    manifest.files.iter().map(read).collect()
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(Error::io("write", path))
}

fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", path))
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(set: &CheckpointSet, step: u64) -> PathBuf {
        let manifest = Manifest {
            format: FORMAT,
            step,
            config: String::new(),
            sdk: String::new(),
            plugins: BTreeMap::new(),
            dataset: String::new(),
            files: BTreeMap::new(),
        };
        set.write(manifest, &[("a", vec![1, 2, 3]), ("b", step.to_le_bytes().to_vec())], true).unwrap()
    }

    #[test]
    fn newest_valid_wins_and_damaged_ones_are_said() {
        let folder = tempfile::tempdir().unwrap();
        let set = CheckpointSet::new(folder.path().join("checkpoints"));
        write(&set, 10);
        let newer = write(&set, 20);
        fs::create_dir(set.folder.join("step-30.bak")).unwrap();
        assert_eq!(set.newest().0.unwrap().manifest.step, 20);
        for damage in [&b"\x01\x02\x04"[..], b"\x01\x02", b""] {
            fs::write(newer.join("a"), damage).unwrap();
            let (newest, skipped) = set.newest();
            assert_eq!((newest.unwrap().manifest.step, skipped.len()), (10, 1));
        }
    }

    #[test]
    fn retention_counts_valid_ones_only() {
        let folder = tempfile::tempdir().unwrap();
        let set = CheckpointSet::new(folder.path());
        for step in 1..=5 {
            write(&set, step);
        }
        fs::remove_file(folder.path().join("step-000000005/a")).unwrap();
        set.retain(2).unwrap();
        let left: Vec<_> = set.by_step().into_iter().map(|(step, _)| step).collect();
        assert_eq!(left, [3, 4, 5]);
    }
}
