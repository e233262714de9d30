//! The same steps in PyTorch: a script that prints one JSON line a variant, run beside.

use super::Shape;
use crate::error::{Error, Fault, Result};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tch::Device;

/// A peer's script and the Python that runs it.
#[derive(Clone, Debug)]
pub struct Peer {
    pub python: PathBuf,
    pub script: PathBuf,
}

/// The first Python that has torch: `$INFOMAX_PYTHON`, or `python3`.
pub fn find_python() -> Option<PathBuf> {
    let own = std::env::var_os("INFOMAX_PYTHON").map(PathBuf::from);
    let has_torch = |python: &PathBuf| {
        let import =
            Command::new(python).args(["-c", "import torch"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        import.is_ok_and(|status| status.success())
    };
    own.into_iter().chain([PathBuf::from("python3")]).find(has_torch)
}

impl Peer {
    /// The variants that are compared with.
    pub fn variants(device: Device) -> &'static str {
        if device.is_cuda() { "eager,amp,cl+amp+fused,cl+bf16+fused" } else { "eager,cl" }
    }

    /// Images a second of each variant, by its name.
    ///
    /// # Errors
    /// A script that fails, with its last line.
    pub fn run(&self, device: Device, shape: Shape, threads: usize) -> Result<Vec<(String, f64)>> {
        let mut command = Command::new(&self.python);
        command.arg(&self.script);
        let number = |number: u64| number.to_string();
        for (flag, value) in [
            ("--size", number(shape.size.into())),
            ("--ndf", number(shape.ndf.into())),
            ("--rkhs", number(shape.n_rkhs.into())),
            ("--depth", number(shape.depth.into())),
            ("--batch", number(shape.batch)),
            ("--device", if device.is_cuda() { "cuda" } else { "cpu" }.to_owned()),
            ("--threads", number(threads as u64)),
            ("--variants", Self::variants(device).to_owned()),
        ] {
            command.args([flag, &value]);
        }
        let output = command.stdin(Stdio::null()).output().map_err(Error::io("run", Path::new(&self.python)))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or("it said nothing").to_owned();
            let fault = Fault::new(format!("{} failed: {last}", self.script.display()));
            return Err(Error::config(fault.hint("give another `--python`, or leave `--peer` out")));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let read = |line: &str| {
            let row: Value = serde_json::from_str(line).ok()?;
            Some((row["variant"].as_str()?.to_owned(), row["images_per_second"].as_f64()?))
        };
        Ok(text.lines().filter_map(read).collect())
    }
}
