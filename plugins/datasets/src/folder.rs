//! `image-folder`: folders of images as people have them: a folder per class, as ImageNet, Places205 and many others come;
//! without classes; or listed in a file.

mod devkit;
mod index;
mod junk;
mod list;
mod published;
mod splits;
mod walk;

use crate::{
    archive,
    config::{self, Layout},
    hashes::{self, Hashes},
    names,
};
use index::Index;
use infomax_sdk::{Dataset, DatasetDescription, DatasetFacts, Error, Image, Result, Roles, Sample, Split, UNLABELLED};
use sha2::{Digest, Sha256};
pub(crate) use splits::Kind;
use splits::Shape;
use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::Read,
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A file larger than this is refused: a decoder would have to hold it.
const LARGEST_FILE: u64 = 1 << 30;

/// Folders of images.
pub struct ImageFolder {
    splits: Vec<Index>,
    /// The splits' classes as labels of the training split; empty where a split's images have none that count.
    labels: Vec<Vec<i64>>,
    root: PathBuf,
    hashes: Option<Hashes>,
    facts: DatasetFacts,
}

/// A split that was found.
struct Part {
    name: &'static str,
    index: Index,
    serves: Serves,
    /// The folders or the list that it comes from.
    from: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Serves {
    /// Encoder and, where labelled, classifiers.
    Training,
    /// The encoder alone.
    Pretraining,
    Tests,
    Nothing,
}

impl Dataset for ImageFolder {
    type Config = config::ImageFolder;

    fn describe(_: &config::ImageFolder) -> Result<DatasetDescription> {
        Ok(DatasetDescription::default())
    }

    fn create(config: &config::ImageFolder) -> Result<Self> {
        let root = &config.root;
        check_root(root)?;
        let mut notes = Vec::new();
        let parts = parts(config, &mut notes)?;
        let train = parts.iter().position(|part| part.serves == Serves::Training && part.index.is_labelled());
        let mut labels = Vec::new();
        for part in &parts {
            let train = train.map(|train| &parts[train].index);
            let counts = matches!(part.serves, Serves::Training | Serves::Tests);
            labels.push(match train.filter(|_| counts && part.index.is_labelled()) {
                Some(train) => labels_of(&part.index, train)?,
                None => Vec::new(),
            });
        }
        for part in parts.iter().filter(|part| part.serves != Serves::Nothing) {
            if part.index.len() == 0 {
                return Err(without_images(&part.index));
            }
        }
        if let (false, Some(train)) = (config.allow_empty_classes, train) {
            check_classes(&parts, train)?;
        }
        let hashes = hashes_of(config)?;
        let facts = facts(&parts, train, notes, hashes.as_ref());
        let splits = parts.into_iter().map(|part| part.index).collect();
        Ok(Self { splits, labels, root: root.clone(), hashes, facts })
    }

    fn facts(&self) -> DatasetFacts {
        self.facts.clone()
    }

    fn read(&self, split: usize, index: u64) -> Result<Sample> {
        let part = self.splits.get(split).ok_or_else(|| Error::data(format!("there is no split `{split}`")))?;
        let (class, path) = part.file(index)?;
        let bytes = read_file(&path)?;
        if let Some(hashes) = &self.hashes {
            let relative = path.strip_prefix(&self.root).unwrap_or(&path);
            hashes.verify(relative.as_os_str().as_bytes(), &bytes)?;
        }
        Ok(Sample { image: Image::Encoded(bytes), label: self.label(split, class) })
    }

    fn locate(&self, split: usize, index: u64) -> String {
        let file = self.splits.get(split).map(|part| part.file(index).map(|(_, path)| path));
        file.and_then(Result::ok).map_or_else(|| format!("split {split}, image {index}"), |path| names::path(&path))
    }

    fn labels(&self, split: usize) -> Result<Vec<i64>> {
        let of = |part: &Index| part.classes_of_files().map(|class| self.label(split, class)).collect();
        Ok(self.splits.get(split).map(of).unwrap_or_default())
    }

