//! Weights in several safetensors files with an index of who is where, as Hugging Face's libraries write large models: the index
//! is named, or a folder that has one.
//!
//! # Source
//! `huggingface_hub`'s `save_torch_state_dict`: `{metadata, weight_map: {tensor: file}}`.

use super::read_tensors;
use crate::{error::Fault, hash::sha256};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use tch::Tensor;

const ENDING: &str = ".safetensors.index.json";
const MOST_SHARDS: usize = 1000;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The index that a path is, or that lies in the folder that it is.
pub fn index_of(path: &Path) -> Option<PathBuf> {
    let is_index = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ENDING));
    if path.is_file() {
        return is_index(path).then(|| path.to_owned());
    }
    let files = fs::read_dir(path).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    files.filter(|file| file.is_file() && is_index(file)).min()
}

/// Every tensor that an index names, and the bytes of all files.
///
/// # Errors
/// An index that is none; a file or a tensor that is missing.
pub fn read(index: &Path) -> Result<(BTreeMap<String, Tensor>, usize), Fault> {
    let weight_map = weight_map(index)?;
    let (mut tensors, mut bytes) = (BTreeMap::new(), 0);
    for name in names(&weight_map)? {
        let contents = shard(index, name)?;
        bytes += contents.len();
        let file = read_tensors(&contents)
            .map_err(|reason| Fault::new(format!("the shard `{name}` can't be read: {reason}")))?;
        tensors.extend(
            file.tensors.into_iter().filter(|(tensor, _)| weight_map.get(tensor).map(String::as_str) == Some(name)),
        );
    }
    if let Some((tensor, name)) = weight_map.iter().find(|(tensor, _)| !tensors.contains_key(*tensor)) {
        let fault = Fault::new(format!("the index names `{tensor}` in `{name}`, where it is not"));
        return Err(fault.hint("fetch index and shards again, of one revision"));
    }
    Ok((tensors, bytes))
}

/// A hash of the index and of all of its files.
///
/// # Errors
/// As [`read`].
pub fn digest(index: &Path) -> Result<String, Fault> {
    let weight_map = weight_map(index)?;
    let hashes = names(&weight_map)?.into_iter().map(|name| shard(index, name).map(sha256));
    let hashes = hashes.collect::<Result<Vec<_>, _>>()?;
    Ok(sha256(format!("{weight_map:?}{hashes:?}")))
}

fn weight_map(index: &Path) -> Result<BTreeMap<String, String>, Fault> {
    let bad = |reason: String| Fault::new(format!("`{}` is no index of safetensors files: {reason}", index.display()));
    let text = fs::read(index).map_err(|error| bad(error.to_string()))?;
    let Index { weight_map } = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    if weight_map.is_empty() { Err(bad("it names no tensor".to_owned())) } else { Ok(weight_map) }
}

/// The files' names, each once; none leads elsewhere.
fn names(weight_map: &BTreeMap<String, String>) -> Result<BTreeSet<&str>, Fault> {
    let names: BTreeSet<&str> = weight_map.values().map(String::as_str).collect();
    let leads_away =
        |name: &&&str| Path::new(name).file_name() != Some(name.as_ref()) || !name.ends_with(".safetensors");
    if let Some(name) = names.iter().find(leads_away) {
        return Err(Fault::new(format!("the index names {name:?}, which is no safetensors file beside it")));
    }
    if names.len() > MOST_SHARDS {
        Err(Fault::new(format!("the index names {} files", names.len())))
    } else {
        Ok(names)
    }
}

fn shard(index: &Path, name: &str) -> Result<Vec<u8>, Fault> {
    let path = index.with_file_name(name);
    let missing = |reason: String| {
        Fault::new(format!("the shard `{name}` can't be read: {reason}"))
            .hint("every file that the index names must lie beside it")
    };
    if !path.is_file() {
        return Err(missing("no such file".to_owned()));
    }
    fs::read(&path).map_err(|error| missing(error.to_string()))
}
