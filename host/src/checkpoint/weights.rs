//! An encoder's weights out of whatever holds them: a safetensors file, under its own names or the published ones, several of them
//! with an index, a file of `torch.save`, a checkpoint, or a run.

use super::{
    CheckpointSet, NamedSet, Published, Sizes, TensorFile, foreign_folder,
    pickle::TEXT_PROTOCOL,
    read_metadata, read_tensors, shards,
    torch_file::{self, TorchFile},
};
use crate::{
    error::{Error, Fault, Result},
    hash::sha256,
};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};
use tch::Tensor;

const ENCODER: &str = "encoder.safetensors";
/// Tensors that share a storage are copied each: of all of them no more than this many times the file.
const MOST_COPIES: usize = 8;

/// The tensors that a path holds.
#[derive(Debug)]
pub struct Weights {
    /// One set of tensors, or several that a file holds beside one another.
    pub sets: Vec<NamedSet>,
    /// Of a published checkpoint: what its encoder is made with.
    pub sizes: Option<Sizes>,
    /// Where they were found, for messages.
    pub at: String,
    /// What a safetensors file says of itself.
    pub metadata: HashMap<String, String>,
    /// Bytes of the file.
    bytes: usize,
}

impl Weights {
    /// Finds weights; what a path is, its content says.
    ///
    /// # Errors
    /// What is there instead.
    pub fn read(path: &Path) -> Result<Self> {
        let facts = fs::metadata(path).map_err(|error| not_there(path, &error.to_string()))?;
        let at = path.display().to_string();
        if let Some(index) = shards::index_of(path) {
            let (tensors, bytes) =
                shards::read(&index).map_err(|fault| Error::Checkpoint { fault: fault.at(at.clone()) })?;
            let metadata = HashMap::new();
            return Ok(Self { sets: vec![NamedSet::of(tensors)], sizes: None, at, metadata, bytes });
        }
        if facts.is_dir() {
            return match foreign_folder(path).map_err(|fault| Error::Checkpoint { fault })? {
                Some(file) => Self::of_file(&file),
                None => Self::of_folder(path),
            };
        }
        Self::of_file(path)
    }

    fn of_file(path: &Path) -> Result<Self> {
        let at = path.display().to_string();
        let bytes = read_source(path)?;
        let (sets, sizes) = match read_file(path, &bytes)? {
            FileContent::Published(Published { encoder, sizes, .. }) => (vec![NamedSet::of(encoder)], sizes),
            FileContent::Plain(file) => (vec![NamedSet::of(file.tensors)], None),
            FileContent::Saved(sets) => (sets, None),
        };
        Ok(Self { sets, sizes, at, metadata: read_metadata(&bytes), bytes: bytes.len() })
    }

    fn of_folder(path: &Path) -> Result<Self> {
        let (bytes, at) = in_folder(path)?;
        let TensorFile { tensors, metadata } = read_tensors(&bytes).map_err(|reason| damaged(&reason, &at))?;
        Ok(Self { sets: vec![NamedSet::of(tensors)], sizes: None, at, metadata, bytes: bytes.len() })
    }

    /// Every tensor, under the names that the file gives them.
    ///
    /// # Errors
    /// Several sets; a tensor that can't be read; more of them than the file can mean.
    pub fn all(&self) -> Result<BTreeMap<String, Tensor>> {
        let fail = |message: String, hint: &str| Error::Checkpoint {
            fault: Fault::new(message).at(self.at.clone()).hint(hint),
        };
        let [set] = self.sets.as_slice() else {
            let keys: Vec<_> = self.sets.iter().map(|set| format!("`{}`", set.key)).collect();
            let message = format!("the file holds {} sets of tensors: {}", keys.len(), keys.join(", "));
            return Err(fail(message, "name it under `encoder.weights`, and the set under `encoder.weights_key`"));
        };
        let (mut tensors, mut copied) = (BTreeMap::new(), 0);
        for (name, held) in &set.tensors {
            let tensor = held.read().map_err(|reason| {
                fail(format!("the tensor `{name}` can't be read: {reason}"), "write it again with tensors alone")
            })?;
            copied += tensor.numel() * tensor.kind().elt_size_in_bytes();
            if copied > MOST_COPIES * self.bytes {
                let message = format!("its tensors are more than {MOST_COPIES} times as large as the file");
                return Err(fail(message, "write each tensor with numbers of its own: `tensor.clone()`"));
            }
            tensors.insert(name.clone(), tensor);
        }
        Ok(tensors)
    }
}

/// The encoder's file of a checkpoint, or of a run: of its newest valid checkpoint, or the one that it left at its end.
fn in_folder(path: &Path) -> Result<(Vec<u8>, String)> {
    let at = path.display().to_string();
    let is_checkpoint = path.join("manifest.json").exists();
    let checkpoint = if is_checkpoint {
        let verified = CheckpointSet::read(path).map_err(|reason| damaged(&reason, &at))?;
        Some(verified)
    } else {
        let (newest, skipped) = CheckpointSet::new(path.join("checkpoints")).newest();
        skipped.iter().for_each(|reason| log::warn!("checkpoint passed over: {reason}"));
        newest
    };
    let Some(mut checkpoint) = checkpoint else {
        let file = path.join(ENCODER);
        if file.is_file() {
            return Ok((read_source(&file)?, file.display().to_string()));
        }
        let fault = Fault::new(format!("`{at}` is neither a checkpoint nor a run with one"));
        let hint = "name a run directory, one of its `checkpoints/step-…`, or a file of weights (`.safetensors`, `.pth`, `.ckpt`)";
        return Err(Error::Checkpoint { fault: fault.hint(hint) });
    };
    let at = checkpoint.path.display().to_string();
    let bytes = checkpoint.files.remove(ENCODER).ok_or_else(|| damaged(&format!("it has no `{ENCODER}`"), &at))?;
    Ok((bytes, at))
}

