//! Which folders below the root hold which split, by their names and by what lies in them.

use super::{junk::is_junk_folder, walk::is_image};
use crate::{
    config::{self, Layout},
    names,
};
use infomax_sdk::{Error, Result};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// What a split is for, by its folder's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Train,
    Test,
    Val,
    Unlabelled,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
            Self::Val => "val",
            Self::Unlabelled => "unlabelled",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "train" | "training" | "trn" | "trainset" | "trainingset" => Self::Train,
            "val" | "valid" | "validation" | "validate" | "dev" | "valset" | "validset" => Self::Val,
            "test" | "testing" | "tst" | "testset" | "eval" | "evaluation" => Self::Test,
            "unlabeled" | "unlabelled" | "unsup" | "unsupervised" => Self::Unlabelled,
            _ => return None,
        })
    }

    /// The split that a folder's name speaks of, and whether it says nothing else: `train.X1` and `train_256` say more.
    pub(crate) fn of_name(name: &[u8]) -> Option<(Self, bool)> {
        let name = std::str::from_utf8(name).ok()?.to_lowercase();
        if let Some(kind) = Self::of_word(&name) {
            return Some((kind, true));
        }
        let words = name.split(['_', '-', '.', ' ']).filter_map(|word| {
            Self::of_word(word).or_else(|| Self::of_word(word.trim_end_matches(|c: char| c.is_ascii_digit())))
        });
        let mut kinds: Vec<Self> = words.collect();
        kinds.dedup();
        match kinds[..] {
            [kind] => Some((kind, false)),
            _ => None,
        }
    }
}

/// What lies directly in a folder.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// An image.
    pub image: bool,
    pub folders: Vec<OsString>,
}

impl Shape {
    pub fn of(folder: &Path) -> Result<Self> {
        let fail = |cause| Error::data(format!("can't read the folder `{}`", names::path(folder))).caused_by(&cause);
        let mut shape = Self::default();
        for entry in fs::read_dir(folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            if !shape.image && is_image(name.as_bytes()) && !name.as_bytes().starts_with(b".") {
                shape.image = entry.file_type().is_ok_and(|kind| !kind.is_dir());
            }
            let kind = entry.file_type();
            let is_link = kind.as_ref().is_ok_and(|kind| kind.is_symlink());
            let is_folder = kind.is_ok_and(|kind| kind.is_dir()) || is_link && entry.path().is_dir();
            if is_folder && !is_junk_folder(name.as_bytes()) {
                shape.folders.push(name);
            }
        }
        shape.folders.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        Ok(shape)
    }

    /// Images, and no folders that could be classes.
    pub fn is_flat(&self) -> bool {
        self.folders.is_empty()
    }
}

/// The folders of each split; empty where the root itself is the only one.
pub(super) type Splits = BTreeMap<Kind, Vec<PathBuf>>;

/// Finds the splits of a config.
pub(super) fn find(root: &Path, config: &config::ImageFolder) -> Result<Splits> {
    let named = [(Kind::Train, &config.train), (Kind::Test, &config.test)];
    let named: Vec<(Kind, &str)> =
        named.into_iter().filter_map(|(kind, name)| Some((kind, name.as_deref()?))).collect();
    if let Some((_, missing)) = named.iter().find(|(_, name)| !root.join(name).is_dir()) {
        return Err(Error::data(format!("there is no folder `{missing}` in `{}`", names::path(root)))
            .hint("`train` and `test` name folders below `root`"));
    }
    let mut splits: Splits = match config.layout {
        Layout::ImageNet => of_layout(root, &["ILSVRC2012_img_train"], &["ILSVRC2012_img_val"], named.is_empty())?,
        Layout::Places205 => of_layout(root, &["places205_256_train"], &["places205_256_val"], named.is_empty())?,
        Layout::Classes => Splits::new(),
        Layout::Plain | Layout::Unlabelled => by_name(root, config.layout, named.is_empty())?,
    };
    if !named.is_empty() {
        for (kind, name) in named {
            if kind == Kind::Test {
                splits.remove(&Kind::Val);
            }
            splits.insert(kind, vec![root.join(name)]);
        }
        splits.retain(|kind, _| *kind != Kind::Unlabelled);
    }
    if !splits.is_empty() && !splits.contains_key(&Kind::Train) {
        // The only split there is serves training.
        let first = [Kind::Test, Kind::Val, Kind::Unlabelled].into_iter().find_map(|kind| splits.remove(&kind));
        return Ok(first.into_iter().map(|folders| (Kind::Train, folders)).collect());
    }
    Ok(splits)
}

