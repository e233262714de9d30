//! `medmnist`: MedMNIST's `.npz` files: arrays `train_images`, `train_labels`, `val_…` and `test_…` of bytes.

use crate::{archive::hex, config, names, records::state_of};
use infomax_sdk::{Dataset, DatasetDescription, DatasetFacts, Error, Image, Result, Roles, Sample, Split, UNLABELLED};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::Read,
    path::PathBuf,
};
use zip::ZipArchive;

const LARGEST: u64 = 8 << 30; // bytes of one array, unpacked; PathMNIST has 0.2 GB at 28 pixels
const SPLITS: [&str; 3] = ["train", "val", "test"];

/// A file of MedMNIST.
pub struct MedMnist {
    parts: Vec<Part>,
    path: PathBuf,
    facts: DatasetFacts,
    state: String,
}

struct Part {
    name: &'static str,
    height: usize,
    width: usize,
    /// 1 or 3.
    channels: usize,
    pixels: Vec<u8>,
    labels: Vec<i64>,
}

/// An array of bytes.
struct Array {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Dataset for MedMnist {
    type Config = config::MedMnist;

    fn describe(_: &config::MedMnist) -> Result<DatasetDescription> {
        Ok(DatasetDescription::default())
    }

    fn create(config: &config::MedMnist) -> Result<Self> {
        let path = file_of(config)?;
        let shown = names::path(&path);
        let fail = |reason: String| Error::data(format!("`{shown}` can't be used: {reason}"));
        let io = |cause: std::io::Error| Error::data(format!("can't read `{shown}`")).caused_by(&cause);
        let file = File::open(&path).map_err(io)?;
        let state = state_of(&file.metadata().map_err(io)?);
        let mut zip = ZipArchive::new(file).map_err(|cause| fail(format!("it is no NumPy archive: {cause}")))?;
        let (mut parts, mut notes) = (Vec::new(), Vec::new());
        for name in SPLITS {
            let Some(images) = array(&mut zip, &format!("{name}_images.npy")).map_err(&fail)? else { continue };
            let labels = array(&mut zip, &format!("{name}_labels.npy")).map_err(&fail)?;
            parts.push(part(name, images, labels, &mut notes).map_err(&fail)?);
        }
        if parts.first().is_none_or(|part| part.name != "train" || part.labels.is_empty()) {
            return Err(fail("it holds no images in `train_images`".to_owned()));
        }
        let classes = parts.iter().flat_map(|part| &part.labels).max().map_or(0, |&largest| largest + 1) as usize;
        notes.dedup();
        let facts = facts(&parts, classes, notes);
        Ok(Self { parts, path, facts, state })
    }

    fn facts(&self) -> DatasetFacts {
        self.facts.clone()
    }

    fn read(&self, split: usize, index: u64) -> Result<Sample> {
        let part = self.parts.get(split).ok_or_else(|| Error::data(format!("there is no split `{split}`")))?;
        let label = *part
            .labels
            .get(usize::try_from(index).unwrap_or(usize::MAX))
            .ok_or_else(|| Error::data(format!("there is no image {index}, the split has {}", part.labels.len())))?;
        let size = part.height * part.width * part.channels;
        let own = &part.pixels[index as usize * size..][..size];
        let pixels = if part.channels == 3 { own.to_vec() } else { own.iter().flat_map(|&gray| [gray; 3]).collect() };
        let image = Image::Rgb8 { width: part.width as u32, height: part.height as u32, pixels };
        Ok(Sample { image, label })
    }

    fn locate(&self, split: usize, index: u64) -> String {
        let name = self.parts.get(split).map_or("?", |part| part.name);
        format!("{}, {name}_images[{index}]", names::path(&self.path))
    }

    fn labels(&self, split: usize) -> Result<Vec<i64>> {
        Ok(self.parts.get(split).map(|part| part.labels.clone()).unwrap_or_default())
    }

    fn state(&self) -> String {
        self.state.clone()
    }
}

fn file_of(config: &config::MedMnist) -> Result<PathBuf> {
    let root = &config.root;
    if root.is_file() {
        return Ok(root.clone());
    }
    let shown = names::path(root);
    let entries = fs::read_dir(root).map_err(|cause| {
        Error::data(format!("can't read the folder `{shown}`"))
            .caused_by(&cause)
            .hint("set `root` to the `.npz` or its folder")
    })?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "npz"))
        .collect();
    found.sort();
    if let Some(file) = &config.file {
        return found
            .iter()
            .find(|path| path.file_name().is_some_and(|name| name == file.as_str()))
            .cloned()
            .ok_or_else(|| {
                Error::data(format!("there is no `{file}` in `{shown}`")).hint("`file` names a `.npz` in `root`")
            });
    }
    match &found[..] {
        [only] => Ok(only.clone()),
        [] => Err(Error::data(format!("there is no `.npz` in `{shown}`")).hint("set `root` to the file or its folder")),
        several => {
            let shown_files: Vec<String> =
                several.iter().filter_map(|path| path.file_name()).map(|n| n.to_string_lossy().into_owned()).collect();
            Err(Error::data(format!("`{shown}` holds several sets: {}", names::first_few(&shown_files)))
                .hint("name one of them: `dataset.config.file = \"…\"`"))
        }
    }
}

fn part(name: &'static str, images: Array, labels: Option<Array>, notes: &mut Vec<String>) -> Result<Part, String> {
    let (height, width, channels) = match images.shape[..] {
        [_, height, width] => (height, width, 1),
        [_, height, width, 3] => (height, width, 3),
        _ => return Err(format!("`{name}_images` has the shape {:?}, expected images in gray or RGB", images.shape)),
    };
    let count = images.shape[0];
    let labels = match labels {
        Some(labels) if labels.shape == [count] || labels.shape == [count, 1] => {
            labels.bytes.iter().map(|&label| i64::from(label)).collect()
        }
        Some(labels) => {
            notes.push(format!("labels of the shape {:?} are several an image: none is used", labels.shape));
            vec![UNLABELLED; count]
        }
        None => vec![UNLABELLED; count],
    };
    Ok(Part { name, height, width, channels, pixels: images.bytes, labels })
}

