//! The archive: an uncompressed zip with the program as JSON and tensors as raw bytes. It is read strictly: nothing is inflated, nothing
//! outside the file's own length is allocated, checksums are compared, and what is pickled is never opened.

pub mod format;

use format::{About, Exported, TensorEntry, TensorTable};
use infomax_sdk::{Error, Result};
use serde::de::DeserializeOwned;
use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};
use zip::{
    CompressionMethod, ZipArchive,
    read::{ArchiveOffset, Config},
};

/// The schema that is understood; a minor only adds.
const SCHEMA_MAJOR: u64 = 8;
/// A program's JSON beyond this is not one that an exporter wrote: a network of 1,000 nodes has 2 MB.
const MOST_JSON: u64 = 256 << 20;
const AGAIN: &str = "export it again, with torch 2.11 or newer: `infomax plugin python > infomax_export.py`";

/// An open file.
pub struct Archive {
    path: PathBuf,
    zip: ZipArchive<BufReader<File>>,
    length: u64,
    /// The folder that holds everything: the name that the file was saved under.
    root: String,
    /// Bytes of tensors read so far.
    taken: u64,
}

/// A folder of tensors.
#[derive(Clone, Copy, Debug)]
pub enum Folder {
    /// Parameters and buffers.
    Weights,
    /// Everything else: constants, buffers that are not part of the state.
    Constants,
}

impl Folder {
    fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Constants => "constants",
        }
    }
}