fn of_layout(root: &Path, train: &[&str], test: &[&str], alone: bool) -> Result<Splits> {
    let existing = |names: &[&str]| names.iter().map(|name| root.join(name)).find(|folder| folder.is_dir());
    let both = [(Kind::Train, existing(train)), (Kind::Test, existing(test))];
    let splits: Splits = both.into_iter().filter_map(|(kind, folder)| Some((kind, vec![folder?]))).collect();
    if splits.is_empty() && alone {
        return Err(Error::data(format!("`{}` holds neither split of the layout", names::path(root)))
            .hint(format!("expected folders such as `{}`; see `layout`", test.join("`, `"))));
    }
    Ok(splits)
}

/// By the names of the folders, where what lies in them does not speak against it.
fn by_name(root: &Path, layout: Layout, strict: bool) -> Result<Splits> {
    let shape = Shape::of(root)?;
    let mut exact = Splits::new();
    let mut affixed = Splits::new();
    for name in &shape.folders {
        let Some((kind, is_exact)) = Kind::of_name(name.as_bytes()) else { continue };
        if is_exact { &mut exact } else { &mut affixed }.entry(kind).or_default().push(root.join(name));
    }
    let speaking: usize = exact.values().chain(affixed.values()).map(Vec::len).sum();
    if speaking == 0 {
        return Ok(Splits::new());
    }
    let all_speak = speaking == shape.folders.len();
    let exact_kinds = exact.len();
    let only_exact = all_speak && affixed.is_empty();
    let mut splits = exact;
    for (kind, folders) in affixed {
        splits.entry(kind).or_insert(folders);
    }
    // A class of trains holds images, a training split holds class folders.
    let nested = |folders: &Vec<PathBuf>| {
        folders.iter().all(|folder| Shape::of(folder).is_ok_and(|shape| !shape.image && !shape.folders.is_empty()))
    };
    let train_is_nested = splits.get(&Kind::Train).is_some_and(nested);
    if train_is_nested
        || exact_kinds >= 2
        || only_exact
        || layout == Layout::Unlabelled && splits.contains_key(&Kind::Train)
    {
        return Ok(splits);
    }
    if strict && (splits.len() >= 2 || all_speak && speaking >= 2) {
        let found: Vec<String> = splits
            .values()
            .flatten()
            .filter_map(|f| f.file_name())
            .map(|name| names::escape(name.as_bytes()))
            .collect();
        let root = names::path(root);
        return Err(Error::data(format!("class folders in `{root}` look like splits: {}", names::first_few(&found))).hint(
            "name the splits' folders, `dataset.config.train = \"…\"` and `dataset.config.test = \"…\"`; or, if these \
             are classes, set `dataset.config.layout = \"classes\"`",
        ));
    }
    Ok(Splits::new())
}

/// Refuses class folders that hold splits themselves, as `images/train` and `labels/train` do: images to test on would be
/// trained on.
pub(super) fn refuse_splits_in_classes(folders: &[PathBuf]) -> Result<()> {
    const MOST: usize = 20; // sets of more folders are sets of classes, and each folder is read once more
    for folder in folders {
        let shape = Shape::of(folder)?;
        for name in shape.folders.iter().filter(|_| shape.folders.len() <= MOST && shape.folders.len() > 1) {
            let place = folder.join(name);
            let inside = deeper(&place).unwrap_or_default();
            let kinds: std::collections::BTreeSet<Kind> =
                inside.iter().filter_map(|name| Kind::of_name(name.as_bytes())).map(|(kind, _)| kind).collect();
            if kinds.len() >= 2 {
                let (shown, inside) = (names::path(&place), names::first_few(&inside));
                return Err(Error::data(format!("`{shown}` would be a class, but it holds splits: {inside}")).hint(format!(
                    "set `dataset.config.root` to `{shown}`; or, if it is a class, `dataset.config.layout = \"classes\"`"
                )));
            }
        }
    }
    Ok(())
}

/// The splits that a folder one level deeper would have, for a hint.
pub(super) fn deeper(folder: &Path) -> Option<Vec<String>> {
    let shape = Shape::of(folder).ok()?;
    let names = shape.folders.iter().filter(|name| Kind::of_name(name.as_bytes()).is_some_and(|(_, exact)| exact));
    let names: Vec<String> = names.map(|name| names::escape(name.as_bytes())).collect();
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_speak_of_splits_with_and_without_affixes() {
        let of = |name: &str| Kind::of_name(name.as_bytes());
        for name in ["train", "Train", "TRAINING"] {
            assert_eq!(of(name), Some((Kind::Train, true)), "{name}");
        }
        for name in ["valid", "Validation", "val", "dev"] {
            assert_eq!(of(name), Some((Kind::Val, true)), "{name}");
        }
        for name in ["train.X1", "train_256", "data-train", "ILSVRC2012_img_train", "train2017", "train_standard"] {
            assert_eq!(of(name), Some((Kind::Train, false)), "{name}");
        }
        for name in ["trainer", "restaurant", "contest", "valley", "device", "train_test", "constrain"] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
