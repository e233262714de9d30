//! The real binary, as a user runs it.

use super::workspace::{built, root};
use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Output},
};

/// A command of the binary in a folder, with none of this process's `INFOMAX_…` variables.
pub fn infomax(folder: &Path, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(built().join("infomax"));
    command.args(arguments).current_dir(folder);
    command.env("OMP_WAIT_POLICY", "passive"); // tests share the cores
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("INFOMAX_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the binary to its end.
pub fn run(folder: &Path, arguments: &[impl AsRef<OsStr>]) -> Output {
    infomax(folder, arguments).output().expect("the binary runs")
}

/// What the binary wrote to standard error, with the paths of this machine left out.
pub fn errors(output: &Output, folder: &Path) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = text.replace(&*folder.to_string_lossy(), "[folder]");
    // Which a CARGO_TARGET_DIR of the user's may have put anywhere.
    let target = built().parent().expect("a profile lies in target");
    let text = text.replace(&*target.to_string_lossy(), "[target]");
    text.replace(&*root().to_string_lossy(), "[workspace]")
}

/// A shipped experiment's path.
pub fn experiment(name: &str) -> String {
    root().join(format!("configs/experiments/{name}.toml")).to_string_lossy().into_owned()
}
