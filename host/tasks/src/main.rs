//! The task runner behind `cargo setup`, `cargo demo`, `cargo verify` and `cargo faults`. It needs no libtorch: it is what fetches it.

mod faults;
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
    /// Set up, and run every loop over faults whole, where `verify` takes a tenth; prints the table of figures
    Faults {
        #[command(flatten)]
        set: Set,
        /// Words that a test's name must have one of: `k01 t08`; all tests of the product's promises where none is given
        filters: Vec<String>,
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
        Task::Faults { set, filters } => install::setup(set).and_then(|()| faults::run_whole(&filters)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            eprintln!("{stop}");
            ExitCode::from(stop.code)
        }
    }
}
