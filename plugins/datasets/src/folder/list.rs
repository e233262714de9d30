//! Files that list images, with or without labels: a path a line, `path label` as Caffe's lists, CSV and TSV with or without
//! names of columns, Tiny-ImageNet's `val_annotations.txt`, Kaggle's `LOC_val_solution.csv`.

use super::{
    index::Index,
    walk::{File, is_image, times},
};
use crate::{labels::in_order, names};
use infomax_sdk::{Error, Result};
use std::{
    collections::{BTreeSet, HashMap},
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

const LARGEST: u64 = 1 << 30;
/// Names of columns, in lower case, as published sets have them.
const PATHS: [&str; 18] = [
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image",
    "image_path",
    "img",
    "img_path",
    "imgpath",
    "image_name",
    "image_file",
    "imageid",
    "image_id",
    "img_id",
    "id",
    "name",
];
const LABELS: [&str; 14] = [
    "label",
    "class",
    "category",
    "target",
    "class_name",
    "classname",
    "class_id",
    "label_name",
    "breed",
    "species",
    "y",
    "predictionstring",
    "diagnosis",
    "labels",
];
/// What a name without an extension may end in.
const ENDINGS: [&str; 6] = ["jpg", "JPEG", "jpeg", "png", "JPG", "tif"];

/// An image that a list names.
pub(super) struct Entry {
    /// Its path is relative to the list's folder of images, or absolute.
    pub file: File,
    /// Position of its label among the list's classes.
    pub class: Option<usize>,
}

/// Reads a list. Paths are seen from `folder` or, where they are not there, from the folder of the list.
pub(super) fn read(list: &Path, folder: &Path) -> Result<Index> {
    let rows = rows(list)?;
    build(list, folder, &rows, None)
}

/// Reads a list whose labels are numbers of known classes.
pub(super) fn read_with_names(list: &Path, folder: &Path, classes: Vec<OsString>) -> Result<Index> {
    let rows: Vec<Row> = rows(list)?.into_iter().map(|row| Row { path: trimmed(row.path), ..row }).collect();
    build(list, folder, &rows, Some(classes))
}

/// Reads Kaggle's labels of ImageNet's validation images: `ILSVRC2012_val_00000001,n03995372 85 1 499 272`.
pub(super) fn read_kaggle(list: &Path, folder: &Path) -> Result<Index> {
    let first_word = |label: String| label.split_whitespace().next().unwrap_or_default().to_owned();
    let rows: Vec<Row> = rows(list)?.into_iter().map(|row| Row { label: row.label.map(first_word), ..row }).collect();
    build(list, folder, &rows, None)
}

/// Images of a folder, without their extension, with the names of their classes; `from` says so.
pub(super) fn of_labels(from: &Path, folder: &Path, images: Vec<(String, String)>) -> Result<Index> {
    let row = |(line, (path, label))| Row { line, path, label: Some(label) };
    build(from, folder, &(1..).zip(images).map(row).collect::<Vec<_>>(), None)
}

/// A line of a list.
struct Row {
    line: usize,
    path: String,
    label: Option<String>,
}

fn trimmed(path: String) -> String {
    path.trim_start_matches('/').to_owned()
}

fn rows(list: &Path) -> Result<Vec<Row>> {
    let shown = names::path(list);
    let fail = |cause| Error::data(format!("can't read the list `{shown}`")).caused_by(&cause);
    let metadata = fs::metadata(list).map_err(fail)?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(Error::data(format!("the list `{shown}` is no regular file of at most {LARGEST} bytes")));
    }
    let text = fs::read_to_string(list).map_err(fail)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines: Vec<(usize, &str)> =
        (1..).zip(text.lines()).map(|(n, line)| (n, line.trim_end())).filter(|(_, line)| !line.is_empty()).collect();
    let Some(&(_, first)) = lines.first() else {
        return Err(Error::data(format!("the list `{shown}` is empty")));
    };
    let separator = if first.contains(',') { Some(',') } else { first.contains('\t').then_some('\t') };
    let Some(separator) = separator else {
        return Ok(lines.iter().map(|&(line, text)| plain(line, text)).collect());
    };
    let cells = |text: &str| cells(text, separator);
    let head: Vec<String> = cells(first).iter().map(|cell| cell.trim().to_lowercase()).collect();
    let column = |known: &[&str]| known.iter().find_map(|name| head.iter().position(|cell| cell == name));
    let has_head = !head.iter().any(|cell| is_image(cell.as_bytes())) && column(&PATHS).is_some();
    let (path_at, label_at) = match has_head {
        true => (column(&PATHS).expect("it was found"), column(&LABELS)),
        false => (0, (head.len() > 1).then_some(1)),
    };
    if has_head && label_at.is_none() && head.len() > 1 {
        let names: Vec<String> = head.clone();
        return Err(Error::data(format!("the list `{shown}` has no column of labels: {}", names::first_few(&names)))
            .hint("call the column `label`, or leave out all columns but the one of paths"));
    }
    let row = |&(line, text): &(usize, &str)| {
        let cells = cells(text);
        let path = cells.get(path_at).map(|cell| cell.trim().to_owned()).unwrap_or_default();
        let label = label_at.and_then(|at| cells.get(at)).map(|cell| cell.trim().to_owned());
        Row { line, path, label: label.filter(|label| !label.is_empty()) }
    };
    Ok(lines[usize::from(has_head)..].iter().map(row).collect())
}

