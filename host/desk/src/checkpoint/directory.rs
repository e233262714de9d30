//! Checkpoint directories `step-000012000/`: each file's size and hash in a manifest; written beside, synced, read back,
//! renamed. Valid = the name fits and the manifest verifies; the newest valid one wins, what is skipped is said. A killed
//! process leaves a torn sibling that nothing reads and the next write removes; after a power cut the last rename may be
//! missing.

use super::disk;
use crate::{
    error::{Error, Fault, Result},
    hash::sha256,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Of the layout that is written. 1: without `metrics` and `held_out`; read still.
const FORMAT: u32 = 2;
const MANIFEST: &str = "manifest.json";
const MANIFEST_BYTES: u64 = 1 << 20; // hundreds of plugins and files would fit
const WRITING: &str = ".writing-";
const REMOVING: &str = ".removing-";

/// What a checkpoint says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// The results of the test at this very step, by name; empty where there was none.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// Whether those are of images kept from training, not of the test split: only then may a choice rest on them.
    #[serde(default)]
    pub held_out: bool,
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

/// What lies where checkpoints do.
#[derive(Debug)]
pub struct Found {
    pub path: PathBuf,
    pub state: Result<Verified, String>,
    /// Whether it is named like a checkpoint; what is not is never looked at.
    pub is_named: bool,
}

impl Found {
    fn at(path: PathBuf) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let facts = fs::symlink_metadata(&path);
        let is_named = step_of(&name).is_some();
        let state = match facts {
            _ if name.starts_with(WRITING) || name.starts_with(REMOVING) => {
                Err("half written or half removed; the next checkpoint sweeps it".to_owned())
            }
            _ if !is_named => Err("not named like a checkpoint".to_owned()),
            Ok(facts) if facts.is_symlink() => Err("a link, which is not followed".to_owned()),
            Ok(facts) if !facts.is_dir() => Err("no directory".to_owned()),
            Ok(_) => read_verified(&path),
            Err(error) => Err(error.to_string()),
        };
        Self { path, state, is_named }
    }
}

/// Which checkpoints stay.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    /// The newest valid ones; at least two do.
    pub newest: u64,
    /// Besides them those with the highest value of a metric on held-out images.
    pub best: u64,
    /// That metric.
    pub metric: String,
}

impl CheckpointSet {
    /// The checkpoints in a folder, which may not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The same, wherever this process goes.
    #[must_use]
    pub fn absolute(&self) -> Self {
        Self { folder: std::path::absolute(&self.folder).unwrap_or_else(|_| self.folder.clone()) }
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
        let entry = |bytes: &[u8]| FileEntry { bytes: bytes.len() as u64, sha256: sha256(bytes) };
        manifest.files = files.iter().map(|(name, bytes)| ((*name).to_owned(), entry(bytes))).collect();
        disk::make_folder(&self.folder)?;
        self.sweep()?;
        let beside = self.folder.join(format!("{WRITING}{}", name(manifest.step)));
        let written = write_beside(&beside, &manifest, files, verify).and_then(|()| {
            if target.exists() {
                self.remove(&target)?;
            }
            disk::rename(&beside, &target)?;
            disk::sync_folder(&self.folder)
        });
        if written.is_err() {
            let _ = fs::remove_dir_all(&beside);
        }
        written.map(|()| target)
    }

