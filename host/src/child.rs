//! Child processes that never outlive this one.

use std::{io, os::unix::process::CommandExt, process::Command};

/// Has the kernel send the child this signal when the thread that starts it ends, however it ends. The child gets a group of its
/// own: the terminal's Ctrl-C reaches this process alone, which passes it on.
pub fn ends_with_this_process(command: &mut Command, signal: i32) {
    let parent = std::process::id();
    command.process_group(0);
    // SAFETY: between fork and exec the closure makes two system calls and touches no memory of other threads.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, signal) != 0 {
                return Err(io::Error::last_os_error());
            }
            // Had it ended before the line above, nobody would tell.
            if libc::getppid() as u32 == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        });
    }
}
