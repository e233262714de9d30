//! The binary `infomax-engine`: parses the command line, runs the command, renders errors, exits with their code. Users start `infomax`,
//! which becomes it.

use std::process::ExitCode;

fn main() -> ExitCode {
    infomax::cli::main()
}