    fn state(&self) -> String {
        self.splits.iter().map(Index::state).collect::<Vec<_>>().join(" ")
    }
}

impl ImageFolder {
    fn label(&self, split: usize, class: Option<u32>) -> i64 {
        class.and_then(|class| self.labels[split].get(class as usize)).copied().unwrap_or(UNLABELLED)
    }
}

/// A root that is no folder is told as what it is.
fn check_root(root: &Path) -> Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    let shown = names::path(root);
    if !root.exists() {
        return Err(
            Error::data(format!("there is no folder `{shown}`")).hint("set `root` to the folder that holds the images")
        );
    }
    let name = root.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let (what, hint) = if ends(&[".tar"]) {
        ("a tar archive", "unpack it, or read it as it is with `dataset.name = \"webdataset\"` where it is a shard")
    } else if ends(&[".tar.gz", ".tgz", ".zip", ".7z", ".rar", ".tar.bz2", ".tar.xz", ".tar.zst"]) {
        ("an archive", "unpack it, and set `root` to the folder")
    } else if ends(&[".parquet"]) {
        ("a Parquet file", "read it with `dataset.name = \"parquet\"`")
    } else if ends(&[".npz"]) {
        ("a NumPy archive", "read it with `dataset.name = \"medmnist\"`, where it is one of MedMNIST")
    } else if ends(&[".txt", ".csv", ".tsv"]) {
        ("a text file", "set `root` to the folder of the images, and `train_list` to the list")
    } else {
        ("a file", "set `root` to the folder that holds the images")
    };
    Err(Error::data(format!("`{shown}` is {what}, not a folder")).hint(hint))
}

/// The splits of a config, the training split first.
fn parts(config: &config::ImageFolder, notes: &mut Vec<String>) -> Result<Vec<Part>> {
    let Some(labelled) = &config.labelled else { return parts_below(config, notes) };
    check_root(labelled)?;
    let unlabelled = config::ImageFolder { layout: Layout::Unlabelled, ..config.clone() };
    let mut parts = parts_below(&unlabelled, notes)?;
    parts.retain(|part| part.serves == Serves::Training);
    for part in &mut parts {
        (part.name, part.serves) = ("unlabelled", Serves::Pretraining);
    }
    let own = config::ImageFolder {
        root: labelled.clone(),
        layout: if config.layout == Layout::Unlabelled { Layout::Plain } else { config.layout },
        allow_empty_classes: config.allow_empty_classes,
        ..config::ImageFolder::default()
    };
    let mut all = parts_below(&own, notes)?;
    if !all.iter().any(|part| part.serves == Serves::Training && part.index.is_labelled()) {
        return Err(Error::data(format!("`{}` holds no class folders", names::path(labelled)))
            .hint("`labelled` names a folder with a folder per class, or with splits of such"));
    }
    all.extend(parts);
    Ok(all)
}

fn parts_below(config: &config::ImageFolder, notes: &mut Vec<String>) -> Result<Vec<Part>> {
    if config.train_list.is_some() || config.test_list.is_some() {
        return listed(config);
    }
    let root = published::inner_root(&config.root);
    let places = if config.layout == Layout::Plain { published::places365(&root)? } else { None };
    if let Some([(train, train_list), (val, val_list)]) = places {
        let part = |name, index, serves, list: &Path| Part { name, index, serves, from: names::path(list) };
        notes.push("the folders are those of Places365, the labels those of its lists".to_owned());
        return Ok(vec![
            part("train", train, Serves::Training, &train_list),
            part("val", val, Serves::Tests, &val_list),
        ]);
    }
    let found = splits::find(&root, config)?;
    let mut parts = Vec::new();
    if found.is_empty() {
        let index = index_of(std::slice::from_ref(&root), config, Kind::Train, notes)?;
        return Ok(vec![Part { name: "train", index, serves: Serves::Training, from: names::path(&root) }]);
    }
    for (&kind, folders) in &found {
        let shown: Vec<String> = folders.iter().map(|folder| below(folder, &config.root)).collect();
        let index = index_of(folders, config, kind, notes)?;
        let serves = match kind {
            Kind::Train => Serves::Training,
            Kind::Unlabelled => Serves::Pretraining,
            Kind::Test | Kind::Val => Serves::Nothing, // one of them tests, see below
        };
        parts.push(Part { name: kind.name(), index, serves, from: shown.join("`, `") });
    }
    choose_test(&mut parts);
    let trivial = parts.iter().all(|part| part.from == part.name && part.serves != Serves::Nothing);
    if !trivial {
        let told: Vec<String> = parts.iter().map(|part| format!("{} from `{}`", part.name, part.from)).collect();
        notes.push(format!("splits: {}", told.join("; ")));
    }
    if let Some(spare) = parts.iter().find(|part| part.name == "val" && part.serves == Serves::Nothing) {
        notes.push(format!(
            "`{}` is kept apart; `dataset.config.test = \"{}\"` tests on it",
            spare.from,
            spare.from.split('`').next().unwrap_or_default()
        ));
    }
    let beside: Vec<String> = Shape::of(&root)?
        .folders
        .iter()
        .map(|name| root.join(name))
        .filter(|folder| !found.values().flatten().any(|used| used.starts_with(folder)))
        .filter(|folder| Shape::of(folder).is_ok_and(|shape| shape.image))
        .map(|folder| below(&folder, &config.root))
        .collect();
    if !beside.is_empty() {
        notes.push(format!("folders beside the splits are passed over: {}", names::first_few(&beside)));
    }
    Ok(parts)
}