    /// One checkpoint, every byte of it checked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(path: &Path) -> Result<Verified, String> {
        read_verified(path)
    }

    /// Everything that lies where checkpoints do, by name.
    pub fn survey(&self) -> Vec<Found> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut found: Vec<Found> = entries.map(|entry| Found::at(entry.path())).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// The newest valid checkpoint, with what was passed over and why.
    pub fn newest(&self) -> (Option<Verified>, Vec<String>) {
        let mut tried = BTreeSet::new();
        loop {
            let mut skipped = Vec::new();
            let list = self.by_step();
            for (_, path) in list.iter().rev() {
                match read_verified(path) {
                    Ok(verified) => return (Some(verified), skipped),
                    Err(reason) => skipped.push(format!("{}: {reason}", path.display())),
                }
            }
            // A run that goes on may have removed the ones that were listed, and written newer ones.
            if list.iter().all(|(step, _)| !tried.insert(*step)) {
                return (None, skipped);
            }
        }
    }

    /// Removes the checkpoints that need not stay, and torn siblings; damaged ones newer than those that stay are left to
    /// people.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn retain(&self, retention: &Retention) -> Result<()> {
        let mut newest = 0;
        let mut rest = Vec::new();
        for (_, path) in self.by_step().into_iter().rev() {
            if newest >= retention.newest.max(2) {
                rest.push(path);
            } else if read_verified(&path).is_ok() {
                newest += 1;
            }
        }
        let kept = if retention.best > 0 { self.best(retention) } else { BTreeSet::new() };
        rest.iter().filter(|path| !kept.contains(*path)).try_for_each(|path| self.remove(path))?;
        self.sweep()
    }

    /// The valid checkpoints with the highest values of a metric on held-out images; of equal ones the later.
    pub fn best(&self, retention: &Retention) -> BTreeSet<PathBuf> {
        let value = |(_, path): (u64, PathBuf)| {
            let manifest = read_manifest(&path).ok().filter(|manifest| manifest.held_out)?;
            Some((*manifest.metrics.get(&retention.metric)?, manifest.step, path))
        };
        let mut list: Vec<_> = self.by_step().into_iter().filter_map(value).collect();
        list.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        let valid = list.into_iter().filter(|(.., path)| read_verified(path).is_ok());
        valid.take(retention.best as usize).map(|(.., path)| path).collect()
    }

    /// Removes a checkpoint: first its name, so that nobody meets half of it.
    fn remove(&self, path: &Path) -> Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = self.folder.join(format!("{REMOVING}{name}"));
        disk::remove_folder(&aside)?;
        disk::rename(path, &aside)?;
        disk::remove_folder(&aside)
    }

    /// Removes what an ended process left half written or half removed.
    fn sweep(&self) -> Result<()> {
        let torn = |entry: &fs::DirEntry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            [WRITING, REMOVING].iter().any(|mark| name.strip_prefix(mark).is_some_and(|rest| step_of(rest).is_some()))
        };
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter(torn).try_for_each(|entry| disk::remove_folder(&entry.path()))
    }

    /// What each checkpoint says of itself, oldest first, or why it can't; their files are not read.
    pub fn list(&self) -> Vec<(u64, Result<Manifest, String>)> {
        self.by_step().into_iter().map(|(step, path)| (step, read_manifest(&path))).collect()
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

fn write_beside(beside: &Path, manifest: &Manifest, files: &[(&str, Vec<u8>)], verify: bool) -> Result<()> {
    disk::make_folder(beside)?;
    for (name, bytes) in files {
        disk::write(&beside.join(name), bytes)?;
    }
    let text = serde_json::to_vec_pretty(manifest).expect("a manifest is plain data");
    disk::write(&beside.join(MANIFEST), &text)?;
    disk::sync_folder(beside)?;
    if verify {
        read_files(beside, manifest).map_err(|reason| {
            let fault = Fault::new(format!("a checkpoint just written does not read back: {reason}"));
            Error::Checkpoint { fault: fault.at(beside.display().to_string()).hint("check the disk") }
        })?;
    }
    Ok(())
}

fn name(step: u64) -> String {
    format!("step-{step:09}")
}

fn step_of(file_name: &str) -> Option<u64> {
    let step = file_name.strip_prefix("step-")?.parse().ok()?;
    (name(step) == file_name).then_some(step)
}

fn read_verified(path: &Path) -> Result<Verified, String> {
    let manifest = read_manifest(path)?;
    let files = read_files(path, &manifest)?;
    Ok(Verified { manifest, path: path.to_owned(), files })
}

fn read_manifest(path: &Path) -> Result<Manifest, String> {
    /// What every format has.
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let file = path.join(MANIFEST);
    let facts = fs::symlink_metadata(&file).map_err(|error| format!("no manifest: {error}"))?;
    if !facts.is_file() || facts.len() > MANIFEST_BYTES {
        return Err(format!("`{MANIFEST}` is no regular file of at most {MANIFEST_BYTES} bytes"));
    }
    let text = disk::read(&file).map_err(|error| format!("no manifest: {error}"))?;
    let unreadable = |error: serde_json::Error| format!("the manifest can't be read: {error}");
    let Format { format } = serde_json::from_slice(&text).map_err(unreadable)?;
    if format > FORMAT {
        return Err(format!("its format {format} is newer than this program's {FORMAT}"));
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(unreadable)?;
    let expected = name(manifest.step);
    if path.file_name().is_none_or(|name| name != expected.as_str()) {
        return Err(format!("it is named unlike its step {}", manifest.step));
    }
    Ok(manifest)
}

fn read_files(path: &Path, manifest: &Manifest) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let read = |(name, entry): (&String, &FileEntry)| {
        if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
            return Err(format!("{name:?} can't be a file's name"));
        }
        let file = path.join(name);
        let facts = fs::symlink_metadata(&file).map_err(|error| format!("`{name}`: {error}"))?;
        if !facts.is_file() {
            return Err(format!("`{name}` is no regular file"));
        }
        if facts.len() != entry.bytes {
            return Err(format!("`{name}` has {} bytes, expected {}", facts.len(), entry.bytes));
        }
        let bytes = disk::read(&file).map_err(|error| format!("`{name}`: {error}"))?;
        if sha256(&bytes) != entry.sha256 {
            return Err(format!("`{name}` has another hash than the manifest says"));
        }
        Ok((name.clone(), bytes))
    };
    manifest.files.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(set: &CheckpointSet, step: u64) -> PathBuf {
        tested(set, step, BTreeMap::new())
    }

    fn tested(set: &CheckpointSet, step: u64, metrics: BTreeMap<String, f64>) -> PathBuf {
        let manifest = Manifest { step, held_out: !metrics.is_empty(), metrics, ..Manifest::default() };
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
        set.retain(&Retention { newest: 2, ..Retention::default() }).unwrap();
        let left: Vec<_> = set.by_step().into_iter().map(|(step, _)| step).collect();
        assert_eq!(left, [3, 4, 5]);
    }

    #[test]
    fn the_best_on_held_out_images_stay_beside_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let set = CheckpointSet::new(folder.path());
        for (step, value) in [(1, 30.0), (2, 50.0), (3, 40.0), (4, 50.0), (5, 45.0), (6, 10.0)] {
            tested(&set, step, BTreeMap::from([("linear_top1".to_owned(), value)]));
        }
        write(&set, 7);
        set.retain(&Retention { newest: 2, best: 2, metric: "linear_top1".to_owned() }).unwrap();
        let left: Vec<_> = set.by_step().into_iter().map(|(step, _)| step).collect();
        assert_eq!(left, [2, 4, 6, 7]);
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let set = CheckpointSet::new(folder.path());
        for name in [".writing-step-000000003", ".removing-step-000000001", ".writing-mine", "step-5.bak"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        write(&set, 4);
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".writing-mine", "step-000000004", "step-5.bak"]);
    }
}
