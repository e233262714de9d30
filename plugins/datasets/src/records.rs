//! A file of records of one length, read one at a time by position: any number of threads, no memory held.

use crate::names;
use infomax_sdk::{Error, Result};
use std::{
    fs::{File, Metadata},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

/// A file of records of one length.
#[derive(Debug)]
pub(crate) struct Records {
    file: File,
    path: PathBuf,
    /// Where the first record begins.
    start: u64,
    length: usize,
    count: u64,
    state: String,
}

impl Records {
    /// Opens a file that must hold exactly `published` records, or at most that many where a subset is allowed.
    pub fn open(path: &Path, length: usize, published: u64, allow_subset: bool) -> Result<Self> {
        let shown = names::path(path);
        let fail = |cause| Error::data(format!("can't open `{shown}`")).caused_by(&cause);
        let metadata = path.metadata().map_err(fail)?; // before opening: a FIFO would block
        if !metadata.is_file() {
            return Err(Error::data(format!("`{shown}` is no regular file")));
        }
        let file = File::open(path).map_err(fail)?;
        let bytes = metadata.len();
        let expected = published * length as u64;
        let fits =
            if allow_subset { bytes > 0 && bytes <= expected && bytes % length as u64 == 0 } else { bytes == expected };
        if !fits {
            let at_most = if allow_subset { "at most " } else { "" };
            return Err(Error::data(format!(
                "`{shown}` has {bytes} bytes, expected {at_most}{published} records of {length} bytes = {expected}"
            ))
            .hint("copy or unpack the file again"));
        }
        let (count, state) = (bytes / length as u64, state_of(&metadata));
        Ok(Self { file, path: path.to_owned(), start: 0, length, count, state })
    }

    /// Records in the middle of a file.
    pub fn within(path: &Path, start: u64, length: usize, count: u64) -> Result<Self> {
        let fail = |cause| Error::data(format!("can't open `{}`", names::path(path))).caused_by(&cause);
        let file = File::open(path).map_err(fail)?;
        let state = state_of(&file.metadata().map_err(fail)?);
        Ok(Self { file, path: path.to_owned(), start, length, count, state })
    }

    /// Another text as soon as the file is written anew.
    pub fn state(&self) -> &str {
        &self.state
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `file.bin, record 17`.
    pub fn locate(&self, index: u64) -> String {
        format!("{}, record {index}", names::path(&self.path))
    }

    /// A record from its byte `offset` on.
    pub fn read(&self, index: u64, offset: usize, bytes: &mut [u8]) -> Result<()> {
        if index >= self.count || offset + bytes.len() > self.length {
            return Err(Error::data(format!("{}: there are {} records", self.locate(index), self.count)));
        }
        let position = self.start + index * self.length as u64 + offset as u64;
        self.file.read_exact_at(bytes, position).map_err(|cause| {
            Error::data(format!("can't read {}, byte {position}", self.locate(index))).caused_by(&cause)
        })
    }

    /// One byte of every record, each within `low..=high`, minus `low`.
    pub fn labels(&self, offset: usize, low: u8, high: u8) -> Result<Vec<u8>> {
        let mut labels = Vec::with_capacity(self.count as usize);
        for index in 0..self.count {
            let mut label = [0];
            self.read(index, offset, &mut label)?;
            if !(low..=high).contains(&label[0]) {
                let classes = high - low + 1;
                return Err(Error::data(format!(
                    "{}: label `{}` lies outside {low} to {high}, there are {classes} classes",
                    self.locate(index),
                    label[0]
                ))
                .hint("copy or unpack the file again"));
            }
            labels.push(label[0] - low);
        }
        Ok(labels)
    }
}

/// Size and times of a file.
pub(crate) fn state_of(metadata: &Metadata) -> String {
    let (content, entry) = ((metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec()));
    format!("{} {content:?} {entry:?}", metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d14_every_wrong_length_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("two.bin");
        let record = 3073;
        let bytes = vec![1; 2 * record + 40];
        let mut refused = 0;
        for length in (0..2 * record).chain(2 * record + 1..bytes.len()) {
            std::fs::write(&path, &bytes[..length]).expect("written");
            let error = Records::open(&path, record, 2, false).expect_err("wrong length");
            assert!(error.message.contains(&format!("has {length} bytes")) && error.message.contains("= 6146"));
            refused += 1;
        }
        assert_eq!(refused, 2 * record + 39);
        std::fs::write(&path, &bytes[..2 * record]).expect("written");
        assert_eq!(Records::open(&path, record, 2, false).expect("sound").count(), 2);
        assert_eq!(Records::open(&path, record, u64::from(u32::MAX), true).expect("a subset").count(), 2);
    }

    #[test]
    fn d15_every_label_out_of_range_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("batch.bin");
        let mut refused = 0;
        for label in 0..=255u8 {
            let mut bytes = vec![3; 20];
            bytes[10] = label;
            std::fs::write(&path, &bytes).expect("written");
            match Records::open(&path, 10, 2, false).expect("sound").labels(0, 0, 9) {
                Ok(labels) => assert_eq!(labels, [3, label]),
                Err(error) => {
                    refused += 1;
                    let end = format!("record 1: label `{label}` lies outside 0 to 9, there are 10 classes");
                    assert!(error.message.ends_with(&end), "{error}");
                }
            }
        }
        assert_eq!(refused, 246);
    }

    #[test]
    fn d12_a_fifo_is_never_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe.bin");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
        let error = Records::open(&path, 10, 2, false).expect_err("a FIFO");
        assert!(error.message.ends_with("is no regular file"));
    }
}
