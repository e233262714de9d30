//! What checkpoints ask of the file system, one function an operation: each is a named place where tests make it fail or end
//! the process (`checkpoint.make`, `.write`, `.sync`, `.rename`, `.remove`, `.read`), and can be written down for tests that
//! work out what a power cut leaves.

#[cfg(feature = "faults")]
pub use recorded::{Operation, record};

use crate::{
    error::{Error, Result},
    fault_point::reach,
};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Makes a folder; one that is there is no error, one above that is not there is.
pub fn make_folder(path: &Path) -> Result<()> {
    let make = || {
        reach("checkpoint.make")?;
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
            other => other?,
        }
        #[cfg(feature = "faults")]
        done(|| Operation::MakeFolder(path.to_owned()));
        Ok(())
    };
    make().map_err(Error::io("make the folder", path))
}

/// Writes a file and waits until the disk has it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        reach("checkpoint.write")?;
        let mut file = File::create(path)?;
        write_all(&mut file, bytes)?;
        #[cfg(feature = "faults")]
        done(|| Operation::Write(path.to_owned(), bytes.to_owned()));
        reach("checkpoint.sync")?;
        file.sync_all()?;
        #[cfg(feature = "faults")]
        done(|| Operation::SyncFile(path.to_owned()));
        Ok(())
    };
    write().map_err(Error::io("write", path))
}

#[cfg(not(feature = "faults"))]
fn write_all(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}

#[cfg(feature = "faults")]
fn write_all(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    use crate::fault_point::{Cut, cut, end};
    match cut(bytes.len()) {
        None => file.write_all(bytes),
        Some(Cut::Kill(kept)) => {
            file.write_all(&bytes[..kept])?;
            end()
        }
        Some(Cut::Fail(kept)) => {
            file.write_all(&bytes[..kept])?;
            Err(io::ErrorKind::StorageFull.into())
        }
    }
}

/// Waits until the disk has a folder's names.
pub fn sync_folder(path: &Path) -> Result<()> {
    let sync = || {
        reach("checkpoint.sync")?;
        File::open(path)?.sync_all()?;
        #[cfg(feature = "faults")]
        done(|| Operation::SyncFolder(path.to_owned()));
        Ok(())
    };
    sync().map_err(Error::io("sync", path))
}

/// Renames; the disk has it after `sync_folder`.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    let rename = || {
        reach("checkpoint.rename")?;
        fs::rename(from, to)?;
        #[cfg(feature = "faults")]
        done(|| Operation::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    };
    rename().map_err(Error::io("rename a checkpoint to", to))
}

/// Removes a folder with what is in it; one that is not there is no error.
pub fn remove_folder(path: &Path) -> Result<()> {
    let remove = || {
        reach("checkpoint.remove")?;
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        #[cfg(feature = "faults")]
        done(|| Operation::Remove(path.to_owned()));
        Ok(())
    };
    remove().map_err(Error::io("remove", path))
}

/// Reads a file of a known length.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    reach("checkpoint.read")?;
    fs::read(path)
}

#[cfg(feature = "faults")]
use recorded::done;

#[cfg(feature = "faults")]
mod recorded {
    use std::{cell::RefCell, path::PathBuf};

    /// What was asked of the file system, and done.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Operation {
        MakeFolder(PathBuf),
        Write(PathBuf, Vec<u8>),
        SyncFile(PathBuf),
        SyncFolder(PathBuf),
        Rename(PathBuf, PathBuf),
        Remove(PathBuf),
    }

    thread_local! {
        static RECORD: RefCell<Option<Vec<Operation>>> = const { RefCell::new(None) };
    }

    /// Every operation of this thread during a call.
    pub fn record<T>(call: impl FnOnce() -> T) -> (T, Vec<Operation>) {
        RECORD.set(Some(Vec::new()));
        let result = call();
        (result, RECORD.take().unwrap_or_default())
    }

    pub fn done(operation: impl FnOnce() -> Operation) {
        RECORD.with_borrow_mut(|record| record.as_mut().map(|list| list.push(operation())));
    }
}
