//! The task runner behind `cargo setup`, `cargo demo` and `cargo verify`. It needs no libtorch: it is what fetches it.

mod install;
mod machine;
mod stop;
mod wheels;
mod work;

use clap::{Args, Parser, Subcommand};
use std::{ffi::OsString, process::ExitCode};

#[derive(Parser)]
#[command(name = "cargo", bin_name = "cargo")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch libtorch into `.libtorch`, as far as it isn't there
    Setup(Set),
    /// Set up, build, and train on drawn shapes: a few minutes on a laptop
    Demo(Set),
    /// Set up, and run every test; further arguments go to `cargo test`
    Verify {
        #[command(flatten)]
        set: Set,
        /// Arguments for `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<OsString>,
    },
}

/// Which libraries to fetch; those for CUDA too where there is a GPU.
#[derive(Args, Clone, Copy)]
struct Set {
    /// Fetch the libraries for CUDA too, 2 GB more
    #[arg(long, conflicts_with = "cpu")]
    cuda: bool,
    /// Fetch what the CPU needs and no more
    #[arg(long)]
    cpu: bool,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Setup(set) => install::setup(set),
        Task::Demo(set) => install::setup(set).and_then(|()| work::demo()),
        Task::Verify { set, rest } => install::setup(set).and_then(|()| work::verify(&rest)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            eprintln!("{stop}");
            ExitCode::from(stop.code)
        }
    }
}
