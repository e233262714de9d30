//! The same in PyTorch: a script that prints one JSON line a figure, run beside.

use super::{Row, Shape};
use crate::{
    child::ends_with_this_process,
    error::{Error, Fault, Result},
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tch::Device;

/// A peer's script and the Python that runs it.
#[derive(Clone, Debug)]
pub struct Peer {
    pub python: PathBuf,
    pub script: PathBuf,
    /// As the script names them.
    pub variants: String,
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
    /// The variants that are compared with where none are named.
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
            ("--variants", self.variants.clone()),
        ] {
            command.args([flag, &value]);
        }
        ends_with_this_process(&mut command, libc::SIGTERM);
        let output = command.stdin(Stdio::null()).output().map_err(Error::io("run", Path::new(&self.python)))?;
        if !output.status.success() {
            let fault = Fault::new(format!("{} failed: {}", self.script.display(), last_words(&output)));
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

/// A script that this program carries.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    /// Of whose rows.
    pub part: &'static str,
    /// Whose figures they are.
    pub by: &'static str,
    text: &'static str,
}

impl Embedded {
    /// Views by torchvision.
    pub const DATA: Self = Self { part: "data", by: "torchvision", text: include_str!("peers/data.py") };
    /// AMDIM's objective by autograd.
    pub const LOSS: Self = Self { part: "loss", by: "PyTorch", text: include_str!("peers/loss.py") };
    /// Other methods' steps.
    pub const METHODS: Self = Self { part: "methods", by: "PyTorch", text: include_str!("peers/methods.py") };
    /// A process that is ready to train.
    pub const START: Self = Self { part: "study", by: "PyTorch", text: include_str!("peers/start.py") };

    /// Its rows; one that says why where the script fails, as without a package, and what it is `of`.
    ///
    /// # Errors
    /// A Python that can't be started.
    pub fn run(self, python: &Path, of: &str, arguments: &[String]) -> Result<Vec<Row>> {
        let mut command = Command::new(python);
        command.args(["-c", self.text]).args(arguments).stdin(Stdio::null());
        ends_with_this_process(&mut command, libc::SIGTERM);
        let output = command.output().map_err(Error::io("run", python))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let row = |what: String| Row { part: self.part, what, by: self.by.to_owned(), ..Row::default() };
        let read = |line: &str| {
            let value: Value = serde_json::from_str(line).ok()?;
            let number = |key: &str| value[key].as_f64();
            Some(Row {
                images_per_second: number("images_per_second"),
                seconds: number("seconds"),
                bytes: value["bytes"].as_u64(),
                note: value["note"].as_str().map(str::to_owned),
                ..row(value["what"].as_str()?.to_owned())
            })
        };
        let mut rows: Vec<Row> = text.lines().filter_map(read).collect();
        if !output.status.success() {
            rows.push(Row { note: Some(last_words(&output)), ..row(format!("the peer of `{of}` failed")) });
        }
        Ok(rows)
    }
}

/// The last line that a script which failed has written, or how it ended.
fn last_words(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().last().map_or_else(|| format!("it said nothing ({})", output.status), str::to_owned)
}
