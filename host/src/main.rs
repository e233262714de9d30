//! The binary `infomax`: parses the command line, runs the command, renders errors, exits with their code.

mod preinit;

use std::process::ExitCode;

fn main() -> ExitCode {
    infomax::cli::main()
}
