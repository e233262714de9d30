//! Signals: the first asks for an end after the step at hand; another one that comes later ends the process at once.
//!
//! Slurm, systemd and a terminal send a signal to every process of a job, and launchers and drivers pass theirs on: what comes
//! within some seconds of the first is the same request.

use crate::error::{Error, Result};
use libc::{SIGINT, SIGTERM, SIGUSR1, c_int};
use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// What asks for an end.
const REQUESTS: [c_int; 3] = [SIGINT, SIGTERM, SIGUSR1];
/// Exit code of a process that a second request ended.
const AT_ONCE: c_int = 130;
/// How long after the first signal another one is the same request.
const SAME_REQUEST: Duration = Duration::from_secs(5);
const TOLD: &[u8] = b"asked to end: finishing the step and saving; asking again in some seconds ends at once\n";

/// When this process was asked to end first, by [`milliseconds`]; 0 before.
static FIRST: AtomicU64 = AtomicU64::new(0);
/// Whether this process talks to the user.
static TELLS: AtomicBool = AtomicBool::new(false);

/// Whether an end was asked for.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    listens: bool,
}

impl Signals {
    /// Listens to SIGINT, SIGTERM and SIGUSR1. `tells`: this process talks to the user, who is told that the request was heard.
    ///
    /// A thread of its own hears them: they are held in the calling thread and in those that it begins from now on, so that none
    /// that computes is ever interrupted. oneDNN's products in f32 take memory of the heap for their stack: a handler that ran
    /// there would write over what lies before it.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(tells: bool) -> Result<Self> {
        static HEARS: OnceLock<()> = OnceLock::new();
        let failed = || Error::io("listen to signals of", Path::new("/proc/self"));
        TELLS.fetch_or(tells, Ordering::Relaxed);
        for signal in REQUESTS {
            // SAFETY: all zeros is a valid `sigaction`, filled in before its use; the handler does what is allowed in one.
            let set = unsafe {
                let mut own: libc::sigaction = std::mem::zeroed();
                own.sa_sigaction = heard as *const () as usize;
                // A thread that somebody else began may let signals through: they are heard on its other stack, if it has one.
                own.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
                libc::sigaction(signal, &raw const own, std::ptr::null_mut())
            };
            if set != 0 {
                return Err(failed()(std::io::Error::last_os_error()));
            }
        }
        mask(libc::SIG_BLOCK);
        if HEARS.get().is_none() {
            let hear = || {
                mask(libc::SIG_UNBLOCK);
                loop {
                    // SAFETY: waits for a signal and touches no memory.
                    unsafe { libc::pause() };
                }
            };
            thread::Builder::new().name("signals".to_owned()).spawn(hear).map_err(failed())?;
            let _ = HEARS.set(());
        }
        Ok(Self { listens: true })
    }

    /// Whether an end was asked for.
    pub fn asked(&self) -> bool {
        self.listens && FIRST.load(Ordering::Relaxed) != 0
    }
}

extern "C" fn heard(_: c_int) {
    let now = milliseconds();
    match FIRST.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) if TELLS.load(Ordering::Relaxed) => {
            // SAFETY: `write` may be called in a signal handler; the text is static.
            unsafe { libc::write(libc::STDERR_FILENO, TOLD.as_ptr().cast(), TOLD.len()) };
        }
        Err(then) if u128::from(now.saturating_sub(then)) > SAME_REQUEST.as_millis() => {
            // SAFETY: ends the process at once; checkpoints are whole or not there.
            unsafe { libc::_exit(AT_ONCE) };
        }
        _ => {}
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

/// Holds requests to end in this thread, or lets those through that were held.
fn mask(how: c_int) {
    // SAFETY: the set is filled before it is used, and lives during the calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in REQUESTS {
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
