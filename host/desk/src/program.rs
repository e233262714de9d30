//! The two programs: `infomax`, which users start, and the engine beside it, which loads libtorch and computes.

use crate::{
    cli,
    error::{Error, Fault},
};
use std::{
    env,
    ffi::{CString, OsStr, OsString},
    io,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    process::ExitCode,
    ptr,
};

/// The program that users start.
const PROGRAM: &str = "infomax";
/// The program that computes.
const ENGINE: &str = "infomax-engine";

/// How often an OpenMP thread looks for work before it sleeps. Measured by `host/benches/wait_policy.py`: a step alone is as fast
/// as with libgomp's 300000 looks, and beside other work its threads don't burn the time of those that they wait for.
const LOOKS: (&str, &str) = ("GOMP_SPINCOUNT", "1000");
/// What a user decides the same by.
const DECIDED: [&str; 2] = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"];
/// The commands whose ranks are threads of one process. c10d writes down what process groups do, in a map of the whole process that
/// threads change without a lock ([`RECORDED`] entries of it; 0 turns it off).
const RANKS_IN_ONE_PROCESS: [&str; 2] = ["plugin", "bench"];
const RECORDED: &str = "TORCH_FR_BUFFER_SIZE";
/// The older name of the same.
const RECORDED_OLD: &str = "TORCH_NCCL_TRACE_BUFFER_SIZE";
/// The commands that compute.
const COMPUTING: [&str; 5] = ["train", "evaluate", "embed", "ablate", "selfcheck"];

/// The program to start for a further process: `infomax`, also where this is the engine.
///
/// # Errors
/// The system's.
pub fn program() -> io::Result<PathBuf> {
    let own = env::current_exe()?;
    // What the kernel says of a program whose file is not there any more.
    if own.as_os_str().as_bytes().ends_with(b" (deleted)") && !own.exists() {
        return Err(io::Error::other("its file was replaced or removed while it ran: start the command again"));
    }
    Ok(if own.file_name() == Some(OsStr::new(ENGINE)) { own.with_file_name(PROGRAM) } else { own })
}

/// Serves a command line at the desk, or becomes the engine, which takes a quarter of a second longer to begin.
pub fn main() -> ExitCode {
    let line: Vec<OsString> = env::args_os().collect();
    let words = line.get(1..).unwrap_or_default();
    if env::current_dir().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        // libtorch's initialisers end such a process with words that say nothing of it.
        let fault = Fault::new("the working directory does not exist any more");
        return cli::fail(&Error::config(fault.hint("change to another: `cd .` or `cd`")));
    }
    if cli::serves(words) {
        return cli::main();
    }
    let command = words.iter().find(|word| !word.as_bytes().starts_with(b"-")).and_then(|word| word.to_str());
    if command == Some("train") {
        hold_signals();
    }
    if command.is_some_and(|command| COMPUTING.contains(&command))
        && DECIDED.iter().all(|name| env::var_os(name).is_none())
    {
        // SAFETY: there is no other thread. libgomp, which libtorch computes with, reads it once, when it is loaded.
        unsafe { env::set_var(LOOKS.0, LOOKS.1) };
    }
    if command.is_some_and(|command| RANKS_IN_ONE_PROCESS.contains(&command)) {
        // SAFETY: there is no other thread.
        unsafe {
            env::remove_var(RECORDED_OLD);
            env::set_var(RECORDED, "0");
        }
    }
    cli::fail(&become_engine(&line))
}

/// What a launcher sends while the engine's libraries are loaded would end a process that has not come to hear it: `train` hears it as
/// soon as it listens, which is the first that it does.
fn hold_signals() {
    // SAFETY: the set is filled before it is used; there is no other thread.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1] {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
    }
}

/// Goes on as the engine: the process stays, with its arguments. Comes back only where that fails.
fn become_engine(line: &[OsString]) -> Error {
    // The dynamic linker, where it was started by hand, is the executable then.
    let named = line.first().map(PathBuf::from);
    let beside = [env::current_exe().ok(), named].into_iter().flatten().map(|path| path.with_file_name(ENGINE));
    let mut looked_for = beside.clone();
    let Some(engine) = beside.into_iter().find(|path| path.is_file()) else {
        let place = looked_for.next().map_or_else(|| ENGINE.to_owned(), |path| path.display().to_string());
        let fault = Fault::new(format!("`{ENGINE}` is missing, the part of the program that computes")).at(place);
        return Error::config(fault.hint("build both: `cargo build --release --workspace`"));
    };
    let text = |word: &OsStr| CString::new(word.as_bytes()).expect("an argument has no NUL");
    let program = text(engine.as_os_str());
    let arguments: Vec<CString> = line.iter().map(|word| text(word)).collect();
    let mut pointers: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(ptr::null());
    // `Command::exec` would let the signals through that are held.
    // SAFETY: both are C strings, the list ends with a null pointer, and all outlive the call.
    unsafe { libc::execv(program.as_ptr(), pointers.as_ptr()) };
    Error::io("start", engine)(io::Error::last_os_error())
}