/// A member of the archive; none where it is not there.
fn array(zip: &mut ZipArchive<File>, name: &str) -> Result<Option<Array>, String> {
    let mut member = match zip.by_name(name) {
        Ok(member) => member,
        Err(zip::result::ZipError::FileNotFound) => return Ok(None),
        Err(cause) => return Err(format!("`{name}`: {cause}")),
    };
    let fail = |reason: &str| format!("`{name}`: {reason}");
    if member.size() > LARGEST {
        return Err(fail("it is too large to be held in memory; write its images as files"));
    }
    let mut bytes = Vec::new();
    member.by_ref().take(LARGEST).read_to_end(&mut bytes).map_err(|cause| fail(&cause.to_string()))?;
    let (shape, start) = header(&bytes).map_err(|reason| fail(&reason))?;
    let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    if count != Some(bytes.len() - start) {
        return Err(fail(&format!("{} bytes for the shape {shape:?}", bytes.len() - start)));
    }
    bytes.drain(..start);
    Ok(Some(Array { shape, bytes }))
}

/// Shape of a `.npy` of bytes, and where its elements begin.
fn header(bytes: &[u8]) -> Result<(Vec<usize>, usize), String> {
    let cut = || "it ends within its header".to_owned();
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err("it is no NumPy array".to_owned());
    }
    let long = *bytes.get(6).ok_or_else(cut)? >= 2;
    let (at, width) = if long { (12, 4) } else { (10, 2) };
    let length = bytes.get(8..8 + width).ok_or_else(cut)?;
    let length = length.iter().rev().fold(0usize, |length, &byte| length << 8 | usize::from(byte));
    let text = bytes.get(at..at + length).ok_or_else(cut)?;
    let text = String::from_utf8_lossy(text);
    let field = |name: &str| text.split_once(&format!("'{name}':")).map(|(_, rest)| rest.trim_start().to_owned());
    let descr = field("descr").unwrap_or_default();
    let is_bytes = ["'|u1'", "'u1'", "'<u1'"].iter().any(|known| descr.starts_with(known));
    if !is_bytes || !field("fortran_order").is_some_and(|order| order.starts_with("False")) {
        let kind = descr.split(',').next().unwrap_or_default().to_owned();
        return Err(format!("its elements are {kind}, expected bytes ('|u1'), row by row"));
    }
    let shape = field("shape").and_then(|rest| Some(rest.strip_prefix('(')?.split_once(')')?.0.to_owned()));
    let shape = shape.ok_or("its header names no shape")?;
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
    let sizes: Option<Vec<usize>> = sizes.map(|size| size.parse().ok()).collect();
    Ok((sizes.ok_or("its shape is no list of numbers")?, at + length))
}

fn facts(parts: &[Part], classes: usize, notes: Vec<String>) -> DatasetFacts {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.name);
        hash.update((part.labels.len() as u64).to_le_bytes());
        hash.update(&part.pixels);
        part.labels.iter().for_each(|label| hash.update(label.to_le_bytes()));
    }
    let labelled = |part: &Part| part.labels.iter().all(|&label| label >= 0);
    let position = |name: &str| parts.iter().position(|part| part.name == name && labelled(part) && classes > 1);
    DatasetFacts {
        splits: parts
            .iter()
            .map(|part| {
                let (name, length) = (part.name.to_owned(), part.labels.len() as u64);
                Split { name, length, labelled: labelled(part) }
            })
            .collect(),
        class_names: (0..classes).map(|label| label.to_string()).collect(),
        roles: Roles {
            pretrain: vec![0],
            train: position("train").into_iter().collect(),
            test: position("test").or_else(|| position("val")).into_iter().collect(),
        },
        fingerprint: hex(&hash.finalize()),
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_version_are_read_and_other_elements_refused() {
        let of = |version: u8, text: &str| {
            let mut bytes = b"\x93NUMPY".to_vec();
            bytes.extend([version, 0]);
            let length = text.len() as u32;
            bytes.extend(if version == 1 {
                (length as u16).to_le_bytes().to_vec()
            } else {
                length.to_le_bytes().to_vec()
            });
            bytes.extend(text.as_bytes());
            header(&bytes)
        };
        let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (5, 28, 28), }";
        assert_eq!(of(1, text), Ok((vec![5, 28, 28], 10 + text.len())));
        assert_eq!(of(2, text).map(|(shape, _)| shape), Ok(vec![5, 28, 28]));
        for wrong in ["'<f4'", "'<i8'"] {
            assert!(of(1, &text.replace("'|u1'", wrong)).unwrap_err().contains(wrong));
        }
        assert!(of(1, &text.replace("False", "True")).is_err());
        assert!(header(b"\x93NUMPY\x01\0\xff\xff").is_err());
    }

    #[test]
    fn a_path_that_is_no_set_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config::MedMnist { root: folder.path().to_owned(), file: None };
        let refused = |config: &config::MedMnist| MedMnist::create(config).err().expect("refused").message;
        assert!(refused(&config).starts_with("there is no `.npz`"));
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.npz"), b"no zip").expect("written");
        assert!(refused(&config).contains("it is no NumPy archive"));
        fs::write(at("b.npz"), b"no zip").expect("written");
        assert!(refused(&config).contains("holds several sets: `a.npz`, `b.npz`"));
    }
}