/// The first of `test` and `val` whose images have labels of the training split tests.
fn choose_test(parts: &mut [Part]) {
    let train = parts.iter().find(|part| part.serves == Serves::Training && part.index.is_labelled());
    let Some(classes) = train.map(|train| train.index.classes.clone()) else { return };
    let shares = |part: &Part| part.index.classes.iter().any(|class| classes.contains(class));
    let candidates: Vec<usize> =
        ["test", "val"].iter().filter_map(|name| parts.iter().position(|part| part.name == *name)).collect();
    let fitting = candidates.iter().copied().find(|&at| shares(&parts[at]));
    // Where none fits, but one has classes, what is wrong with it is told.
    let labelled = || candidates.iter().copied().find(|&at| parts[at].index.classes.len() > 1);
    if let Some(at) = fitting.or_else(labelled) {
        parts[at].serves = Serves::Tests;
    }
}

/// The images of a split: in class folders, labelled by a file, or without labels.
fn index_of(folders: &[PathBuf], config: &config::ImageFolder, kind: Kind, notes: &mut Vec<String>) -> Result<Index> {
    let shown = || below(&folders[0], &config.root);
    if config.layout == Layout::Unlabelled || kind == Kind::Unlabelled {
        return Ok(Index::unlabelled(folders));
    }
    if let [folder] = folders {
        if let Some((index, list)) = published::annotated(folder, kind)? {
            notes.push(format!("the labels of `{}` are those of `{}`", shown(), names::path(&list)));
            return Ok(index);
        }
    }
    let mut flat = true;
    for folder in folders {
        flat &= Shape::of(folder)?.is_flat();
    }
    if !flat {
        if config.layout != Layout::Classes {
            splits::refuse_splits_in_classes(folders)?;
        }
        return Index::of_classes(folders);
    }
    let index = Index::unlabelled(folders);
    if index.len() > 0 {
        notes.push(format!("`{}` holds images and no class folders: they have no labels", shown()));
    }
    Ok(index)
}

fn below(folder: &Path, root: &Path) -> String {
    match folder.strip_prefix(root) {
        Ok(rest) if !rest.as_os_str().is_empty() => names::path(rest),
        _ => names::path(folder),
    }
}

/// The splits that lists name.
fn listed(config: &config::ImageFolder) -> Result<Vec<Part>> {
    let Some(train) = &config.train_list else {
        return Err(Error::data("`test_list` is given, `train_list` is not").hint("name a list of training images too"));
    };
    let place = |list: &Path| if list.is_file() { list.to_owned() } else { config.root.join(list) };
    let part = |name, list: &Path, serves| -> Result<Part> {
        let list = place(list);
        Ok(Part { name, index: list::read(&list, &config.root)?, serves, from: names::path(&list) })
    };
    let mut parts = vec![part("train", train, Serves::Training)?];
    if let Some(test) = &config.test_list {
        let test = part("test", test, Serves::Tests)?;
        let serves = if test.index.is_labelled() { Serves::Tests } else { Serves::Nothing };
        parts.push(Part { serves, ..test });
    }
    Ok(parts)
}

fn labels_of(split: &Index, train: &Index) -> Result<Vec<i64>> {
    let known: HashMap<&OsStr, i64> = train.classes.iter().map(|class| class.as_os_str()).zip(0..).collect();
    let mut unknown = Vec::new();
    let mut labels = Vec::new();
    for class in &split.classes {
        match known.get(class.as_os_str()) {
            Some(&label) => labels.push(label),
            None => unknown.push(names::escape(class.as_bytes())),
        }
    }
    if unknown.is_empty() {
        return Ok(labels);
    }
    let (test, train) = (names::path(&split.folders[0]), names::path(&train.folders[0]));
    let unknown = names::first_few(&unknown);
    Err(Error::data(format!("classes in `{test}` that `{train}` lacks: {unknown}"))
        .hint("both splits need the same class folders"))
}

/// What is wrong with a split that has no image: never a run on nothing.
fn without_images(split: &Index) -> Error {
    let folder = names::path(&split.folders[0]);
    let mut passed: Vec<String> =
        split.passed_over.iter().map(|(why, (count, first))| format!("{count} ({why}), first `{first}`")).collect();
    passed.extend(archives(&split.folders[0]));
    let empty =
        if split.classes.is_empty() { String::new() } else { format!(" in {} class folders", split.classes.len()) };
    let passed = if passed.is_empty() { String::new() } else { format!("; passed over: {}", passed.join("; ")) };
    Error::data(format!("`{folder}` holds no image{empty}{passed}"))
        .hint("JPEG, PNG, WebP, BMP, GIF, TIFF and PNM are read; check `root`, unpack archives, convert other formats")
}

