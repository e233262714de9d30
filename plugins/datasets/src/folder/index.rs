//! The files of one split: names in one buffer, so that a million of them stay small.

use super::{
    junk::{is_junk_file, is_junk_folder},
    list::Entry,
    walk::{File, Found, Identity, JUNK, identity, is_image, walk},
};
use crate::{archive::hex, names};
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

/// Bytes that are read to know whether files have changed; of larger sets the times tell.
const CHEAP: u64 = 16 << 20;
const NO_CLASS: u32 = u32::MAX;

/// The files of one split.
pub(super) struct Index {
    /// Where they lie; messages name the first.
    pub folders: Vec<PathBuf>,
    /// The names of classes, in the order of their labels; empty where images have none.
    pub classes: Vec<OsString>,
    /// Images in each class.
    pub counts: Vec<usize>,
    /// Whether a path begins with its class's folder, which `paths` leaves out.
    in_class_folders: bool,
    paths: Vec<u8>,
    files: Vec<Known>,
    /// Over classes, names and sizes.
    pub digest: [u8; 32],
    /// Over the files' times.
    times: [u8; 32],
    bytes: u64,
    /// By reason: how many, and the first of them.
    pub passed_over: BTreeMap<String, (usize, String)>,
}

#[derive(Clone, Copy)]
struct Known {
    /// Where its path ends in the buffer.
    end: usize,
    class: u32,
    folder: u16,
}

/// Hashes texts with numbers, so that no two sequences of them are alike.
#[derive(Default)]
struct Digests {
    names: Sha256,
    times: Sha256,
}

impl Digests {
    fn add(&mut self, bytes: &[u8], number: u64) {
        self.names.update((bytes.len() as u64).to_le_bytes());
        self.names.update(bytes);
        self.names.update(number.to_le_bytes());
    }

    fn add_file(&mut self, file: &File) {
        self.add(&file.path, file.size);
        file.times.iter().for_each(|time| self.times.update(time.to_le_bytes()));
    }
}

impl Index {
    fn empty(folders: &[PathBuf], in_class_folders: bool) -> Self {
        Self {
            folders: folders.to_vec(),
            classes: Vec::new(),
            counts: Vec::new(),
            in_class_folders,
            paths: Vec::new(),
            files: Vec::new(),
            digest: [0; 32],
            times: [0; 32],
            bytes: 0,
            passed_over: BTreeMap::new(),
        }
    }

    /// The class folders of one or several folders; of the same name they are one class.
    pub fn of_classes(folders: &[PathBuf]) -> Result<Self> {
        let mut index = Self::empty(folders, true);
        let mut classes = BTreeSet::new();
        for folder in folders {
            let Listed { found, loose, junk } = class_folders(folder)?;
            classes.extend(found.into_iter().map(|class| class.as_bytes().to_vec()));
            for (why, paths) in [("an image beside the class folders, of no class", loose), (JUNK, junk)] {
                if let Some(first) = paths.first() {
                    index.pass_over(why, paths.len(), first.clone());
                }
            }
        }
        index.classes = classes.iter().map(|class| OsStr::from_bytes(class).to_owned()).collect();
        let places = index.classes.iter().flat_map(|class| folders.iter().map(move |folder| folder.join(class)));
        let places: Vec<PathBuf> = places.collect();
        let mut found = walk_all(folders, &places).into_iter();
        let mut digests = Digests::default();
        for class in 0..index.classes.len() {
            let of_class: Vec<Found> = found.by_ref().take(folders.len()).collect();
            let count = of_class.iter().map(|found| found.files.len()).sum();
            digests.add(index.classes[class].as_bytes(), count as u64);
            index.counts.push(count);
            for (folder, found) in of_class.into_iter().enumerate() {
                if folder > 0 && !found.files.is_empty() {
                    digests.add(&(folder as u16).to_le_bytes(), 0);
                }
                index.take(found, class as u32, folder as u16, &mut digests);
            }
        }
        index.close(digests);
        Ok(index)
    }

    /// All images below some folders, none of which has a label.
    pub fn unlabelled(folders: &[PathBuf]) -> Self {
        let mut index = Self::empty(folders, false);
        let mut digests = Digests::default();
        for (folder, path) in folders.iter().enumerate() {
            digests.add(b"unlabelled", folder as u64);
            index.take(walk(path, &BTreeSet::new()), NO_CLASS, folder as u16, &mut digests);
        }
        index.close(digests);
        index
    }

    /// The images that a list names, below one folder, in the list's order.
    pub fn of_list(folder: &Path, classes: Vec<OsString>, entries: Vec<Entry>) -> Self {
        let mut index = Self::empty(&[folder.to_owned()], false);
        index.counts = vec![0; classes.len()];
        let mut digests = Digests::default();
        classes.iter().for_each(|class| digests.add(class.as_bytes(), 1));
        for Entry { file, class } in entries {
            digests.add_file(&file);
            index.bytes += file.size;
            index.paths.extend_from_slice(&file.path);
            let class = class.inspect(|&class| index.counts[class] += 1).map_or(NO_CLASS, |class| class as u32);
            digests.add(b"", u64::from(class));
            index.files.push(Known { end: index.paths.len(), class, folder: 0 });
        }
        index.classes = classes;
        index.close(digests);
        index
    }

