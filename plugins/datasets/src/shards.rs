//! Which files of a set in shards hold which split, by the names of the files and of their folders.

use crate::{folder::Kind, names};
use infomax_sdk::{DatasetFacts, Error, Result, Roles, Split};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

const TAR: &str = "tar";
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
    let mut packed = Vec::new();
    let mut others = BTreeMap::new();
    if root.is_file() {
        let list = if unpacked(root).is_some() && extension == TAR { &mut packed } else { &mut found };
        list.push(root.to_owned());
    } else {
        walk(root, 0, &mut |path| {
            if path.extension().is_some_and(|end| end == extension) {
                found.push(path);
                return;
            }
            let name = path.extension();
            let end =
                name.map_or_else(|| "without an extension".to_owned(), |name| format!(".{}", name.to_string_lossy()));
            *others.entry(end).or_insert(0) += 1;
            if extension == TAR && unpacked(&path).is_some() {
                packed.push(path);
            }
        });
    }
    found.sort();
    let is_wanted = |path: &Path| {
        let named: Vec<&str> = train.into_iter().chain(test).collect();
        named.is_empty() || named.iter().any(|name| begins(root, path, name))
    };
    packed.retain(|path| is_wanted(path) && unpacked(path).is_some_and(|(path, _)| !found.contains(&path)));
    packed.sort();
    if let Some((first, (_, line))) = packed.first().and_then(|first| Some((first, unpacked(first)?))) {
        let (first, count) = (names::path(first), packed.len());
        return Err(Error::data(format!("{count} shards are compressed, the first is `{first}`")).hint(format!(
            "an image is read where it lies, which a compressed archive does not let: unpack each, `{line} {first}`"
        )));
    }
    if found.is_empty() {
        let others: Vec<String> = others.iter().map(|(end, count)| format!("{count} {end}")).collect();
        let holds = if others.is_empty() { String::new() } else { format!("; it holds {}", others.join(", ")) };
        return Err(Error::data(format!("`{shown}` holds no file `*.{extension}`{holds}"))
            .hint("set `root` to the folder of the files"));
    }
    let mut splits: BTreeMap<Kind, Vec<PathBuf>> = BTreeMap::new();
    if train.is_some() || test.is_some() {
        for (kind, name) in [(Kind::Train, train), (Kind::Test, test)] {
            let Some(name) = name else { continue };
            let of: Vec<PathBuf> = found.iter().filter(|path| begins(root, path, name)).cloned().collect();
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

/// Whether a file's path below the root, or its name, begins so.
fn begins(root: &Path, path: &Path, name: &str) -> bool {
    let path = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
    path.starts_with(name) || path.rsplit('/').next().is_some_and(|file| file.starts_with(name))
}

/// What a compressed tar archive unpacks to, and the command that does it.
fn unpacked(path: &Path) -> Option<(PathBuf, &'static str)> {
    let inner = path.with_extension("");
    let line = match path.extension()?.to_str()? {
        "tgz" => return Some((path.with_extension(TAR), "gunzip -k")),
        "gz" => "gunzip -k",
        "zst" => "zstd -dk",
        "xz" => "unxz -k",
        "bz2" => "bunzip2 -k",
        "lz4" => "unlz4 -k",
        _ => return None,
    };
    (inner.extension()? == TAR).then_some((inner, line))
}

/// Every file below a folder that is not hidden.
fn walk(folder: &Path, depth: usize, found: &mut impl FnMut(PathBuf)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().take(MOST) {
        let (path, name) = (entry.path(), entry.file_name());
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        if !path.is_dir() {
            found(path);
        } else if depth < DEEPEST {
            walk(&path, depth + 1, found);
        }
    }
}
