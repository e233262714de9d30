//! What the machine has: a supported platform, Python with pip, a C++ compiler, perhaps a GPU.

use crate::stop::Stop;
use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

/// Refuses a machine that the pinned libtorch doesn't run on.
pub fn check_platform() -> Result<(), Stop> {
    let own = "set LIBTORCH to a libtorch 2.11.0 built for this machine, then run the command again";
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        let message = format!(
            "no libtorch is pinned for {} on {}: only Linux on x86-64 with glibc",
            env::consts::OS,
            env::consts::ARCH
        );
        return Err(Stop::new(message).hint(own));
    }
    // `getconf` prints `glibc 2.36`; where it can't be asked, loading the library will tell.
    let version = output(Command::new("getconf").arg("GNU_LIBC_VERSION"));
    let minor = version
        .as_deref()
        .and_then(|text| text.trim().strip_prefix("glibc 2.")?.split('.').next()?.parse::<u32>().ok());
    match minor {
        Some(minor) if minor < 28 => {
            Err(Stop::new(format!("glibc 2.{minor} is too old: libtorch needs 2.28")).hint(own))
        }
        _ => Ok(()),
    }
}

/// Refuses a machine without Python or pip.
pub fn check_python() -> Result<(), Stop> {
    if output(Command::new("python3").arg("--version")).is_none() {
        let stop = Stop::new("python3 is needed to fetch libtorch and is not installed");
        return Err(stop.hint("install it: `apt install python3 python3-pip`, `dnf install python3 python3-pip`"));
    }
    if output(Command::new("python3").args(["-m", "pip", "--version"])).is_none() {
        let stop = Stop::new("pip is needed to fetch libtorch and python3 has none");
        return Err(
            stop.hint("install it: `apt install python3-pip`, `dnf install python3-pip` or `python3 -m ensurepip`")
        );
    }
    Ok(())
}

/// Refuses a machine without a C++ compiler: the bindings to libtorch are compiled.
pub fn check_compiler() -> Result<(), Stop> {
    let named = env::var("CXX").ok().filter(|name| !name.is_empty());
    let name = named.as_deref().unwrap_or("c++");
    // `CXX` may hold a launcher and flags.
    let mut words = name.split_whitespace();
    let program = words.next().unwrap_or(name);
    if output(Command::new(program).args(words).arg("--version")).is_some() {
        return Ok(());
    }
    let stop =
        Stop::new(format!("a C++ compiler is needed to build the bindings to libtorch, and `{name}` can't be run"));
    Err(stop.hint("install one: `apt install g++`, `dnf install gcc-c++`, or set CXX"))
}

/// Whether there is a GPU that the CUDA libraries serve.
pub fn has_gpu() -> bool {
    Path::new("/dev/nvidia0").exists()
        || output(Command::new("nvidia-smi").arg("--list-gpus")).is_some_and(|text| !text.is_empty())
}

/// What a program prints, if it can be run and succeeds.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
