//! An encoder's weights out of whatever holds them: a safetensors file, under its own names or the published ones, a published
//! `.pth`, a checkpoint, or a run.

use super::{CheckpointSet, Published, Sizes, pickle::TEXT_PROTOCOL, read_tensors, torch_file};
use crate::{
    error::{Error, Fault, Result},
    hash::sha256,
};
use std::{collections::BTreeMap, fs, path::Path};
use tch::Tensor;

const ENCODER: &str = "encoder.safetensors";

/// An encoder's tensors by its own names.
#[derive(Debug)]
pub struct Weights {
    pub tensors: BTreeMap<String, Tensor>,
    /// Of a published checkpoint: what its encoder is made with.
    pub sizes: Option<Sizes>,
    /// Where they were found, for messages.
    pub at: String,
}

impl Weights {
    /// Reads weights; what a path is, its content says.
    ///
    /// # Errors
    /// What is there instead.
    pub fn read(path: &Path) -> Result<Self> {
        let facts = fs::metadata(path).map_err(|error| not_there(path, &error.to_string()))?;
        if facts.is_dir() { Self::of_folder(path) } else { Self::of_file(path) }
    }

    fn of_file(path: &Path) -> Result<Self> {
        let at = path.display().to_string();
        match read_file(path, &read_source(path)?)? {
            FileContent::Published(Published { encoder, sizes, .. }) => Ok(Self { tensors: encoder, sizes, at }),
            FileContent::Plain(tensors) => Ok(Self { tensors, sizes: None, at }),
        }
    }

    fn of_folder(path: &Path) -> Result<Self> {
        let (bytes, at) = in_folder(path)?;
        let tensors = read_tensors(&bytes).map_err(|reason| damaged(&reason, &at))?.tensors;
        Ok(Self { tensors, sizes: None, at })
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
        let hint = "name a run directory, one of its `checkpoints/step-…`, a `.safetensors` file or a published `.pth`";
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
    if !facts.is_dir() {
        return read_source(path).map(sha256);
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
    Plain(BTreeMap<String, Tensor>),
}

fn read_file(path: &Path, bytes: &[u8]) -> Result<FileContent> {
    let refused = |reason| {
        let fault = Fault::new(format!("`{}` is no published AMDIM checkpoint: {reason}", path.display()));
        let hint = "of `.pth` files only those of the published AMDIM code are read, and nothing in them is executed; write others as safetensors";
        Error::Checkpoint { fault: fault.hint(hint) }
    };
    if torch_file::is_torch_file(bytes) {
        return Published::read(bytes).map(FileContent::Published).map_err(refused);
    }
    let file = read_tensors(bytes).map_err(|reason| unreadable(bytes, &reason, &path.display().to_string()))?;
    if Published::names(&file) {
        return Published::of_tensors(file).map(FileContent::Published).map_err(refused);
    }
    Ok(FileContent::Plain(file.tensors))
}

/// A published checkpoint out of a file's bytes: a `.pth`, or a safetensors file under its names. None where a safetensors file
/// has other names.
///
/// # Errors
/// What the file is instead.
pub fn read_published(path: &Path, bytes: &[u8]) -> Result<Option<Published>> {
    Ok(match read_file(path, bytes)? {
        FileContent::Published(published) => Some(published),
        FileContent::Plain(_) => None,
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
    let hint = "weights are a `.safetensors` file, a published AMDIM `.pth`, a checkpoint or a run directory";
    Error::Checkpoint { fault: Fault::new(format!("weights can't be read: {what}")).at(at).hint(hint) }
}
