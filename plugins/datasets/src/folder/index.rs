//! The files of one split: names in one buffer, so that a million of them stay small.

use super::walk::{Found, Identity, identity, walk};
use crate::names;
use infomax_sdk::{Error, Result};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// The files of one split.
pub(super) struct Index {
    /// The split's folder.
    pub folder: PathBuf,
    /// The class folders' names, in bytewise order.
    pub classes: Vec<OsString>,
    /// Images in each class.
    pub counts: Vec<usize>,
    names: Vec<u8>,
    /// Where each name ends, and its class.
    files: Vec<(usize, u32)>,
    /// Over classes, names and sizes.
    pub digest: [u8; 32],
    /// By reason: how many, and the first of them.
    pub passed_over: BTreeMap<&'static str, (usize, String)>,
}

impl Index {
    pub fn build(folder: &Path) -> Result<Self> {
        let classes = class_folders(folder)?;
        let found = walk_all(folder, &classes);
        let mut index = Self {
            folder: folder.to_owned(),
            counts: found.iter().map(|found| found.files.len()).collect(),
            classes,
            names: Vec::new(),
            files: Vec::with_capacity(found.iter().map(|found| found.files.len()).sum()),
            digest: [0; 32],
            passed_over: BTreeMap::new(),
        };
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8], number: u64| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
            hash.update(number.to_le_bytes());
        };
        for (class, found) in found.into_iter().enumerate() {
            add(index.classes[class].as_bytes(), found.files.len() as u64);
            for (name, size) in found.files {
                add(&name, size);
                index.names.extend_from_slice(&name);
                index.files.push((index.names.len(), class as u32));
            }
            for (why, path) in found.passed_over {
                index.passed_over.entry(why).or_insert((0, path)).0 += 1;
            }
        }
        index.digest = hash.finalize().into();
        Ok(index)
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// The class of every file, in order.
    pub fn classes_of_files(&self) -> impl Iterator<Item = u32> {
        self.files.iter().map(|&(_, class)| class)
    }

    /// Class and path, relative to the split's folder, of a file.
    pub fn file(&self, index: u64) -> Result<(u32, Vec<u8>)> {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let &(end, class) = self
            .files
            .get(at)
            .ok_or_else(|| Error::data(format!("there is no image {index}, the split has {}", self.len())))?;
        let start = if at == 0 { 0 } else { self.files[at - 1].0 };
        let mut path = self.classes[class as usize].as_bytes().to_vec();
        path.push(b'/');
        path.extend_from_slice(&self.names[start..end]);
        Ok((class, path))
    }

    pub fn path(&self, relative: &[u8]) -> PathBuf {
        self.folder.join(OsStr::from_bytes(relative))
    }

    /// Escaped names of the classes without an image.
    pub fn empty_classes(&self) -> Vec<String> {
        let empty = self.classes.iter().zip(&self.counts).filter(|(_, count)| **count == 0);
        empty.map(|(class, _)| names::escape(class.as_bytes())).collect()
    }
}

fn class_folders(folder: &Path) -> Result<Vec<OsString>> {
    let fail = |cause| Error::data(format!("can't read the folder `{}`", names::path(folder))).caused_by(&cause);
    let mut classes = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        if !name.as_bytes().starts_with(b".") && fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir()) {
            classes.push(name);
        }
    }
    classes.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    Ok(classes)
}

/// Several folders at a time: a million files wait for the disk, not for the processor.
fn walk_all(folder: &Path, classes: &[OsString]) -> Vec<Found> {
    let workers = thread::available_parallelism().map_or(1, |n| n.get() * 2).min(32).min(classes.len());
    let outside = outside(folder, classes);
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<Found>> = Mutex::new(classes.iter().map(|_| Found::default()).collect());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(class) = classes.get(at) else { break };
                    let walked = walk(&folder.join(class), &outside);
                    found.lock().expect("no walk panics")[at] = walked;
                }
            });
        }
    });
    found.into_inner().expect("no walk panics")
}

/// The class folders and what holds them: a link in one class to any of these would give its images another label.
fn outside(folder: &Path, classes: &[OsString]) -> BTreeSet<Identity> {
    let holding = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let holding = holding.ancestors().filter_map(identity);
    holding.chain(classes.iter().filter_map(|class| identity(&folder.join(class)))).collect()
}
