//! Named places where tests make an operation fail, stop or wait. Without the feature `faults` they are nothing; with it they do
//! nothing unless the environment says so:
//!
//! `INFOMAX_FAULT=site@n:action`: at the n-th operation of a site (from 1; `*`: each). Actions: `error`, `full` (no space left),
//! `kill` (as `kill -9`), `sleep=MS`, and `short` (a write that ends half way, with an error). `checkpoint.bytes@n:kill` ends the process
//! once n bytes of checkpoints are written. `INFOMAX_FAULT_LOG=file` adds a line `site` an operation.

use std::io;

/// An operation of a site begins.
///
/// # Errors
/// Those that the environment asks for.
#[cfg(not(feature = "faults"))]
pub fn reach(_: &'static str) -> io::Result<()> {
    Ok(())
}

#[cfg(feature = "faults")]
pub use active::{Cut, cut, end, reach};

#[cfg(feature = "faults")]
mod active {
    use super::io;
    use std::{
        collections::BTreeMap,
        env,
        fs::OpenOptions,
        io::Write,
        sync::{LazyLock, Mutex},
        thread,
        time::Duration,
    };

    /// How a write ends early.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Cut {
        /// After this many of its bytes the process ends.
        Kill(usize),
        /// After this many of its bytes it fails.
        Fail(usize),
    }

    struct Planned {
        site: String,
        /// None: each.
        number: Option<u64>,
        action: String,
    }

    static PLANNED: LazyLock<Option<Planned>> = LazyLock::new(|| {
        let text = env::var("INFOMAX_FAULT").ok()?;
        let (site, rest) = text.split_once('@')?;
        let (number, action) = rest.split_once(':')?;
        Some(Planned { site: site.to_owned(), number: number.parse().ok(), action: action.to_owned() })
    });
    static COUNTS: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

    /// Counts an operation; what is planned for it.
    fn count(site: &'static str, by: u64) -> (u64, Option<&'static str>) {
        let mut counts = COUNTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = counts.entry(site).or_insert(0);
        *count += by;
        let planned = PLANNED.as_ref().filter(|planned| planned.site == site);
        let due = |planned: &&Planned| planned.number.is_none_or(|n| (*count - by..*count).contains(&(n - 1)));
        (*count, planned.filter(due).map(|planned| planned.action.as_str()))
    }

    /// An operation of a site begins.
    ///
    /// # Errors
    /// Those that the environment asks for.
    pub fn reach(site: &'static str) -> io::Result<()> {
        if let Some(path) = env::var_os("INFOMAX_FAULT_LOG") {
            let mut log = OpenOptions::new().append(true).create(true).open(path)?;
            writeln!(log, "{site}")?;
        }
        match count(site, 1).1 {
            None | Some("short") => Ok(()),
            Some("full") => Err(io::ErrorKind::StorageFull.into()),
            Some("kill") => end(),
            Some(action) => match action.strip_prefix("sleep=").and_then(|ms| ms.parse().ok()) {
                Some(ms) => {
                    thread::sleep(Duration::from_millis(ms));
                    Ok(())
                }
                None => Err(io::Error::other("a fault that a test asked for")),
            },
        }
    }

    /// Whether a write of some bytes ends early.
    pub fn cut(bytes: usize) -> Option<Cut> {
        let (count, action) = count("checkpoint.bytes", bytes as u64);
        let at = PLANNED.as_ref().and_then(|planned| planned.number).unwrap_or(1) - 1;
        let within = at.saturating_sub(count - bytes as u64) as usize;
        match action? {
            "kill" => Some(Cut::Kill(within)),
            _ => Some(Cut::Fail(within)),
        }
    }

    /// Ends the process as `kill -9` does.
    pub fn end() -> ! {
        // SAFETY: `kill` has no preconditions; the signal can't be caught.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        loop {
            thread::sleep(Duration::from_secs(1));
        }
    }
}
