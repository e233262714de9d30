//! `infomax plugin check` from an author's own tests.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

/// Runs `infomax plugin check` on this package's library, which `cargo test` has built: one line in `tests/check.rs`. Further
/// arguments go to the command: `check!("--set", "loss.my-loss.projector_dim=8")`.
///
/// The host is the program in the environment variable `INFOMAX`, or `infomax` on the PATH.
#[macro_export]
macro_rules! check {
    ($($argument:expr),* $(,)?) => { $crate::check::run(env!("CARGO_PKG_NAME"), &[$($argument),*]) };
}

/// What [`check!`](crate::check!) calls.
///
/// # Panics
/// Where a check fails, with everything that the command says; where there is no library or no host.
pub fn run(package: &str, arguments: &[&str]) {
    let exe = env::current_exe().expect("a test has an executable");
    let library = library(&exe, package).unwrap_or_else(|| {
        panic!(
            "there is no library of `{package}` beside {}: it needs `crate-type = [\"cdylib\", \"rlib\"]`",
            exe.display()
        )
    });
    let host = env::var_os("INFOMAX").map_or_else(|| PathBuf::from("infomax"), PathBuf::from);
    let output = Command::new(&host).args(["plugin", "check"]).arg(&library).args(arguments).output();
    let output = output.unwrap_or_else(|error| {
        panic!("can't run `{}`: {error}; put infomax on the PATH, or its path in INFOMAX", host.display())
    });
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    print!("{}", said[0]);
    assert!(output.status.success(), "{}\n{}", said[0], said[1]);
}

/// The newest library of a package: cargo leaves it beside the test, or one folder up.
fn library(exe: &Path, package: &str) -> Option<PathBuf> {
    let name = format!("lib{}.so", package.replace('-', "_"));
    let written = |path: &PathBuf| fs::metadata(path).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    exe.ancestors().skip(1).take(2).map(|folder| folder.join(&name)).filter(|path| path.is_file()).max_by_key(written)
}