/// A path, or a path and a label behind a blank.
fn plain(line: usize, text: &str) -> Row {
    let whole = || Row { line, path: text.trim().to_owned(), label: None };
    if is_image(text.as_bytes()) {
        return whole();
    }
    match text.rsplit_once(char::is_whitespace) {
        Some((path, label)) => Row { line, path: path.trim().to_owned(), label: Some(label.to_owned()) },
        None => whole(),
    }
}

/// The cells of a line after RFC 4180; none of these lists has line breaks in a cell.
fn cells(text: &str, separator: char) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                cell.push('"');
                letters.next();
            }
            '"' => quoted = !quoted,
            c if c == separator && !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    cells
}

fn build(list: &Path, folder: &Path, rows: &[Row], known: Option<Vec<OsString>>) -> Result<Index> {
    let shown = names::path(list);
    let labelled = rows.iter().filter(|row| row.label.is_some()).count();
    if labelled > 0 && labelled < rows.len() {
        let row = rows.iter().find(|row| row.label.is_none()).expect("one has none");
        return Err(Error::data(format!(
            "{shown}:{}: `{}` has no label, {labelled} others have one",
            row.line, row.path
        ))
        .hint("give every image a label, or none"));
    }
    let (classes, by_number) = match known {
        Some(classes) => (classes, true),
        None => (
            in_order(rows.iter().filter_map(|row| row.label.as_deref())).into_iter().map(OsString::from).collect(),
            false,
        ),
    };
    let position: HashMap<&[u8], usize> = classes.iter().enumerate().map(|(at, name)| (name.as_bytes(), at)).collect();
    let beside = list.parent().unwrap_or(Path::new("."));
    let (mut entries, mut missing, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut repeated = Vec::new();
    for row in rows {
        let class = match &row.label {
            None => None,
            Some(label) if by_number => match label.parse::<usize>().ok().filter(|&at| at < classes.len()) {
                Some(at) => Some(at),
                None => {
                    let what = format!("{shown}:{}: label `{label}` of {} classes", row.line, classes.len());
                    return Err(Error::data(what));
                }
            },
            Some(label) => position.get(label.as_bytes()).copied(),
        };
        match find(&row.path, folder, beside) {
            None => missing.push(row.path.clone()),
            Some(file) if !seen.insert(file.path.clone()) => repeated.push(row.path.clone()),
            Some(file) => entries.push(Entry { file, class }),
        }
    }
    if entries.is_empty() {
        let first = missing.first().cloned().unwrap_or_default();
        let place = names::path(folder);
        return Err(Error::data(format!(
            "none of the {} images that `{shown}` names is there, such as `{first}`",
            rows.len()
        ))
        .hint(format!("paths are seen from `{place}`, and from the folder of the list")));
    }
    let mut index = Index::of_list(folder, classes, entries);
    if let Some(first) = missing.first() {
        index.pass_over("named in the list, but not there", missing.len(), first.clone());
    }
    if let Some(first) = repeated.first() {
        index.pass_over("named in the list once more", repeated.len(), first.clone());
    }
    Ok(index)
}

fn find(path: &str, folder: &Path, beside: &Path) -> Option<File> {
    let exact = [path.to_owned()].into_iter();
    let ended = ENDINGS.iter().map(|ending| format!("{path}.{ending}")).filter(|_| !is_image(path.as_bytes()));
    exact.chain(ended).find_map(|name| {
        let places = [(folder.join(&name), PathBuf::from(&name)), (beside.join(&name), beside.join(&name))];
        places.into_iter().find_map(|(place, kept)| {
            let metadata = fs::metadata(&place).ok().filter(fs::Metadata::is_file)?;
            let kept = if kept.is_relative() && place.starts_with(folder) {
                kept
            } else {
                std::path::absolute(&place).ok()?
            };
            let path = OsStr::as_bytes(kept.as_os_str()).to_vec();
            Some(File { path, size: metadata.len(), times: times(&metadata) })
        })
    })
}
