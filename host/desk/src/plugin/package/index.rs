//! An index: `index.json` in a folder of archives, on a disk or behind a URL. Nothing runs on the other side.

use super::{TARGET, not_found, refused, remote};
use crate::{
    error::{Error, Result},
    hash::sha256,
    plugin::Candidate,
    record::write_whole,
};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fs, path::Path};

const FILE: &str = "index.json";
/// Bytes of an index: ten thousand entries would fit.
const MOST_BYTES: u64 = 4 << 20;

/// The archives of a folder.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Index {
    pub plugins: Vec<Entry>,
}

/// One archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub name: String,
    pub version: String,
    pub target: String,
    pub licence: String,
    /// The boundary's version.
    pub abi: [u32; 2],
    /// None where it uses no tensors of libtorch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub libtorch: Option<String>,
    /// `loss amdim`, …
    pub components: Vec<String>,
    /// Beside the index.
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
}

impl Entry {
    /// The entry of an archive.
    pub fn new(library: &Candidate, file: &str, packed: &[u8]) -> Self {
        let manifest = library.manifest.clone();
        let components = manifest.components.iter().map(|c| format!("{} {}", c.kind, c.name)).collect();
        Self {
            name: manifest.name,
            version: manifest.version,
            target: manifest.target,
            licence: manifest.licence,
            abi: manifest.abi,
            libtorch: manifest.libtorch,
            components,
            file: file.to_owned(),
            bytes: packed.len() as u64,
            sha256: sha256(packed),
        }
    }
}

impl Index {
    /// The index of a folder; empty where it has none.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        Self::parse(&path.display().to_string(), &bytes)
    }

    /// Puts an archive into a folder and into its index, in place of one of the same name, version and target.
    ///
    /// # Errors
    /// Files that can't be read or written.
    pub fn publish(folder: &Path, entry: Entry, packed: &[u8]) -> Result<()> {
        fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
        let mut index = Self::of_folder(folder)?;
        write_whole(&folder.join(&entry.file), packed)?;
        index.plugins.retain(|other| other.file != entry.file);
        index.plugins.push(entry);
        index.plugins.sort_by(|a, b| a.file.cmp(&b.file));
        write_whole(&folder.join(FILE), &serde_json::to_vec_pretty(&index).expect("an index is plain data"))
    }

    /// Fetches what is asked for: a file, or `name` (`name@version`) out of the index in a folder or behind a URL. Gives where it
    /// comes from, and its bytes, which are those of the index.
    ///
    /// # Errors
    /// Nothing that is asked for, or other bytes than the index promises.
    pub fn fetch(source: &str, wanted: Option<&str>) -> Result<(String, Vec<u8>)> {
        if source.starts_with("http://") || source.starts_with("https://") {
            let base = source.trim_end_matches(FILE).trim_end_matches('/');
            if base.ends_with(".tar.gz") {
                let hint = "give the folder that the archive lies in, so that its index tells the hash";
                return Err(refused(base, "a single file behind a URL has no hash to check", hint));
            }
            let from = format!("{base}/{FILE}");
            let index = Self::parse(&from, &remote::get(&from, MOST_BYTES)?)?;
            let entry = index.choose(&from, wanted)?;
            let from = format!("{base}/{}", entry.file);
            return checked(entry, remote::get(&from, entry.bytes)?, from);
        }
        let path = Path::new(source);
        if path.is_dir() {
            let index = Self::of_folder(path)?;
            let entry = index.choose(source, wanted)?;
            let file = path.join(&entry.file);
            let bytes = fs::read(&file).map_err(Error::io("read", &file))?;
            return checked(entry, bytes, file.display().to_string());
        }
        Ok((source.to_owned(), fs::read(path).map_err(Error::io("read", path))?))
    }

    fn parse(from: &str, bytes: &[u8]) -> Result<Self> {
        let index: Self = serde_json::from_slice(bytes).map_err(|error| {
            refused(from, format!("the index can't be read: {error}"), "was it made by `plugin pack`?")
        })?;
        let leads_away = |entry: &&Entry| entry.file.contains(['/', '\\']) || entry.file.starts_with('.');
        match index.plugins.iter().find(leads_away) {
            Some(entry) => Err(refused(from, format!("`{}` would lead elsewhere", entry.file), "don't use this index")),
            None => Ok(index),
        }
    }

    /// The newest archive of a name for this host.
    fn choose(&self, from: &str, wanted: Option<&str>) -> Result<&Entry> {
        let (name, version) = match wanted.map(|wanted| wanted.split_once('@').unwrap_or((wanted, ""))) {
            Some((name, version)) => (Some(name), Some(version).filter(|version| !version.is_empty())),
            None => (None, None),
        };
        let is_named = |entry: &&Entry| {
            let short = entry.name.strip_prefix("infomax-plugin-");
            name.is_none_or(|name| entry.name == name || short == Some(name))
        };
        let named: Vec<&Entry> = self.plugins.iter().filter(is_named).collect();
        let fits = |entry: &&&Entry| entry.target == TARGET && version.is_none_or(|version| entry.version == version);
        let fitting: Vec<&Entry> = named.iter().filter(fits).copied().collect();
        let label = |entry: &Entry| format!("{} {} for {}", entry.name, entry.version, entry.target);
        let Some(newest) = fitting.iter().copied().max_by(|a, b| by_version(&a.version, &b.version)) else {
            let all = if named.is_empty() { self.plugins.iter().collect() } else { named };
            let there: Vec<String> = all.into_iter().map(label).collect();
            let hint =
                if there.is_empty() { "it is empty".to_owned() } else { format!("there are: {}", there.join(", ")) };
            let wanted = wanted.unwrap_or("a plugin");
            return Err(not_found(format!("`{from}` has no `{wanted}` for {TARGET}"), hint));
        };
        if let Some(other) = fitting.iter().find(|entry| entry.name != newest.name) {
            let message = format!("`{from}` has several plugins, `{}` and `{}` among them", newest.name, other.name);
            return Err(not_found(message, "say which one: `infomax plugin add SOURCE NAME`".to_owned()));
        }
        Ok(newest)
    }
}

fn checked(entry: &Entry, bytes: Vec<u8>, from: String) -> Result<(String, Vec<u8>)> {
    let hash = sha256(&bytes);
    if hash == entry.sha256 && bytes.len() as u64 == entry.bytes {
        return Ok((from, bytes));
    }
    let promised = entry.sha256.get(..12).unwrap_or("?");
    let reason = format!(
        "the index promises {} bytes and the hash {promised}…, these are {} and {}…",
        entry.bytes,
        bytes.len(),
        &hash[..12]
    );
    Err(refused(&from, reason, "fetch it again; if it stays so, somebody has changed it"))
}

/// `1.10.0` after `1.9.0`, `1.0.0` after `1.0.0-beta`.
fn by_version(a: &str, b: &str) -> Ordering {
    let parts = |version: &str| {
        let (numbers, pre) = version.split_once('-').map_or((version, None), |(n, pre)| (n, Some(pre.to_owned())));
        let numbers: Vec<u64> = numbers.split('.').map(|part| part.parse().unwrap_or(0)).collect();
        (numbers, pre.is_none(), pre)
    };
    parts(a).cmp(&parts(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_order() {
        for (less, more) in [("1.9.0", "1.10.0"), ("1.0.0-beta", "1.0.0"), ("0.9.9", "1.0.0"), ("1.0.0-a", "1.0.0-b")] {
            assert_eq!(by_version(less, more), Ordering::Less, "{less} {more}");
        }
    }
}
