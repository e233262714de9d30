//! The commands that need no libtorch, one file a command, and what all commands share.

mod board;
mod compare;
mod config;
pub mod experiment;
mod explain;
mod export;
pub mod limits;
pub mod logger;
mod named_runs;
mod plugin;
mod published;
mod python;
mod report;
mod runs;
mod told;

use crate::error::Error;
use clap::{Parser, Subcommand};
use std::{ffi::OsString, io::Write, process::ExitCode};

pub use board::Board;
pub use compare::Compare;
pub use config::Config;
pub use export::Export;
pub use named_runs::only_runs;
pub use plugin::{Plugin, named};
pub use python::Python;
pub use report::Report;
pub use runs::Runs;
pub use told::Told;

#[derive(Debug, Parser)]
#[command(name = "infomax", version)]
struct Arguments {
    /// Say more (-v: what is done, -vv: everything)
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant)] // there is one
enum Command {
    /// Set runs beside one another: what differs, means over seeds, differences to a baseline and how sure they are
    Compare(Compare),
    /// Write a page on a run: results, curves, config, builds
    Report(Report),
    /// Write the metrics of runs as one table: CSV or Parquet
    Export(Export),
    /// Print the Python file that reads runs, and hands them to Trackio, MLflow and W&B: `infomax python > infomax_read.py`
    Python(Python),
    /// List what has been trained, and what is being
    Runs(Runs),
    /// Show runs and studies in a browser while they train
    Board(Board),
    /// Look at configs
    #[command(subcommand)]
    Config(Config),
    /// Look at plugins
    #[command(subcommand)]
    Plugin(Plugin),
}

/// Whether a command line, without the program's name, is one of the desk's. Everything else, and what is no command, is the engine's.
pub fn serves(line: &[OsString]) -> bool {
    let mut words = line.iter().filter_map(|word| word.to_str()).filter(|word| !word.starts_with('-'));
    match words.next() {
        None => line.iter().any(|word| word == "--version" || word == "-V"),
        Some("board" | "compare" | "export" | "python" | "report" | "runs") => true,
        // What `--amp` means depends on the device.
        Some("config") => words.next().is_some_and(Config::has_subcommand) && line.iter().all(|word| word != "--amp"),
        Some("plugin") => words.next().is_some_and(Plugin::has_subcommand),
        _ => false,
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments: Arguments = match parsed() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    logger::start(arguments.verbose);
    let result = limits::prepare().and_then(|()| match arguments.command {
        Command::Compare(compare) => compare.run(),
        Command::Report(report) => report.run(),
        Command::Export(export) => export.run(),
        Command::Python(python) => python.run(),
        Command::Runs(runs) => runs.run(),
        Command::Board(board) => board.run(),
        Command::Config(config) => config.run(),
        Command::Plugin(plugin) => plugin.run(),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// The command line of this process. Otherwise clap has said what is wrong, or what was asked for, and the process ends with the code.
///
/// # Errors
/// The code.
pub fn parsed<T: Parser>() -> Result<T, ExitCode> {
    T::try_parse().map_err(|error| {
        let _ = error.print();
        ExitCode::from(if error.use_stderr() { 2 } else { 0 })
    })
}

/// Tells an error.
pub fn fail(error: &Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{error}");
    ExitCode::from(error.exit_code())
}

/// Writes to standard output; nobody reading is no error.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loads_a_library_or_is_no_command_is_the_engines() {
        let serves = |line: &str| serves(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in [
            "plugin list",
            "-v plugin inspect x.so",
            "compare a b",
            "report --out x run",
            "export a b --long",
            "python",
            "runs --state done",
            "board --port 0",
            "plugin new --help",
            "config show a",
            "--version",
        ] {
            assert!(serves(line), "{line}");
        }
        for line in [
            "",
            "--help",
            "plugin",
            "plugin --help",
            "plugin check x.so",
            "plugin lits",
            "config show a --amp",
            "config",
            "train compare",
            "help plugin list",
        ] {
            assert!(!serves(line), "{line}");
        }
    }
}
