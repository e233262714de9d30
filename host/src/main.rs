//! The binary `infomax`: parses the command line, runs the command, renders errors, exits with their code.

use std::process::ExitCode;

fn main() -> ExitCode {
    infomax::cli::main()
}

/// Runs before the libraries' own initialisers: libtorch's ends a process whose working directory is gone with words that say
/// nothing of it.
#[used]
#[unsafe(link_section = ".preinit_array")]
static WORKING_DIRECTORY: extern "C" fn() = {
    extern "C" fn check() {
        const MESSAGE: &[u8] =
            b"error: the working directory does not exist any more\nhint: change to another: `cd .` or `cd`\n";
        let mut path = [0u8; libc::PATH_MAX as usize];
        // SAFETY: `path` is valid for writing its length; `getcwd` and `write` are system calls that need nothing initialised.
        unsafe {
            if libc::getcwd(path.as_mut_ptr().cast(), path.len()).is_null() && *libc::__errno_location() == libc::ENOENT
            {
                libc::write(2, MESSAGE.as_ptr().cast(), MESSAGE.len());
                libc::_exit(2);
            }
        }
    }
    check
};
