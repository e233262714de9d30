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
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
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
        mask(libc::SIG_UNBLOCK);
        Ok(Self(first))
    }

    /// Whether an end was asked for.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

/// Has a child that will listen hear from its first moment on: what comes before it listens waits until then.
pub fn held_for(command: &mut Command) {
    // SAFETY: between fork and exec the closure makes one system call and touches no memory of other threads.
    unsafe {
        command.pre_exec(|| {
            mask(libc::SIG_BLOCK);
            Ok(())
        });
    }
}

/// Holds requests to end, or lets those through that were held by whoever started this process, or by the binary before its
/// libraries were loaded.
fn mask(how: libc::c_int) {
    // SAFETY: the set is filled before it is used, and lives during the calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [SIGINT, SIGTERM, SIGUSR1] {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut());
    }
}

/// Of a clock that only goes on, and never 0.
fn milliseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the place is valid for writing; the call is allowed in a signal handler.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000).max(1)
}
