//! The command line: one file a command.

mod ablate;
mod allocator;
mod bench;
mod checkpoint;
mod data;
mod doctor;
mod embed;
mod evaluate;
mod plugin;
mod preview;
mod reproduce;
mod selfcheck;
mod train;

use crate::{
    distributed::Report,
    error::Error,
    plugin::{probe_with, tell_of_crashes},
    train::{Arithmetic, resolve_device},
};
use clap::{Parser, Subcommand};
use infomax_desk::cli::{experiment, limits, logger, parsed, say};
use std::process::ExitCode;

/// Self-supervised learning from exchangeable parts: dataset → augmentation → encoder → loss.
#[derive(Debug, Parser)]
#[command(name = "infomax", version, arg_required_else_help = true)]
struct Arguments {
    /// Say more (-v: what is done, -vv: everything)
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train an experiment
    Train(train::Train),
    /// Measure finished encoders: linear classifier, nearest neighbours, labels of a share, other data
    Evaluate(evaluate::Evaluate),
    /// Write an encoder's features of a dataset, and draw them in a plane
    Embed(embed::Embed),
    /// Look at what runs have saved; read and write the published code's checkpoints
    #[command(subcommand)]
    Checkpoint(checkpoint::Checkpoint),
    /// List what has been trained, and what is being: state, step, results, what differs
    Runs(infomax_desk::cli::Runs),
    /// Show runs and studies in a browser while they train
    Board(infomax_desk::cli::Board),
    /// Set runs beside one another: what differs, means over seeds, differences to a baseline and how sure they are
    Compare(infomax_desk::cli::Compare),
    /// Run studies: losses, encoders, views, with seeds, from one file
    #[command(subcommand)]
    Ablate(ablate::Ablate),
    /// Write a page on a run: results, curves, config, builds
    Report(infomax_desk::cli::Report),
    /// Write the metrics of runs as one table: CSV or Parquet
    Export(infomax_desk::cli::Export),
    /// Print the Python file that reads runs, and hands them to Trackio, MLflow and W&B: `infomax python > infomax_read.py`
    Python(infomax_desk::cli::Python),
    /// Repeat a run with the libraries that it kept, and say whether the same bits come out
    Reproduce(reproduce::Reproduce),
    /// Look at what is installed here: what is wrong, and what to do
    Doctor(doctor::Doctor),
    /// Check that this machine computes the right numbers, alone and in several processes
    Selfcheck(selfcheck::Selfcheck),
    /// Measure how fast steps of training run here, and beside PyTorch's
    Bench(bench::Bench),
    /// Look at configs
    #[command(subcommand)]
    Config(infomax_desk::cli::Config),
    /// Look at data
    #[command(subcommand)]
    Data(data::Data),
    /// Look at plugins
    #[command(subcommand)]
    Plugin(plugin::Plugin),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments: Arguments = match parsed() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    logger::start(arguments.verbose);
    allocator::keep_freed_memory();
    tell_of_crashes();
    experiment::amp_means(|device| Ok(Arithmetic::of_amp(resolve_device(device, 0)?)));
    if !matches!(arguments.command, Command::Plugin(plugin::Plugin::Probe { .. }))
        && let Ok(executable) = std::env::current_exe()
    {
        probe_with(executable);
    }
    if let Err(error) = limits::prepare() {
        return fail(&error);
    }
    let result = match arguments.command {
        Command::Train(train) => train.run(),
        Command::Evaluate(evaluate) => evaluate.run(),
        Command::Embed(embed) => embed.run(),
        Command::Checkpoint(checkpoint) => checkpoint.run(),
        Command::Runs(runs) => runs.run(),
        Command::Board(board) => board.run(),
        Command::Compare(compare) => compare.run(),
        Command::Ablate(ablate) => ablate.run(),
        Command::Report(report) => report.run(),
        Command::Export(export) => export.run(),
        Command::Python(python) => python.run(),
        Command::Reproduce(reproduce) => reproduce.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Selfcheck(selfcheck) => selfcheck.run(),
        Command::Bench(bench) => bench.run(),
        Command::Config(config) => config.run(),
        Command::Data(data) => data.run(),
        Command::Plugin(plugin) => plugin.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &Error) -> ExitCode {
    if Report::of(error).deliver() { ExitCode::from(error.exit_code()) } else { infomax_desk::cli::fail(error) }
}
