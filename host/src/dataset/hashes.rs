//! Writing the hash manifest that a dataset of files checks its images against: `{"version":1,"files":{"rel/path":"hex",…}}`.
//!
//! What is hashed is what the dataset read, under the name that it gave, cut off at its own field `root`: the host knows
//! nothing of folders and splits, and the manifest can't disagree with what is read later.

use crate::{
    error::{Error, Fault, Result},
    record::write_whole,
};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
};

/// The name under which a dataset finds a manifest without being asked.
const FILE: &str = "infomax-hashes.json";
const VERSION: u32 = 1;

/// A manifest that is being collected.
#[derive(Debug)]
pub struct HashManifest {
    target: PathBuf,
    root: String,
    files: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Text<'a> {
    version: u32,
    files: &'a BTreeMap<String, String>,
}

impl HashManifest {
    /// An empty manifest for the dataset of this config, which must have a `root` and no manifest yet.
    ///
    /// # Errors
    /// No `root`, or a manifest that is there already: one written anew over damaged files would hide the damage.
    pub fn new(dataset: &str, config: &Value) -> Result<Self> {
        let Some(root) = config["root"].as_str() else {
            let message = format!("dataset `{dataset}` has no files of its own: there is nothing to write hashes of");
            return Err(Error::config(Fault::new(message).hint("leave out `--write-manifest`")));
        };
        let target = Path::new(root).join(config["manifest"].as_str().unwrap_or(FILE));
        if target.symlink_metadata().is_ok() {
            let message = format!("there is a hash manifest already: `{}`", target.display());
            let hint = "scan without `--write-manifest` to check against it, or remove it to write another";
            return Err(Error::config(Fault::new(message).hint(hint)));
        }
        let root = if root.ends_with('/') { root.to_owned() } else { format!("{root}/") };
        Ok(Self { target, root: escape(&root), files: BTreeMap::new() })
    }

    /// Adds an image by its location and hash.
    ///
    /// # Errors
    /// A location outside `root`.
    pub fn add(&mut self, location: &str, sha256: [u8; 32]) -> Result<()> {
        let Some(name) = location.strip_prefix(&self.root) else {
            let message = format!("`{location}` is no file below `{}`: it can't be listed", self.root);
            return Err(Error::Dataset { fault: Fault::new(message).hint("leave out `--write-manifest`") });
        };
        let hash = sha256.iter().fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes everything");
            text
        });
        self.files.insert(name.to_owned(), hash);
        Ok(())
    }

    /// How many files are listed.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether no file is listed.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Writes the manifest, whole or not at all; gives its path.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn write(&self) -> Result<&Path> {
        let text = serde_json::to_vec(&Text { version: VERSION, files: &self.files }).expect("a map of strings");
        write_whole(&self.target, &text)?;
        Ok(&self.target)
    }
}

/// As datasets escape names: a backslash doubled, control characters byte by byte.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            c if c.is_control() => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| {
                write!(escaped, "\\x{byte:02x}").expect("a string takes everything");
            }),
            c => escaped.push(c),
        }
    }
    escaped
}