    fn take(&mut self, found: Found, class: u32, folder: u16, digests: &mut Digests) {
        for file in found.files {
            digests.add_file(&file);
            self.bytes += file.size;
            self.paths.extend_from_slice(&file.path);
            self.files.push(Known { end: self.paths.len(), class, folder });
        }
        for (why, path) in found.passed_over {
            self.pass_over(&why, 1, path);
        }
    }

    pub fn pass_over(&mut self, why: &str, count: usize, first: String) {
        self.passed_over.entry(why.to_owned()).or_insert((0, first)).0 += count;
    }

    fn close(&mut self, digests: Digests) {
        self.files.shrink_to_fit();
        self.digest = digests.names.finalize().into();
        self.times = digests.times.finalize().into();
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether images have labels.
    pub fn is_labelled(&self) -> bool {
        !self.classes.is_empty()
    }

    /// The class of every file, in order; none where it has no label.
    pub fn classes_of_files(&self) -> impl Iterator<Item = Option<u32>> {
        self.files.iter().map(|known| (known.class != NO_CLASS).then_some(known.class))
    }

    /// Class and path of a file.
    pub fn file(&self, index: u64) -> Result<(Option<u32>, PathBuf)> {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let &Known { end, class, folder } = self
            .files
            .get(at)
            .ok_or_else(|| Error::data(format!("there is no image {index}, the split has {}", self.len())))?;
        let start = if at == 0 { 0 } else { self.files[at - 1].end };
        let own = OsStr::from_bytes(&self.paths[start..end]);
        let folder = &self.folders[usize::from(folder)];
        let class = (class != NO_CLASS).then_some(class);
        let path = match class.filter(|_| self.in_class_folders) {
            Some(class) => folder.join(&self.classes[class as usize]).join(own),
            None => folder.join(own),
        };
        Ok((class, path))
    }

    /// Escaped names of the classes without an image.
    pub fn empty_classes(&self) -> Vec<String> {
        let empty = self.classes.iter().zip(&self.counts).filter(|(_, count)| **count == 0);
        empty.map(|(class, _)| names::escape(class.as_bytes())).collect()
    }

    /// Another text as soon as a file has changed: by the contents of a small set, by the times of a large one.
    pub fn state(&self) -> String {
        let contents = || {
            let mut hash = Sha256::new();
            for index in 0..self.len() as u64 {
                let bytes = fs::read(self.file(index).ok()?.1).ok()?;
                hash.update((bytes.len() as u64).to_le_bytes());
                hash.update(&bytes);
            }
            Some(hex(&hash.finalize()))
        };
        let contents = if self.bytes <= CHEAP { contents() } else { None };
        contents.unwrap_or_else(|| hex(&self.times))
    }
}

/// What lies directly in a folder of class folders.
#[derive(Default)]
struct Listed {
    found: Vec<OsString>,
    /// Images beside the class folders.
    loose: Vec<String>,
    /// Folders of systems and programs.
    junk: Vec<String>,
}

fn class_folders(folder: &Path) -> Result<Listed> {
    let fail = |cause| Error::data(format!("can't read the folder `{}`", names::path(folder))).caused_by(&cause);
    let mut listed = Listed::default();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let is_folder = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir());
        if is_folder && !is_junk_folder(name.as_bytes()) {
            listed.found.push(name);
        } else if is_folder {
            listed.junk.push(names::path(&entry.path()));
        } else if is_image(name.as_bytes()) && !is_junk_file(name.as_bytes()) {
            listed.loose.push(names::path(&entry.path()));
        }
    }
    listed.loose.sort_unstable();
    listed.junk.sort_unstable();
    Ok(listed)
}

/// Several folders at a time: a million files wait for the disk, not for the processor.
fn walk_all(holding: &[PathBuf], places: &[PathBuf]) -> Vec<Found> {
    let workers = thread::available_parallelism().map_or(1, |n| n.get() * 2).min(32).min(places.len());
    let outside = outside(holding, places);
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<Found>> = Mutex::new(places.iter().map(|_| Found::default()).collect());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(place) = places.get(at) else { break };
                    // Of several training folders not each has every class.
                    if holding.len() > 1 && !place.exists() {
                        continue;
                    }
                    let walked = walk(place, &outside);
                    found.lock().expect("no walk panics")[at] = walked;
                }
            });
        }
    });
    found.into_inner().expect("no walk panics")
}

/// The class folders and what holds them: a link in one class to any of these would give its images another label.
fn outside(holding: &[PathBuf], places: &[PathBuf]) -> BTreeSet<Identity> {
    let whole = holding.iter().map(|folder| fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()));
    let whole: Vec<PathBuf> = whole.collect();
    let above = whole.iter().flat_map(|folder| folder.ancestors()).filter_map(identity);
    above.chain(places.iter().filter_map(|place| identity(place))).collect()
}
