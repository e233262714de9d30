//! The archive: a `.tar.gz` of plain files side by side. What is read is bounded, and no name leads anywhere.

use super::refused;
use crate::{
    error::{Error, Fault, Result},
    plugin::Candidate,
};
use flate2::{Compression, GzBuilder, read::GzDecoder};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// What may stand in one archive, unpacked.
const MOST_BYTES: u64 = 1 << 30;
const MOST_FILES: usize = 32;
const MANIFEST: &str = "manifest.json";
const README: &str = "README.md";

/// How files that hold a licence begin.
pub const LICENCE_NAMES: [&str; 3] = ["LICENSE", "LICENCE", "COPYING"];

/// What an archive holds: names without folders, with their bytes.
#[derive(Debug, Default)]
pub struct Contents {
    pub files: Vec<(String, Vec<u8>)>,
}

impl Contents {
    /// The library among the files.
    pub fn library(&self) -> Option<&(String, Vec<u8>)> {
        self.files.iter().find(|(name, _)| name.ends_with(".so"))
    }

    /// What stands beside it.
    pub fn beside(&self) -> impl Iterator<Item = &(String, Vec<u8>)> {
        self.files.iter().filter(|(name, _)| !name.ends_with(".so"))
    }
}

/// The archive of a library, and its name; the same bytes for the same files. `texts` are the licence's and README's files.
///
/// # Errors
/// Files that can't be read, or a plugin that nobody may use.
pub fn pack(library: &Candidate, texts: &[PathBuf]) -> Result<(String, Vec<u8>)> {
    let is_licence =
        |path: &&PathBuf| LICENCE_NAMES.iter().any(|name| file_name(path).to_uppercase().starts_with(name));
    let manifest = &library.manifest;
    if !texts.iter().any(|path| is_licence(&path)) && manifest.licence.is_empty() {
        let fault = Fault::new(format!("`{}` says nowhere what others may do with it", manifest.name));
        return Err(Error::config(fault.hint("set `license` in its Cargo.toml, or name a file: `--licence LICENSE`")));
    }
    if !texts.iter().any(|path| file_name(path) == README) {
        let fault = Fault::new(format!("there is no `{README}` to pack"));
        return Err(Error::config(fault.hint("write one, or name it: `--readme README.md`")));
    }
    let mut tar = tar::Builder::new(GzBuilder::new().mtime(0).write(Vec::new(), Compression::best()));
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_cksum();
        tar.append_data(&mut header, name, bytes).map_err(Error::io("pack", name))
    };
    add(MANIFEST, &serde_json::to_vec_pretty(manifest).expect("a manifest is plain data"))?;
    for path in texts {
        add(&file_name(path), &fs::read(path).map_err(Error::io("read", path))?)?;
    }
    let bytes = fs::read(&library.path).map_err(Error::io("read", &library.path))?;
    if crate::hash::sha256(&bytes) != library.sha256 {
        return Err(refused(&library.path.display().to_string(), "it changed after it was checked", "run it again"));
    }
    add(&file_name(&library.path), &bytes)?;
    let name = format!("{}-{}-{}.tar.gz", manifest.name, manifest.version, manifest.target);
    let packed = tar.into_inner().and_then(|gz| gz.finish()).map_err(Error::io("pack", &name))?;
    Ok((name, packed))
}

/// Unpacks an archive in memory; `from` is where it comes from.
///
/// # Errors
/// An archive that is damaged or too large, or has in it what none should have.
pub fn unpack(from: &str, packed: &[u8]) -> Result<Contents> {
    let damaged = |error: std::io::Error| refused(from, format!("the archive is damaged: {error}"), "fetch it again");
    let bad = |reason: String| refused(from, reason, "it was not made by `infomax plugin pack`: don't use it");
    let mut archive = tar::Archive::new(GzDecoder::new(packed).take(MOST_BYTES));
    let mut contents = Contents::default();
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        let name = plain_name(&path).ok_or_else(|| bad(format!("`{}` would lead elsewhere", path.display())))?;
        if !entry.header().entry_type().is_file() {
            return Err(bad(format!("`{name}` is no plain file")));
        }
        if contents.files.iter().any(|(other, _)| *other == name) {
            return Err(bad(format!("`{name}` is there twice")));
        }
        if contents.files.len() == MOST_FILES || entry.size() > MOST_BYTES {
            return Err(bad(format!("it holds more than {MOST_FILES} files, or one of more than {MOST_BYTES} bytes")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(damaged)?;
        contents.files.push((name, bytes));
    }
    if contents.files.iter().filter(|(name, _)| name.ends_with(".so")).count() != 1 {
        return Err(bad("it does not hold one library".to_owned()));
    }
    Ok(contents)
}

/// A path that is a name and nothing else.
fn plain_name(path: &Path) -> Option<String> {
    let name = path.to_str()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (name.len() <= 200 && !name.starts_with('.') && !name.is_empty() && name.bytes().all(is_plain))
        .then(|| name.to_owned())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