fn archives(folder: &Path) -> Option<String> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| [".tar", ".zip", ".tgz", ".gz", ".parquet", ".npz"].iter().any(|end| name.ends_with(end)))
        .collect();
    names.sort();
    (!names.is_empty()).then(|| format!("archives: {}", names::first_few(&names)))
}

fn check_classes(parts: &[Part], train: usize) -> Result<()> {
    let allow = "fill or remove them, or set `allow_empty_classes = true`";
    let used = || parts.iter().filter(|part| matches!(part.serves, Serves::Training | Serves::Tests));
    for split in used().map(|part| &part.index) {
        let empty = split.empty_classes();
        if !empty.is_empty() {
            let folder = names::path(&split.folders[0]);
            let empty = names::first_few(&empty);
            let passed: Vec<String> =
                split.passed_over.iter().map(|(why, (count, _))| format!("{count} ({why})")).collect();
            let passed =
                if passed.is_empty() { String::new() } else { format!("; passed over: {}", passed.join(", ")) };
            return Err(
                Error::data(format!("class folders without an image in `{folder}`: {empty}{passed}")).hint(allow)
            );
        }
    }
    let train = &parts[train].index;
    if let [class] = &train.classes[..] {
        let place = train.folders[0].join(class);
        let class = names::escape(class.as_bytes());
        let error = Error::data(format!("`{}` holds a single class, `{class}`", names::path(&train.folders[0])));
        if let Some(inside) = splits::deeper(&place) {
            let hint = format!("it holds {}: set `root` to `{}`", names::first_few(&inside), names::path(&place));
            return Err(error.hint(hint));
        }
        return Err(error.hint(
            "check `root`; for images without classes set `layout = \"unlabelled\"`, for one class `allow_empty_classes = true`",
        ));
    }
    for split in used().filter(|part| part.serves == Serves::Tests).map(|part| &part.index) {
        let lacking = train.classes.iter().filter(|class| !split.classes.contains(class));
        let lacking: Vec<String> = lacking.map(|class| names::escape(class.as_bytes())).collect();
        if !lacking.is_empty() {
            let (train, test) = (names::path(&train.folders[0]), names::path(&split.folders[0]));
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

fn facts(parts: &[Part], train: Option<usize>, mut notes: Vec<String>, hashes: Option<&Hashes>) -> DatasetFacts {
    let mut hash = Sha256::new();
    for Part { name, index, serves, .. } in parts {
        // What serves nothing makes no other data.
        if *serves != Serves::Nothing {
            hash.update(if *serves == Serves::Tests { "test" } else { name });
            hash.update(index.digest);
        }
        for (why, (count, first)) in &index.passed_over {
            notes.push(format!("{name}: passed over {count} ({why}), first `{first}`"));
        }
        let empty = index.empty_classes();
        if !empty.is_empty() {
            notes.push(format!("{name}: {} class folders without an image: {}", empty.len(), names::first_few(&empty)));
        }
    }
    if let Some(hashes) = hashes {
        notes.push(format!("the bytes of every image are checked against {} hashes", hashes.len()));
    }
    let classes = train.map(|train| parts[train].index.classes.as_slice()).unwrap_or_default();
    notes.extend(out_of_order(classes));
    let of = |serving: &[Serves], labelled: bool| {
        let fits = |(at, part): (usize, &Part)| {
            let fits = serving.contains(&part.serves) && (!labelled || train.is_some() && part.index.is_labelled());
            fits.then_some(at)
        };
        parts.iter().enumerate().filter_map(fits).collect::<Vec<usize>>()
    };
    let split = |part: &Part| {
        let counts = matches!(part.serves, Serves::Training | Serves::Tests) && train.is_some();
        let labelled = counts && part.index.is_labelled();
        Split { name: part.name.to_owned(), length: part.index.len() as u64, labelled }
    };
    DatasetFacts {
        splits: parts.iter().map(split).collect(),
        class_names: classes.iter().map(|class| names::escape(class.as_bytes())).collect(),
        roles: Roles {
            pretrain: of(&[Serves::Training, Serves::Pretraining], false),
            train: of(&[Serves::Training], true),
            test: of(&[Serves::Tests], true),
        },
        fingerprint: archive::hex(&hash.finalize()),
        notes,
    }
}

/// Folders called 0 to 11 stand in bytewise order: label 2 is `10`.
fn out_of_order(classes: &[std::ffi::OsString]) -> Option<String> {
    let numbers: Option<Vec<i64>> = classes.iter().map(|class| class.to_str()?.parse().ok()).collect();
    let (label, number) = (0i64..).zip(numbers?).find(|(label, number)| label != number)?;
    let name = names::escape(classes[label as usize].as_bytes());
    let differs = if number.to_string() == name { "" } else { " (written with zeros)" };
    Some(format!("labels are not the numbers that the classes are called: label {label} is class `{name}`{differs}"))
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
