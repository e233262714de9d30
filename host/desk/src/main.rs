//! The binary `infomax`.

use std::process::ExitCode;

fn main() -> ExitCode {
    infomax_desk::program::main()
}
