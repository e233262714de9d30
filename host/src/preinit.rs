//! What the binary does before the libraries' own initialisers, which the dynamic linker runs before `main`. Nothing of Rust's
//! runtime is there yet, and the C library has not read its environment.

use libc::{c_char, c_int};
use std::{ffi::CStr, ptr};

/// As the C library calls it, with what `main` gets.
type First = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

/// Run in this order.
#[used]
#[unsafe(link_section = ".preinit_array")]
static FIRST: [First; 3] = [check_working_directory, hold_signals, wait_briefly];

/// libtorch's initialisers end a process whose working directory is gone with words that say nothing of it.
extern "C" fn check_working_directory(_: c_int, _: *const *const c_char, _: *const *const c_char) {
    const MESSAGE: &[u8] =
        b"error: the working directory does not exist any more\nhint: change to another: `cd .` or `cd`\n";
    let mut path = [0u8; libc::PATH_MAX as usize];
    // SAFETY: `path` is valid for writing its length; `getcwd` and `write` are system calls that need nothing initialised.
    unsafe {
        if libc::getcwd(path.as_mut_ptr().cast(), path.len()).is_null() && *libc::__errno_location() == libc::ENOENT {
            libc::write(2, MESSAGE.as_ptr().cast(), MESSAGE.len());
            libc::_exit(2);
        }
    }
}

/// How often an OpenMP thread looks for work before it sleeps. Measured by `host/benches/wait_policy.py`: a step alone is as fast
/// as with libgomp's 300000 looks, and beside other work its threads don't burn the time of those that they wait for.
const LOOKS: &CStr = c"GOMP_SPINCOUNT=1000";
/// What a user decides the same by; the second is there once it is decided here.
const DECIDED: [&[u8]; 2] = [b"OMP_WAIT_POLICY=", b"GOMP_SPINCOUNT="];
/// The commands that compute.
const COMPUTING: [&CStr; 5] = [c"train", c"evaluate", c"embed", c"ablate", c"selfcheck"];

/// What a launcher sends while the libraries are loaded would end a process that has not come to hear it: `train` hears it as soon
/// as it listens (`Signals::listen`), which is the first that it does.
extern "C" fn hold_signals(_: c_int, argv: *const *const c_char, _: *const *const c_char) {
    // SAFETY: the list is `main`'s; the set is filled before it is used; no other thread is there.
    unsafe {
        if command(argv) != Some(c"train") {
            return;
        }
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1] {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
    }
}

/// libgomp, which libtorch computes with, reads its environment once, when it is loaded: the only way to tell it is to begin again
/// with another environment. Here that costs a few milliseconds, since the libraries have not been initialised.
extern "C" fn wait_briefly(_: c_int, argv: *const *const c_char, envp: *const *const c_char) {
    // SAFETY: both lists hold C strings up to a null pointer and outlive the process's start; no other thread is there; what is called
    // are system calls and functions without state. Where anything fails the process goes on as it is.
    unsafe {
        let is_decided = |text: &CStr| DECIDED.iter().any(|name| text.to_bytes().starts_with(name));
        // Where the dynamic linker was started by hand it is what would be started again.
        let is_program = libc::getauxval(libc::AT_BASE) != 0;
        let computes = command(argv).is_some_and(|word| COMPUTING.contains(&word));
        if !is_program || !computes || list(envp).any(|variable| is_decided(CStr::from_ptr(variable))) {
            return;
        }
        let mut path = [0u8; libc::PATH_MAX as usize];
        let length = libc::readlink(c"/proc/self/exe".as_ptr(), path.as_mut_ptr().cast(), path.len() - 1);
        // One more variable, and the null pointer behind the last.
        let bytes = (list(envp).count() + 2) * size_of::<*const c_char>();
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let variables = libc::mmap(ptr::null_mut(), bytes, access, kind, -1, 0);
        if length <= 0 || variables == libc::MAP_FAILED {
            return;
        }
        let variables = variables.cast::<*const c_char>();
        variables.write(LOOKS.as_ptr());
        list(envp).enumerate().for_each(|(at, variable)| variables.add(at + 1).write(variable));
        libc::execve(path.as_ptr().cast(), argv, variables);
    }
}

/// The first argument that is no flag.
///
/// # Safety
/// The list is `main`'s.
unsafe fn command<'a>(argv: *const *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's promise.
    let mut words = unsafe { list(argv) }.skip(1).map(|word| unsafe { CStr::from_ptr(word) });
    words.find(|word| !word.to_bytes().starts_with(b"-"))
}

/// The pointers of a list that a null pointer ends.
///
/// # Safety
/// The list is one, and stays.
unsafe fn list(mut at: *const *const c_char) -> impl Iterator<Item = *const c_char> {
    std::iter::from_fn(move || {
        // SAFETY: the caller's promise: up to the null pointer, where this stays.
        let item = unsafe { *at };
        if item.is_null() {
            return None;
        }
        // SAFETY: as above: there is one more behind an item.
        at = unsafe { at.add(1) };
        Some(item)
    })
}
