//! A copy of a library in memory, byte for byte what was hashed and checked: the file may be rebuilt or truncated while
//! the library is loaded from the copy, and the copy is what a run keeps.

use super::{Candidate, PluginError};
use sha2::{Digest, Sha256};
use std::{
    ffi::CString,
    fs::{self, File},
    io::{self, Write},
    os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// The kernel refuses to seal pages that it is still putting in their lists itself, which takes long where programs of a higher
/// priority keep the processors.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A sealed copy, never closed: the linker knows a library by its path, and a later copy under the same number would be
/// taken for this one.
#[derive(Clone, Copy, Debug)]
pub(super) struct PrivateCopy(RawFd);

impl PrivateCopy {
    /// Reads the file again; a file that is no longer the one that was checked is refused.
    ///
    /// # Errors
    /// What the system says, or that the file changed.
    pub fn of(candidate: &Candidate) -> Result<Self, PluginError> {
        let refuse = |reason: String, hint: &str| PluginError::refused(&candidate.path, reason, hint);
        let bytes = fs::read(&candidate.path)
            .map_err(|error| refuse(format!("it can't be read: {error}"), "check the path and its permissions"))?;
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if hash != candidate.sha256 {
            return Err(refuse("it changed after it was checked".to_owned(), "run the command again"));
        }
        let failed = |error: io::Error| {
            let is_busy = error.kind() == io::ErrorKind::ResourceBusy;
            let hint =
                if is_busy { "run it again, with no program of a higher priority beside" } else { "free some memory" };
            refuse(format!("no copy of it can be made in memory: {error}"), hint)
        };
        sealed(&candidate.path, &bytes).map(|file| Self(file.into_raw_fd())).map_err(failed)
    }

    /// Where the copy can be opened, in this process only.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0))
    }
}

fn sealed(named_after: &Path, bytes: &[u8]) -> io::Result<File> {
    let name = named_after.file_name().unwrap_or_default().to_string_lossy().chars().take(200).collect::<String>();
    let name = CString::new(name).map_err(io::Error::other)?;
    // SAFETY: the name is NUL-terminated and outlives the call.
    let descriptor = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made above and has no other owner.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    file.write_all(bytes)?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    let since = Instant::now();
    // SAFETY: a call on an own descriptor.
    while unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::ResourceBusy || since.elapsed() > LONGEST_WAIT {
            return Err(error);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(file)
}
