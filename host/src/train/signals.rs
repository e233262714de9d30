//! Signals: the first asks for an end after the step at hand; another one that comes later ends the process at once.
//!
//! Slurm, systemd and a terminal send a signal to every process of a job, and launchers and drivers pass theirs on: what comes
//! within some seconds of the first is the same request.

use crate::error::{Error, Result};
use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGUSR1},
    low_level,
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Exit code of a process that a second request ended.
const AT_ONCE: i32 = 130;
/// How long after the first signal another one is the same request.
const SAME_REQUEST: Duration = Duration::from_secs(5);
const TOLD: &[u8] = b"asked to end: finishing the step and saving; asking again in some seconds ends at once\n";

/// Whether an end was asked for.
#[derive(Clone, Debug, Default)]
pub struct Signals(Arc<AtomicU64>);

impl Signals {
    /// Listens to SIGINT, SIGTERM and SIGUSR1. `tells`: this process talks to the user, who is told that the request was heard.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(tells: bool) -> Result<Self> {
        let first = Arc::new(AtomicU64::new(0));
        for signal in [SIGINT, SIGTERM, SIGUSR1] {
            let first = first.clone();
            let heard = move || {
                let now = milliseconds();
                match first.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) if tells => {
                        // SAFETY: `write` may be called in a signal handler; the text is static.
                        unsafe { libc::write(libc::STDERR_FILENO, TOLD.as_ptr().cast(), TOLD.len()) };
                    }
                    Err(then) if u128::from(now.saturating_sub(then)) > SAME_REQUEST.as_millis() => {
                        low_level::exit(AT_ONCE);
                    }
                    _ => {}
                }
            };
            // SAFETY: the handler uses an atomic number, a clock, `write` and `_exit`, all of which are allowed in one.
            let registered = unsafe { low_level::register(signal, heard) };
            registered.map_err(Error::io("listen to signals of", Path::new("/proc/self")))?;
        }
        Ok(Self(first))
    }

    /// Whether an end was asked for.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

/// Of a clock that only goes on, and never 0.
fn milliseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the place is valid for writing; the call is allowed in a signal handler.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000).max(1)
}
