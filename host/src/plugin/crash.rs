//! What a process says as it crashes: in which call of a component, by which signal, in which thread, and where. Nothing can be asked
//! afterwards, and what corrupts memory seldom happens twice.

use super::{
    under_way::{current, say_where},
    watchdog::names,
};
use std::{
    backtrace::Backtrace,
    ffi::{c_int, c_void},
    ptr::null_mut,
    sync::{
        Once, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

const SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];
/// Frames of the stack that are told.
const FRAMES: usize = 32;
/// Bytes of the stack that a handler on the main thread has.
const STACK: usize = 1 << 20;
/// How long their names are looked for.
const SECONDS: u32 = 10;

/// The signals' handlers of before, which get their turn.
static OTHERS: [OnceLock<libc::sigaction>; 32] = [const { OnceLock::new() }; 32];

/// From now on a crash of this process is told on its standard error.
pub fn tell_of_crashes() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Its first call loads the library that unwinds, which can't be done in a crash.
        stack(&mut [null_mut()]);
        larger_stack();
        SIGNALS.into_iter().for_each(tell_of);
    });
}

/// Gives this thread's handlers a stack that names can be looked for on: the standard library's has room for the handler alone.
/// Other threads keep theirs.
fn larger_stack() {
    // SAFETY: the memory is this stack's alone and stays for as long as the process; without it the stack of before does.
    unsafe {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let memory = libc::mmap(null_mut(), STACK, access, kind, -1, 0);
        if memory != libc::MAP_FAILED {
            let stack = libc::stack_t { ss_sp: memory, ss_flags: 0, ss_size: STACK };
            libc::sigaltstack(&raw const stack, null_mut());
        }
    }
}

fn tell_of(signal: c_int) {
    // SAFETY: all zeros is a valid `sigaction`, filled in below; the handler makes system calls, reads atomics and walks the stack.
    unsafe {
        let mut own: libc::sigaction = std::mem::zeroed();
        own.sa_sigaction = crashed as *const () as usize;
        // Who calls `abort` has stack left; a stack that overflows has none.
        own.sa_flags = libc::SA_SIGINFO | if signal == libc::SIGABRT { 0 } else { libc::SA_ONSTACK };
        let mut other: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(signal, null_mut(), &raw mut other) == 0 {
            let _ = OTHERS[signal as usize].set(other);
            libc::sigaction(signal, &raw const own, null_mut());
        }
    }
}

extern "C" fn crashed(signal: c_int, facts: *const libc::siginfo_t, _: *mut c_void) {
    // A crash in here is not told.
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    if !IS_TOLD.swap(true, Ordering::Relaxed) {
        say(signal);
    }
    // The handler of before has its turn once this one has come back: the instruction at fault is repeated, and what a process has sent
    // is sent again.
    if let Some(other) = OTHERS[signal as usize].get() {
        // SAFETY: what the system gave for this signal; the facts are the system's too.
        unsafe {
            libc::sigaction(signal, other, null_mut());
            if (*facts).si_code <= 0 {
                libc::raise(signal);
            }
        }
    }
}

fn say(signal: c_int) {
    if current().is_some() {
        say_where();
    }
    let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
    let mut thread = [0_u8; 16];
    // SAFETY: the system writes at most 16 bytes, the last of them 0.
    unsafe { libc::prctl(libc::PR_GET_NAME, thread.as_mut_ptr()) };
    let length = thread.iter().position(|byte| *byte == 0).unwrap_or(thread.len());
    for part in [b"\nthe process crashes by ", name.as_bytes(), b" in thread `", &thread[..length]] {
        write(part);
    }
    write(b"`; its stack, the innermost first:\n");
    if !told_by_a_copy() {
        let mut frames = [null_mut(); FRAMES];
        let count = stack(&mut frames);
        // SAFETY: as many addresses as are said; it allocates nothing.
        unsafe { libc::backtrace_symbols_fd(frames.as_ptr(), count as c_int, libc::STDERR_FILENO) };
    }
}

/// Whether the functions of the stack were told by their names. Finding them allocates, which may crash or hang where memory is corrupt:
/// a copy of this process does it.
fn told_by_a_copy() -> bool {
    // SAFETY: a copy of the process with this thread alone, made without what the C library does at a fork, which would wait for its
    // own locks. The copy ends below, or by its alarm.
    unsafe {
        let none: libc::c_ulong = 0;
        let child =
            libc::syscall(libc::SYS_clone, libc::c_ulong::from(libc::SIGCHLD.unsigned_abs()), none, none, none, none);
        if child == 0 {
            libc::alarm(SECONDS);
            write(names(&Backtrace::force_capture().to_string(), "crash::crashed", FRAMES).join("\n").as_bytes());
            write(b"\n");
            libc::_exit(0);
        }
        let mut status = -1;
        child > 0 && libc::waitpid(child as libc::pid_t, &raw mut status, 0) > 0 && status == 0
    }
}

/// Where this thread is, the innermost first; how many places were found.
fn stack(frames: &mut [*mut c_void]) -> usize {
    // SAFETY: the places are valid for as many addresses as are said.
    let count = unsafe { libc::backtrace(frames.as_mut_ptr(), frames.len() as c_int) };
    usize::try_from(count).unwrap_or(0)
}

fn write(text: &[u8]) {
    // SAFETY: `write` may be called in a signal handler; the bytes outlive the call.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
}
