//! A library file that may be loaded: its hash, its manifest, and whether this host can take it.

use super::{PluginError, elf::read_manifest};
use infomax_manifest::{ABI_VERSION, Manifest};
use sha2::{Digest, Sha256};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The libtorch that this host is built for.
pub const LIBTORCH: &str = "2.11.0";

/// A library file that was read and checked, not loaded.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Where it lies.
    pub path: PathBuf,
    /// Of the whole file, in hex.
    pub sha256: String,
    /// What it says of itself.
    pub manifest: Manifest,
}

impl Candidate {
    /// Reads and checks a file; `allow_torch_skew` names plugins whose libtorch may differ.
    ///
    /// # Errors
    /// A refusal in one line: what was found, what to do.
    pub fn read(path: &Path, allow_torch_skew: &[String]) -> Result<Self, PluginError> {
        let refuse = |(reason, hint): (String, String)| PluginError::refused(path, reason, hint);
        let metadata = fs::metadata(path).map_err(|error| refuse(unreadable(&error)))?;
        if metadata.is_dir() {
            return Err(refuse(("it is a folder".to_owned(), "name the library file inside it".to_owned())));
        }
        if !metadata.is_file() {
            // Reading a pipe would wait for ever, reading a device would not end.
            return Err(refuse(("it is a pipe or a device".to_owned(), "name a library file".to_owned())));
        }
        let bytes = fs::read(path).map_err(|error| refuse(unreadable(&error)))?;
        let manifest = read_manifest(&bytes).map_err(refuse)?;
        check(&manifest, allow_torch_skew).map_err(refuse)?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { path: path.to_owned(), sha256, manifest })
    }

    /// `name version (file)`, for messages.
    pub fn label(&self) -> String {
        format!("{} {} ({})", self.manifest.name, self.manifest.version, self.path.display())
    }
}

fn unreadable(error: &io::Error) -> (String, String) {
    match error.kind() {
        io::ErrorKind::NotFound => ("there is no such file".to_owned(), "see `infomax plugin list`".to_owned()),
        _ => (format!("it can't be read: {error}"), "check the path and its permissions".to_owned()),
    }
}

fn check(manifest: &Manifest, allow_torch_skew: &[String]) -> Result<(), (String, String)> {
    let name = &manifest.name;
    if manifest.abi[0] != ABI_VERSION[0] {
        let (theirs, ours) = (version(manifest.abi), version(ABI_VERSION));
        let reason = format!("`{name}` {} speaks interface {theirs}, this host {ours}", manifest.version);
        let hint = format!("rebuild it against infomax-sdk {}", env!("CARGO_PKG_VERSION"));
        return Err((reason, hint));
    }
    if manifest.panic != "unwind" {
        let reason = format!("`{name}` is built with `panic = \"{}\"`, which would end the host", manifest.panic);
        return Err((reason, "remove `panic` from its Cargo profile and rebuild".to_owned()));
    }
    let skewed = manifest.libtorch.as_deref().is_some_and(|theirs| minor(theirs) != minor(LIBTORCH));
    if skewed && !allow_torch_skew.contains(name) {
        let theirs = manifest.libtorch.as_deref().unwrap_or_default();
        let reason = format!("`{name}` is built against libtorch {theirs}, this host against {LIBTORCH}");
        return Err((reason, format!("rebuild it, or list `{name}` under `plugins.allow_torch_skew`")));
    }
    Ok(())
}

fn version([major, minor]: [u32; 2]) -> String {
    format!("{major}.{minor}")
}

fn minor(version: &str) -> Option<&str> {
    version.rsplit_once('.').map(|(minor, _)| minor)
}