impl Archive {
    /// Opens a file.
    ///
    /// # Errors
    /// A file that can't be read or is no archive of torch.export.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let failed =
            |error: &dyn std::error::Error| Error::config(format!("can't read `{}`", path.display())).caused_by(error);
        let facts =
            path.metadata().map_err(|error| failed(&error).hint("`file` names what torch.export.save wrote"))?;
        let what = match facts.len() {
            _ if facts.is_dir() => Some("is a folder"),
            _ if !facts.is_file() => Some("is no regular file"),
            0 => Some("is empty"),
            _ => None,
        };
        if let Some(what) = what {
            return Err(Error::config(format!("`{}` {what}", path.display())).hint(AGAIN));
        }
        let file =
            File::open(&path).map_err(|error| failed(&error).hint("`file` names what torch.export.save wrote"))?;
        let length = file.metadata().map_err(|error| failed(&error))?.len();
        // Torch writes the end of the archive twice, for small and for large files: where it begins is not to be guessed.
        let whole = Config { archive_offset: ArchiveOffset::Known(0) };
        let zip = ZipArchive::with_config(whole, BufReader::new(file)).map_err(|error| {
            Error::config(format!("`{}` is no archive of torch.export, or is cut off", path.display()))
                .caused_by(&error)
                .hint(AGAIN)
        })?;
        let first = zip.file_names().next().and_then(Result::ok);
        let root = first.and_then(|name| name.split_once('/').map(|(root, _)| root.to_owned()));
        let root = root.ok_or_else(|| {
            Error::config(format!("`{}` is no archive of torch.export: it has no folder", path.display())).hint(AGAIN)
        })?;
        Ok(Self { path, zip, length, root, taken: 0 })
    }

    /// The file's path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The program.
    ///
    /// # Errors
    /// A file that holds none, or one of another schema.
    pub fn program(&mut self) -> Result<Exported> {
        if !self.has("models/model.json") {
            let other = self.zip.file_names().any(|name| name.is_ok_and(|name| name.ends_with("/data.pkl")));
            let what =
                if other { "it is a checkpoint of torch.save or TorchScript" } else { "it has no `models/model.json`" };
            return Err(self.refused(what).hint(AGAIN));
        }
        if let Some(order) = self.text("byteorder")?
            && order.trim() != "little"
        {
            return Err(self.refused(&format!("its numbers are `{}`-endian", order.trim())));
        }
        let text = self.member("models/model.json", MOST_JSON)?;
        // The version first: what a newer schema adds would only make the rest unreadable.
        #[derive(serde::Deserialize)]
        struct Head {
            schema_version: format::Version,
        }
        let head: Head = self.parsed("models/model.json", &text)?;
        if head.schema_version.major != SCHEMA_MAJOR {
            let format::Version { major, minor } = head.schema_version;
            let message = format!(
                "it has the schema {major}.{minor}, this plugin reads {SCHEMA_MAJOR}.x (torch 2.11 writes 8.17)"
            );
            return Err(self.refused(&message).hint("export it with a torch whose schema is 8, or update infomax"));
        }
        self.parsed("models/model.json", &text)
    }

    /// What `infomax_export` says of the file; nothing where another wrote it.
    ///
    /// # Errors
    /// A text that can't be read.
    pub fn about(&mut self) -> Result<About> {
        let Some(text) = self.text("extra/infomax.json")? else { return Ok(About::default()) };
        let about: About = self.parsed("extra/infomax.json", text.as_bytes())?;
        if about.format > 1 {
            let message = format!("its `infomax.json` has the format {}, this plugin reads 1", about.format);
            return Err(self.refused(&message).hint("update infomax"));
        }
        Ok(about)
    }

    /// The tensors of a folder, by name, in the file's order.
    ///
    /// # Errors
    /// A file without that table.
    pub fn tensors(&mut self, folder: Folder) -> Result<Vec<(String, TensorEntry)>> {
        let name = folder.name();
        let member = format!("data/{name}/model_{name}_config.json");
        if !self.has(&member) {
            return Err(self.refused(&format!("it has no `{member}`: an older torch wrote it")).hint(AGAIN));
        }
        let text = self.member(&member, MOST_JSON)?;
        let table: TensorTable = self.parsed(&member, &text)?;
        let entry = |(name, value): (String, serde_json::Value)| {
            let entry = serde_json::from_value(value).map_err(|error| {
                self.refused(&format!("`{member}` says nothing usable of `{name}`")).caused_by(&error).hint(AGAIN)
            })?;
            Ok((name, entry))
        };
        table.config.into_iter().map(entry).collect()
    }

    /// The bytes of one file of tensors.
    ///
    /// # Errors
    /// A missing or damaged one.
    pub fn bytes(&mut self, folder: Folder, file: &str) -> Result<Vec<u8>> {
        let is_plain = !file.is_empty() && file.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_plain {
            return Err(self.refused(&format!("`{file}` is no name of a file of tensors")));
        }
        let bytes = self.member(&format!("data/{}/{file}", folder.name()), self.length)?;
        self.taken += bytes.len() as u64;
        if self.taken > self.length {
            return Err(self.refused("its tensors overlap: together they are longer than the file"));
        }
        Ok(bytes)
    }

    fn has(&self, member: &str) -> bool {
        self.zip.index_for_name(&format!("{}/{member}", self.root)).is_some()
    }

    fn text(&mut self, member: &str) -> Result<Option<String>> {
        if !self.has(member) {
            return Ok(None);
        }
        let bytes = self.member(member, MOST_JSON)?;
        String::from_utf8(bytes).map(Some).map_err(|_| self.refused(&format!("`{member}` is no text")))
    }

    fn member(&mut self, member: &str, most: u64) -> Result<Vec<u8>> {
        let name = format!("{}/{member}", self.root);
        let refused = |what: String| Error::config(format!("`{}`: {what}", self.path.display())).hint(AGAIN);
        let missing = |error: zip::result::ZipError| refused(format!("`{member}` can't be read")).caused_by(&error);
        let mut entry = self.zip.by_name(&name).map_err(missing)?;
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
            return Err(refused(format!("`{member}` is compressed, which torch.export.save never does")));
        }
        let size = entry.size();
        if size > most.min(self.length) || entry.compressed_size() != size {
            return Err(refused(format!("`{member}` says it has {size} bytes, which can't be")));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        entry.read_to_end(&mut bytes).map_err(|error| refused(format!("`{member}` is damaged")).caused_by(&error))?;
        if bytes.len() as u64 != size {
            return Err(refused(format!("`{member}` is cut off: {} of {size} bytes", bytes.len())));
        }
        Ok(bytes)
    }

    fn parsed<T: DeserializeOwned>(&self, member: &str, text: &[u8]) -> Result<T> {
        serde_json::from_slice(text).map_err(|error| {
            let refused = self.refused(&format!("`{member}` holds what this plugin doesn't know")).caused_by(&error);
            refused.hint("components are exported by torch.export.export and torch.export.save, with neither custom objects nor complex numbers")
        })
    }

    /// The error for what the file holds.
    pub fn refused(&self, what: &str) -> Error {
        Error::config(format!("`{}`: {what}", self.path.display()))
    }
}
