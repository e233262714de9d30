//! Lost power. What had not been synced may be lost, cut or garbled, and names that were not synced may be missing: worked out
//! from what a write asks of the file system, at every moment of it.

use crate::support::figures::{figure, is_whole};
use infomax::checkpoint::{CheckpointSet, Manifest, Operation, Retention, record};
use infomax_sdk::Key;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const SEEDS: u64 = 1000;

fn files(step: u64) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = |salt: u64| (0..600u64).map(|i| (i * 31 + step * 7 + salt) as u8).collect();
    vec![("encoder.safetensors", bytes(1)), ("training.safetensors", bytes(2)), ("state.json", bytes(3))]
}

fn write(set: &CheckpointSet, step: u64) {
    let manifest = Manifest { step, ..Manifest::default() };
    set.write(manifest, &files(step), true).unwrap();
    set.retain(&Retention { newest: 2, ..Retention::default() }).unwrap();
}

/// A file's bytes, and whether the disk has them.
#[derive(Clone)]
struct Content {
    bytes: Vec<u8>,
    synced: bool,
}

/// A folder tree as the disk may have it: changes to names wait until their folder is synced, in order.
#[derive(Clone, Default)]
struct Disk {
    names: BTreeMap<PathBuf, Option<Content>>,
    waiting: Vec<(PathBuf, Operation)>,
}

impl Disk {
    fn of(folder: &Path) -> Self {
        let mut disk = Self::default();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            disk.names.insert(folder.clone(), None);
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let content = Content { bytes: fs::read(&path).unwrap(), synced: true };
                    disk.names.insert(path, Some(content));
                }
            }
        }
        disk
    }

    fn ask(&mut self, operation: &Operation) {
        match operation {
            Operation::SyncFile(path) => {
                for (_, waiting) in &mut self.waiting {
                    if let Operation::Write(other, _) = waiting
                        && other == path
                    {
                        *waiting = Operation::SyncFile(path.clone()); // its name still waits
                    }
                }
                let bytes = self.written(path);
                self.names.insert(path.clone(), Some(Content { bytes, synced: true }));
            }
            Operation::SyncFolder(folder) => {
                let all = std::mem::take(&mut self.waiting);
                for (of, operation) in all {
                    if of == *folder { self.apply(&operation) } else { self.waiting.push((of, operation)) }
                }
            }
            Operation::Write(path, bytes) => {
                self.names.insert(path.clone(), Some(Content { bytes: bytes.clone(), synced: false }));
                self.waiting.push((path.parent().unwrap().to_owned(), operation.clone()));
            }
            Operation::MakeFolder(path) | Operation::Rename(_, path) | Operation::Remove(path) => {
                self.waiting.push((path.parent().unwrap().to_owned(), operation.clone()));
            }
        }
    }

    fn written(&self, path: &Path) -> Vec<u8> {
        self.names[path].as_ref().expect("a file").bytes.clone()
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::MakeFolder(path) => drop(self.names.insert(path.clone(), None)),
            Operation::Rename(from, to) => {
                let moved: Vec<PathBuf> = self.names.keys().filter(|path| path.starts_with(from)).cloned().collect();
                for path in moved {
                    let content = self.names.remove(&path).expect("listed above");
                    self.names.insert(to.join(path.strip_prefix(from).expect("listed above")), content);
                }
            }
            Operation::Remove(path) => self.names.retain(|other, _| !other.starts_with(path)),
            // The file's name; its bytes are there already.
            Operation::Write(..) | Operation::SyncFile(_) | Operation::SyncFolder(_) => {}
        }
    }

    /// What is found after the power comes back: some of the waiting changes to names were made, in order; bytes that were not
    /// synced are there, missing, cut or garbled.
    fn after_power_cut(mut self, key: Key, at: &Path, root: &Path) {
        let mut rng = key.rng();
        let waiting = std::mem::take(&mut self.waiting);
        let made = (rng.unit() * (waiting.len() + 1) as f64) as usize;
        // A file whose name was not made is not there.
        for (_, operation) in waiting.iter().skip(made) {
            if let Operation::Write(path, _) | Operation::SyncFile(path) = operation {
                self.names.remove(path);
            }
        }
        for (_, operation) in &waiting[..made] {
            self.apply(operation);
        }
        for (path, content) in &mut self.names {
            let Some(content) = content.as_mut().filter(|content| !content.synced) else { continue };
            let length = content.bytes.len();
            match (rng.unit() * 4.0) as u32 {
                0 => content.bytes.clear(),
                1 => content.bytes.truncate((rng.unit() * length as f64) as usize),
                2 => content.bytes.iter_mut().skip(length / 3).for_each(|byte| *byte = byte.wrapping_mul(77)),
                _ => {}
            }
            let _ = path;
        }
        for (path, content) in &self.names {
            let to = root.join(path.strip_prefix(at).expect("all lies below"));
            match content {
                None => fs::create_dir_all(to).unwrap(),
                Some(content) => {
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    fs::write(to, &content.bytes).unwrap();
                }
            }
        }
    }
}

#[test]
fn k02_lost_power_at_any_moment_leaves_a_valid_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("checkpoints");
    let set = CheckpointSet::new(&at);
    (1..=3).for_each(|step| write(&set, step));
    let before = Disk::of(&at);
    let ((), operations) = record(|| write(&set, 4));
    let is_commit = |operation: &Operation| matches!(operation, Operation::SyncFolder(path) if *path == at);
    let commit = operations.iter().position(is_commit).expect("the set's folder is synced");
    let seeds = if is_whole() { SEEDS } else { SEEDS / 10 };
    let mut lost = 0;
    for seed in 0..seeds {
        let moment = seed as usize % (operations.len() + 1);
        let mut disk = before.clone();
        operations[..moment].iter().for_each(|operation| disk.ask(operation));
        let root = tempfile::tempdir().unwrap();
        disk.after_power_cut(Key::new(seed), &at, root.path());
        let (newest, skipped) = CheckpointSet::new(root.path()).newest();
        let newest = newest.unwrap_or_else(|| panic!("seed {seed}: nothing is left; {skipped:?}"));
        let step = newest.manifest.step;
        assert!(step == 3 || step == 4, "seed {seed}: step {step}");
        assert!(step == 4 || moment <= commit, "seed {seed}: what was promised is gone");
        for (name, bytes) in files(step) {
            assert!(newest.files[name] == bytes, "seed {seed}: {name}");
        }
        lost += u64::from(step == 3);
        // A later write finds its way through what is left.
        write(&CheckpointSet::new(root.path()), 5);
    }
    assert!(lost > 0 && lost < seeds, "the moments lie on both sides of the commit");
    figure("K02", "power cuts survived", seeds as usize, seeds as usize);
}
