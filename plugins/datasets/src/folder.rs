//! `image-folder`: a folder per class, as ImageNet, Places205 and many others come.

mod index;
mod walk;

use crate::{
    archive,
    config::{self, Layout},
    hashes::{self, Hashes},
    names,
};
use index::Index;
use infomax_sdk::{Dataset, DatasetDescription, DatasetFacts, Error, Image, Result, Roles, Sample, Split};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, OpenOptions},
    io::Read,
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A file larger than this is refused: a decoder would have to hold it.
const LARGEST_FILE: u64 = 1 << 30;

/// A folder per class.
pub struct ImageFolder {
    splits: Vec<Index>,
    /// The splits' classes as labels of the training split.
    labels: Vec<Vec<i64>>,
    root: PathBuf,
    hashes: Option<Hashes>,
    facts: DatasetFacts,
}

impl Dataset for ImageFolder {
    type Config = config::ImageFolder;

    fn describe(_: &config::ImageFolder) -> Result<DatasetDescription> {
        Ok(DatasetDescription::default())
    }

    fn create(config: &config::ImageFolder) -> Result<Self> {
        let root = &config.root;
        if !root.is_dir() {
            return Err(Error::data(format!("there is no folder `{}`", names::path(root)))
                .hint("set `root` to the folder that holds the images"));
        }
        let folders = split_folders(config)?;
        let splits: Vec<Index> = folders.iter().map(|(_, path)| Index::build(path)).collect::<Result<_>>()?;
        let train = &splits[0];
        if train.classes.is_empty() {
            return Err(Error::data(format!("`{}` holds no class folders", names::path(&train.folder)))
                .hint("put the images of each class into a folder of its own"));
        }
        let mut labels = Vec::new();
        for split in &splits {
            labels.push(labels_of(split, train)?);
        }
        if !config.allow_empty_classes {
            check_classes(&splits)?;
        }
        let hashes = hashes_of(config)?;
        let facts = facts(&folders, &splits, hashes.as_ref());
        Ok(Self { splits, labels, root: root.clone(), hashes, facts })
    }

    fn facts(&self) -> DatasetFacts {
        self.facts.clone()
    }

    fn read(&self, split: usize, index: u64) -> Result<Sample> {
        let part = self.splits.get(split).ok_or_else(|| Error::data(format!("there is no split `{split}`")))?;
        let (class, relative) = part.file(index)?;
        let path = part.path(&relative);
        let bytes = read_file(&path)?;
        if let Some(hashes) = &self.hashes {
            let relative = path.strip_prefix(&self.root).unwrap_or(&path);
            hashes.verify(relative.as_os_str().as_bytes(), &bytes)?;
        }
        Ok(Sample { image: Image::Encoded(bytes), label: self.labels[split][class as usize] })
    }

    fn locate(&self, split: usize, index: u64) -> String {
        let file = self.splits.get(split).map(|part| part.file(index).map(|(_, relative)| part.path(&relative)));
        file.and_then(Result::ok).map_or_else(|| format!("split {split}, image {index}"), |path| names::path(&path))
    }

    fn labels(&self, split: usize) -> Result<Vec<i64>> {
        let of = |part: &Index| part.classes_of_files().map(|class| self.labels[split][class as usize]).collect();
        Ok(self.splits.get(split).map(of).unwrap_or_default())
    }
}

/// The splits' names and folders, the training split first.
fn split_folders(config: &config::ImageFolder) -> Result<Vec<(&'static str, PathBuf)>> {
    let root = &config.root;
    let existing = |name: &&str| root.join(name).is_dir();
    let (train, tests): (&str, &[&str]) = match config.layout {
        Layout::Plain => ("train", &["test", "val"]),
        Layout::ImageNet => ("ILSVRC2012_img_train", &["ILSVRC2012_img_val"]),
        Layout::Places205 => ("places205_256_train", &["places205_256_val"]),
    };
    let train = config.train.as_deref().or(Some(train).filter(existing));
    let test = config.test.as_deref().or_else(|| tests.iter().copied().find(existing));
    let named = config.train.as_deref().into_iter().chain(config.test.as_deref());
    if let Some(missing) = named.into_iter().find(|name| !root.join(name).is_dir()) {
        return Err(Error::data(format!("there is no folder `{missing}` in `{}`", names::path(root)))
            .hint("`train` and `test` name folders below `root`"));
    }
    match (train, test) {
        (Some(train), Some(test)) => Ok(vec![("train", root.join(train)), ("test", root.join(test))]),
        (Some(train), None) => Ok(vec![("train", root.join(train))]),
        (None, Some(test)) => Ok(vec![("train", root.join(test))]), // the only split there is serves training
        (None, None) if config.layout == Layout::Plain => Ok(vec![("train", root.clone())]),
        (None, None) => {
            let expected: Vec<&str> = tests.to_vec();
            Err(Error::data(format!("`{}` holds neither split of the layout", names::path(root)))
                .hint(format!("expected folders such as `{}`; see `layout`", expected.join("`, `"))))
        }
    }
}

