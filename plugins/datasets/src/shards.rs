//! Which files of a set in shards hold which split, by the names of the files and of their folders.

use crate::{folder::Kind, names};
use infomax_sdk::{DatasetFacts, Error, Result, Roles, Split};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

const DEEPEST: usize = 4;
const MOST: usize = 1_000_000;

/// What a set of splits has for whom: the training split and what has no labels for pretraining, and of what has labels the training
/// split for classifiers and `test`, or else `val`, for tests.
pub(crate) fn facts(
    splits: Vec<Split>,
    class_names: Vec<String>,
    fingerprint: String,
    notes: Vec<String>,
) -> DatasetFacts {
    let named = |name: &str| splits.iter().position(|split| split.name == name);
    let labelled = |name: &str| named(name).filter(|&position| splits[position].labelled);
    let roles = Roles {
        pretrain: named("train").into_iter().chain(named("unlabelled")).collect(),
        train: labelled("train").into_iter().collect(),
        test: labelled("test").or_else(|| labelled("val")).into_iter().collect(),
    };
    DatasetFacts { splits, class_names, roles, fingerprint, notes }
}

/// The shards of each split, the training split first; `train` and `test` are names of folders, or beginnings of names of
/// files, below the root.
pub(crate) fn find(
    root: &Path,
    train: Option<&str>,
    test: Option<&str>,
    extension: &str,
) -> Result<Vec<(&'static str, Vec<PathBuf>)>> {
    let shown = names::path(root);
    if !root.exists() {
        return Err(
            Error::data(format!("there is no `{shown}`")).hint("set `root` to the folder of the shards, or to one")
        );
    }
    let mut found = Vec::new();
    let mut others = BTreeMap::new();
    if root.is_file() {
        found.push(root.to_owned());
    } else {
        walk(root, extension, 0, &mut found, &mut others);
    }
    found.sort();
    if found.is_empty() {
        let others: Vec<String> = others.iter().map(|(end, count)| format!("{count} {end}")).collect();
        let holds = if others.is_empty() { String::new() } else { format!("; it holds {}", others.join(", ")) };
        return Err(Error::data(format!("`{shown}` holds no file `*.{extension}`{holds}")).hint(match extension {
            "tar" => "shards are tar archives; compressed ones (`.tar.gz`) are to be unpacked first",
            _ => "set `root` to the folder of the files",
        }));
    }
    let below = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    let starts = |path: &PathBuf, name: &str| {
        let path = below(path);
        path.starts_with(name) || path.rsplit('/').next().is_some_and(|file| file.starts_with(name))
    };
    let mut splits: BTreeMap<Kind, Vec<PathBuf>> = BTreeMap::new();
    if train.is_some() || test.is_some() {
        for (kind, name) in [(Kind::Train, train), (Kind::Test, test)] {
            let Some(name) = name else { continue };
            let of: Vec<PathBuf> = found.iter().filter(|path| starts(path, name)).cloned().collect();
            if of.is_empty() {
                return Err(Error::data(format!("no file in `{shown}` begins with `{name}`"))
                    .hint("`train` and `test` name folders, or beginnings of files' names, below `root`"));
            }
            splits.insert(kind, of);
        }
    } else {
        for path in found {
            let parts = path.strip_prefix(root).unwrap_or(&path);
            // The file's own name speaks first, then the folder around it.
            let stem = path.file_stem().unwrap_or_default().as_bytes();
            let folders = parts.parent().into_iter().flat_map(Path::ancestors).filter_map(Path::file_name);
            let kind = Kind::of_name(stem).or_else(|| folders.map(|name| name.as_bytes()).find_map(Kind::of_name));
            splits.entry(kind.map_or(Kind::Train, |(kind, _)| kind)).or_default().push(path);
        }
    }
    if !splits.contains_key(&Kind::Train) {
        // The only split there is serves training.
        if let Some((_, only)) = splits.pop_first() {
            splits.insert(Kind::Train, only);
        }
    }
    Ok(splits.into_iter().map(|(kind, paths)| (kind.name(), paths)).collect())
}

fn walk(folder: &Path, extension: &str, depth: usize, found: &mut Vec<PathBuf>, others: &mut BTreeMap<String, usize>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if name.as_bytes().starts_with(b".") || found.len() >= MOST {
            continue;
        }
        if path.is_dir() {
            if depth < DEEPEST {
                walk(&path, extension, depth + 1, found, others);
            }
        } else if path.extension().is_some_and(|end| end == extension) && path.is_file() {
            found.push(path);
        } else {
            let end = path
                .extension()
                .map_or_else(|| "without an extension".to_owned(), |e| format!(".{}", e.to_string_lossy()));
            *others.entry(end).or_insert(0) += 1;
        }
    }
}