/// The hash of what [`Weights::read`] would read.
///
/// # Errors
/// As there.
pub fn weights_digest(path: &Path) -> Result<String> {
    let facts = fs::metadata(path).map_err(|error| not_there(path, &error.to_string()))?;
    if let Some(index) = shards::index_of(path) {
        return shards::digest(&index).map_err(|fault| Error::Checkpoint { fault });
    }
    if !facts.is_dir() {
        return read_source(path).map(sha256);
    }
    if let Some(file) = foreign_folder(path).map_err(|fault| Error::Checkpoint { fault })? {
        return read_source(&file).map(sha256);
    }
    in_folder(path).map(|(bytes, _)| sha256(bytes))
}

/// The bytes of a file of weights.
///
/// # Errors
/// No such file, or one that has no end.
pub fn read_source(path: &Path) -> Result<Vec<u8>> {
    let facts = fs::metadata(path).map_err(|error| not_there(path, &error.to_string()))?;
    if !facts.is_file() {
        return Err(not_there(path, "it is no regular file"));
    }
    fs::read(path).map_err(|error| not_there(path, &error.to_string()))
}

fn not_there(path: &Path, reason: &str) -> Error {
    let fault = Fault::new(format!("weights can't be read from `{}`: {reason}", path.display()));
    Error::Checkpoint { fault: fault.hint("name a run directory, one of its checkpoints, or a file of weights") }
}

/// What a file of weights holds.
enum FileContent {
    Published(Published),
    Plain(TensorFile),
    /// Sets of a file of `torch.save`.
    Saved(Vec<NamedSet>),
}

fn read_file(path: &Path, bytes: &[u8]) -> Result<FileContent> {
    let at = path.display();
    let published = |reason| {
        let fault = Fault::new(format!("`{at}` is no published AMDIM checkpoint: {reason}"));
        Error::Checkpoint {
            fault: fault.hint("its names are those of the published code, but it is damaged or of another layout"),
        }
    };
    if torch_file::is_torch_file(bytes) {
        let refused = |reason: String| {
            let hint = torch_file::way_out(&reason, &at.to_string());
            Error::Checkpoint { fault: Fault::new(format!("weights can't be read from `{at}`: {reason}")).hint(hint) }
        };
        let file = TorchFile::read(bytes).map_err(refused)?;
        if Published::is_in(&file) {
            return Published::of_file(&file, bytes.len()).map(FileContent::Published).map_err(published);
        }
        return NamedSet::all_of(file).map(FileContent::Saved).map_err(refused);
    }
    let file = read_tensors(bytes).map_err(|reason| unreadable(bytes, &reason, &at.to_string()))?;
    if Published::names(&file) {
        return Published::of_tensors(file).map(FileContent::Published).map_err(published);
    }
    Ok(FileContent::Plain(file))
}

/// A published checkpoint out of a file's bytes: a `.pth`, or a safetensors file under its names. None where a file has other
/// names.
///
/// # Errors
/// What the file is instead.
pub fn read_published(path: &Path, bytes: &[u8]) -> Result<Option<Published>> {
    Ok(match read_file(path, bytes)? {
        FileContent::Published(published) => Some(published),
        FileContent::Plain(_) | FileContent::Saved(_) => None,
    })
}

fn damaged(reason: &str, at: &str) -> Error {
    let fault = Fault::new(format!("the checkpoint can't be read: {reason}"));
    Error::Checkpoint { fault: fault.at(at).hint("`infomax checkpoint list RUN` says which ones are whole") }
}

/// Says what a file is that is no safetensors file.
fn unreadable(bytes: &[u8], reason: &str, at: &str) -> Error {
    let start = bytes.get(..512.min(bytes.len())).unwrap_or_default().to_ascii_lowercase();
    let holds = |word: &[u8]| start.windows(word.len()).any(|window| window == word);
    let what = match bytes {
        [] => "the file is empty".to_owned(),
        _ if bytes.starts_with(b"\x7fELF") => "the file is a program or a library".to_owned(),
        _ if bytes.get(257..262) == Some(b"ustar") => "the file is a tar archive, to be unpacked".to_owned(),
        _ if bytes.starts_with(&[0x1f, 0x8b]) => "the file is compressed with gzip".to_owned(),
        _ if bytes.starts_with(b"\x89HDF") => "the file is HDF5".to_owned(),
        _ if bytes.starts_with(b"\x93NUMPY") => "the file is a NumPy array".to_owned(),
        _ if torch_file::is_text_pickle(bytes) => format!("the file is a pickle: {TEXT_PROTOCOL}"),
        _ if holds(b"<html") || holds(b"<!doctype") => {
            "the file is a web page, not what was to be downloaded".to_owned()
        }
        _ if bytes.starts_with(b"version https://git-lfs") => {
            "the file is a pointer of Git LFS, not its content".to_owned()
        }
        _ => format!("the file is no safetensors file: {reason}"),
    };
    let hint = "weights are a `.safetensors` file, a file of `torch.save`, a checkpoint or a run directory";
    Error::Checkpoint { fault: Fault::new(format!("weights can't be read: {what}")).at(at).hint(hint) }
}
