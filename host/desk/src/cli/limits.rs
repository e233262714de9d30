//! What the system allows this process: raised where it may be, told where it is too little.

use crate::error::{Error, Fault, Result};

/// Open files without which a run can't be begun: libraries, plugins, the dataset's, the run's.
const LEAST_FILES: u64 = 64;

/// Raises the limit on open files to what the system lets a process have, and makes a file that may not grow an error to tell.
///
/// # Errors
/// Too few open files.
pub fn prepare() -> Result<()> {
    // SAFETY: no handler is installed, only the default action (to end the process) taken away.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for writing.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Ok(()); // what is not known is found when a file can't be opened
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: `limit` is valid for reading.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
    if limit.rlim_cur >= LEAST_FILES {
        return Ok(());
    }
    let message = format!("this process may have {} open files, a run needs {LEAST_FILES}", limit.rlim_cur);
    Err(Error::Limit { fault: Fault::new(message).hint(format!("allow more: `ulimit -n {LEAST_FILES}`")) })
}