fn labels_of(split: &Index, train: &Index) -> Result<Vec<i64>> {
    let mut unknown = Vec::new();
    let mut labels = Vec::new();
    for class in &split.classes {
        match train.classes.binary_search_by(|known| known.as_bytes().cmp(class.as_bytes())) {
            Ok(label) => labels.push(label as i64),
            Err(_) => unknown.push(names::escape(class.as_bytes())),
        }
    }
    if unknown.is_empty() {
        return Ok(labels);
    }
    let (test, train, unknown) = (names::path(&split.folder), names::path(&train.folder), names::first_few(&unknown));
    Err(Error::data(format!("classes in `{test}` that `{train}` lacks: {unknown}"))
        .hint("both splits need the same class folders"))
}

fn check_classes(splits: &[Index]) -> Result<()> {
    let allow = "fill or remove them, or set `allow_empty_classes = true`";
    for split in splits {
        let empty = split.empty_classes();
        if !empty.is_empty() {
            let folder = names::path(&split.folder);
            let empty = names::first_few(&empty);
            return Err(Error::data(format!("class folders without an image in `{folder}`: {empty}")).hint(allow));
        }
    }
    let train = &splits[0];
    if train.classes.len() == 1 {
        let class = names::escape(train.classes[0].as_bytes());
        return Err(Error::data(format!("`{}` holds a single class, `{class}`", names::path(&train.folder)))
            .hint("check `root` and `layout`, or set `allow_empty_classes = true`"));
    }
    for split in &splits[1..] {
        let lacking = train.classes.iter().filter(|class| !split.classes.contains(class));
        let lacking: Vec<String> = lacking.map(|class| names::escape(class.as_bytes())).collect();
        if !lacking.is_empty() {
            let (train, test) = (names::path(&train.folder), names::path(&split.folder));
            let lacking = names::first_few(&lacking);
            return Err(Error::data(format!("classes in `{train}` that `{test}` lacks: {lacking}")).hint(allow));
        }
    }
    Ok(())
}

fn hashes_of(config: &config::ImageFolder) -> Result<Option<Hashes>> {
    let path = config.root.join(config.manifest.as_deref().unwrap_or(hashes::FILE));
    if config.manifest.is_none() && !path.is_file() {
        return Ok(None);
    }
    Hashes::load(&path).map(Some)
}

fn facts(folders: &[(&str, PathBuf)], splits: &[Index], hashes: Option<&Hashes>) -> DatasetFacts {
    let mut hash = Sha256::new();
    let mut notes = Vec::new();
    for ((name, _), split) in folders.iter().zip(splits) {
        hash.update(name);
        hash.update(split.digest);
        for (why, (count, first)) in &split.passed_over {
            notes.push(format!("{name}: passed over {count} ({why}), first `{first}`"));
        }
        let empty = split.empty_classes();
        if !empty.is_empty() {
            notes.push(format!("{name}: {} class folders without an image: {}", empty.len(), names::first_few(&empty)));
        }
    }
    if let Some(hashes) = hashes {
        notes.push(format!("the bytes of every image are checked against {} hashes", hashes.len()));
    }
    let lengths = folders.iter().zip(splits);
    DatasetFacts {
        splits: lengths
            .map(|((name, _), split)| Split { name: (*name).to_owned(), length: split.len() as u64, labelled: true })
            .collect(),
        class_names: splits[0].classes.iter().map(|class| names::escape(class.as_bytes())).collect(),
        roles: Roles { pretrain: vec![0], train: vec![0], test: (1..splits.len()).collect() },
        fingerprint: archive::hex(&hash.finalize()),
        notes,
    }
}

/// The whole file. A pipe that took the file's place since the walk is refused, not waited for.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    let fail = |cause| Error::data(format!("can't read `{}`", names::path(path))).caused_by(&cause);
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(fail)?;
    let metadata: fs::Metadata = file.metadata().map_err(fail)?;
    let length = metadata.len();
    if !metadata.is_file() || length > LARGEST_FILE {
        let shown = names::path(path);
        return Err(Error::data(format!("`{shown}` is no regular file of at most {LARGEST_FILE} bytes")));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(LARGEST_FILE).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
