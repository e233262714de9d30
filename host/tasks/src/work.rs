//! What is done once libtorch is there: the tests, and the demonstration.

use crate::{install::root, stop::Stop};
use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, ExitStatus},
    time::Instant,
};

const DEMO: &str = "configs/experiments/shapes-demo.toml";

/// Runs every test of the workspace.
pub fn verify(rest: &[OsString]) -> Result<(), Stop> {
    let status = run(cargo().args(["test", "--workspace", "--release", "--locked"]).args(rest))?;
    ended(status, "the tests failed")
}

/// Builds everything and trains on drawn shapes.
pub fn demo() -> Result<(), Stop> {
    eprintln!("building; the first time takes some minutes");
    let status = run(cargo().args(["build", "--release", "--workspace"]))?;
    ended(status, "the build failed")?;
    let program = built()?.join("infomax");
    eprintln!("training: infomax train {DEMO}");
    let start = Instant::now();
    let status = run(Command::new(&program).args(["train", DEMO]))?;
    ended(status, "the demonstration failed")?;
    eprintln!(
        "done in {} s; the curves and the images with their views are in the run's folder under `runs`",
        start.elapsed().as_secs()
    );
    Ok(())
}

/// Cargo as a user starts it: `cargo run` tells this program about its own package, and build scripts that look at such variables
/// (ring's) would run again, with all that depends on them.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(name);
        }
    }
    command
}

/// The folder of the release build: beside the folder that this program lies in.
fn built() -> Result<PathBuf, Stop> {
    let own = env::current_exe().map_err(|error| Stop::new(format!("can't find the build folder: {error}")))?;
    own.ancestors().nth(2).map(|target| target.join("release")).ok_or_else(|| Stop::new("can't find the build folder"))
}

pub fn run(command: &mut Command) -> Result<ExitStatus, Stop> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.current_dir(root()).status().map_err(|error| Stop::new(format!("can't run `{program}`: {error}")))
}

pub fn ended(status: ExitStatus, message: &str) -> Result<(), Stop> {
    if status.success() { Ok(()) } else { Err(Stop::with_code(format!("{message} ({status})"), status.code())) }
}
