//! Ends a run whose component does not come back from a call: a thread can't be ended, so the process is, after a word on where
//! the call hangs. Time in which the process did not run does not count.

use super::under_way::{Call, current};
use crate::{
    distributed::{Report, step_under_way},
    error::Fault,
};
use std::{
    backtrace::Backtrace,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

const SLICE: Duration = Duration::from_millis(100);
/// The exit code.
const PLUGIN: u8 = 3;
/// Frames of the stack that are told.
const FRAMES: usize = 12;

/// Milliseconds that a call may take; 0 while nothing is watched.
static LIMIT: AtomicU64 = AtomicU64::new(0);
/// The thread that trains.
static THREAD: AtomicU64 = AtomicU64::new(0);
static RANK: AtomicU64 = AtomicU64::new(0);
static STACK: OnceLock<Backtrace> = OnceLock::new();

/// Watches this thread's calls from here on; without a limit nothing is.
pub(super) fn start(limit: Option<Duration>, rank: usize) {
    // SAFETY: asks for the thread's number.
    THREAD.store(unsafe { libc::gettid() } as u64, Ordering::Relaxed);
    RANK.store(rank as u64, Ordering::Relaxed);
    LIMIT.store(limit.map_or(0, |limit| limit.as_millis() as u64), Ordering::Relaxed);
    static STARTED: OnceLock<bool> = OnceLock::new();
    let started = STARTED.get_or_init(|| thread::Builder::new().name("watchdog".to_owned()).spawn(watch).is_ok());
    if !started {
        log::warn!("no thread can be started to watch the components: one that hangs would hang the run");
    }
}

/// Watches nothing any more.
pub(super) fn stop() {
    LIMIT.store(0, Ordering::Relaxed);
}

fn watch() {
    let (mut seen, mut waited) = (0, Duration::ZERO);
    loop {
        thread::sleep(SLICE);
        let limit = Duration::from_millis(LIMIT.load(Ordering::Relaxed));
        match current() {
            Some((call, number)) if number == seen && !limit.is_zero() => {
                waited += SLICE;
                if waited >= limit {
                    end(call, limit);
                }
            }
            found => (seen, waited) = (found.map_or(0, |(_, number)| number), Duration::ZERO),
        }
    }
}

fn end(call: &Call, limit: Duration) -> ! {
    let message = format!("{} has not come back from `{}` for {} s", call.component, call.name, limit.as_secs());
    let step = step_under_way().map(|step| format!("step {step}, ")).unwrap_or_default();
    let mut place = format!("{step}rank {}, {}", RANK.load(Ordering::Relaxed), call.library);
    let stack = stack();
    if !stack.is_empty() {
        place += &format!("\n  stack, the innermost first:\n{}", stack.join("\n"));
    }
    let hint = "it hangs: tell the plugin's author; saved checkpoints stay valid, go on with `--resume`. If it only takes long, \
                raise `plugins.call_timeout_seconds`";
    let fault = Fault::new(message).at(place).hint(hint);
    eprintln!();
    if !Report::of_fault(PLUGIN, fault.clone()).deliver() {
        eprintln!("error: {fault}");
    }
    log::info!("error: {fault}");
    // SAFETY: ends the process at once, since its training thread can't be; checkpoints are whole or not there.
    unsafe { libc::_exit(PLUGIN.into()) }
}

/// Where the training thread is, as far as the libraries' symbols tell.
fn stack() -> Vec<String> {
    extern "C" fn capture(_: libc::c_int) {
        // It allocates, which a handler should not; the process ends whether or not this comes back.
        let _ = STACK.set(Backtrace::force_capture());
    }
    let signal = libc::SIGRTMIN() + 7; // used by nobody else here
    // SAFETY: all zeros is a valid `sigaction`, filled in below; the signal goes to a thread of this process.
    unsafe {
        let mut own: libc::sigaction = std::mem::zeroed();
        own.sa_sigaction = capture as *const () as usize;
        // A product of oneDNN's may have taken memory of the heap for its stack; the process's first thread has another with room.
        own.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(signal, &raw const own, std::ptr::null_mut());
        libc::syscall(libc::SYS_tgkill, libc::getpid(), THREAD.load(Ordering::Relaxed) as libc::pid_t, signal);
    }
    for _ in 0..10 {
        if let Some(stack) = STACK.get() {
            return names(&stack.to_string(), "watchdog::stack::capture", FRAMES);
        }
        thread::sleep(SLICE / 2);
    }
    Vec::new()
}

/// The functions of a stack, the innermost first, that a signal came to: those of its handler are left out.
pub(super) fn names(stack: &str, handler: &str, most: usize) -> Vec<String> {
    let names = stack.lines().filter_map(|line| {
        let (number, name) = line.trim_start().split_once(": ")?;
        number.parse::<u32>().ok().map(|_| name.to_owned())
    });
    let all: Vec<String> = names.collect();
    let own = all.iter().rposition(|name| name.contains(handler)).map_or(0, |at| at + 1);
    let of_signal = usize::from(all.get(own).is_some_and(|name| name.contains("restore_rt") || name == "<unknown>"));
    all.into_iter().skip(own + of_signal).take(most).map(|name| format!("    {name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_begin_below_the_signal() {
        let stack = "   0: std::backtrace::Backtrace::create\n   1: infomax::plugin::watchdog::stack::capture\n   2: <unknown>\n   \
                     3: clock_nanosleep\n             at ./a.c:1:2\n   4: faulty::Loss::forward\n";
        let names = names(stack, "watchdog::stack::capture", 9);
        assert_eq!(names, ["    clock_nanosleep", "    faulty::Loss::forward"]);
    }
}
