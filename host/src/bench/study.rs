//! What a study spends beside its updates: the start of the program, and of a run (process, libraries, data, test, checkpoint), without
//! pictures and with all that it draws, and as a cell. Measured by processes of this program on a tiny experiment of one update; what
//! that takes is the difference of two lengths.

use super::row::{OWN, Row};
use crate::{
    child::ends_with_this_process,
    distributed::is_of_a_launcher,
    error::{Error, Result},
    plugin::Registry,
};
use serde_json::json;
use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

const STARTS: usize = 5;
/// Updates of the longer run beside its first.
const UPDATES: u64 = 20;
const CELLS: u64 = 2;
/// What a run writes unless it is told not to.
const PICTURES: [&str; 3] = ["record.plot=true", "record.contact_sheet=true", "record.report=true"];

/// Measures them.
///
/// # Errors
/// A process that fails, with its last line.
pub fn rows(registry: &Registry, device: &str, tell: &mut dyn FnMut(Row)) -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::io("make a folder in", std::env::temp_dir()))?;
    let folder = folder.path();
    let row = |what: &str, seconds: f64| {
        let (what, by) = (what.to_owned(), OWN.to_owned());
        Row { part: "study", what, by, seconds: Some(seconds), ..Row::default() }
    };
    let timed = |arguments: &[&str]| seconds_of(registry, folder, arguments);
    let mut starts = (0..STARTS).map(|_| timed(&["plugin", "list"])).collect::<Result<Vec<_>>>()?;
    starts.sort_by(f64::total_cmp);
    tell(row("start of the program, `plugin list`", starts[STARTS / 2]));
    write_files(folder, device)?;
    let run = |name: &str, steps: u64, also: &[&str]| {
        let (name, steps) = (format!("record.name={name}"), format!("train.steps={steps}"));
        let mut line = vec!["train", "configs/experiments/cell.toml"];
        [name.as_str(), &steps].iter().chain(also).for_each(|setting| line.extend(["--set", setting]));
        timed(&line)
    };
    // Between the first and the second the system keeps in memory what is read.
    run("first", 1, &[])?;
    let short = run("short", 1, &[])?;
    let update = ((run("long", 1 + UPDATES, &[])? - short) / UPDATES as f64).max(0.0);
    tell(row("a run beside its updates", (short - update).max(0.0)));
    let pictured = run("pictured", 1, &PICTURES)?;
    tell(row("a run with its pictures and report beside its updates", (pictured - update).max(0.0)));
    let study = timed(&["ablate", "run", "configs/studies/cells.toml", "--workers", "1"])?;
    tell(row("a study's cell beside its updates", (study / CELLS as f64 - update).max(0.0)));
    Ok(())
}

/// Wall-clock seconds of this program.
fn seconds_of(registry: &Registry, folder: &Path, arguments: &[&str]) -> Result<f64> {
    let executable = infomax_desk::program::program().map_err(Error::io("find the executable of", "/proc/self"))?;
    let mut command = Command::new(&executable);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).env("INFOMAX_PLUGIN_PATH", registry.path_list()?);
    let is_ours =
        |name: &OsStr| name.to_string_lossy().starts_with("INFOMAX__") || is_of_a_launcher(&name.to_string_lossy());
    std::env::vars_os().filter(|(name, _)| is_ours(name)).for_each(|(name, _)| {
        command.env_remove(name);
    });
    ends_with_this_process(&mut command, libc::SIGTERM);
    let began = Instant::now();
    let output = command.output().map_err(Error::io("start", &executable))?;
    let seconds = began.elapsed().as_secs_f64();
    if output.status.success() {
        return Ok(seconds);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let what =
        format!("`infomax {}` failed: {}", arguments.join(" "), said.lines().next().unwrap_or("it said nothing"));
    Err(Error::Bug { what })
}

fn write_files(folder: &Path, device: &str) -> Result<()> {
    let experiment = json!({
        "dataset": { "name": "shapes", "config": { "train_length": 640, "test_length": 100 } },
        "augmentation": { "name": "amdim", "config": { "size": 32 } },
        "encoder": { "name": "amdim", "config": { "size": 32, "ndf": 8, "n_rkhs": 32, "depth": 1 } },
        "loss": { "name": "amdim" },
        "optimizer": { "warmup_steps": 1 },
        "train": { "batch_size": 32, "steps": 1, "threads": 1, "workers": 0, "device": device },
        "evaluation": { "mlp": false, "untrained": false },
        "record": { "plot": false, "contact_sheet": false, "report": false },
    });
    let study = json!({
        "question": "What does a cell take beside its updates?",
        "base": ["experiments/cell"],
        "seeds": (1..=CELLS).collect::<Vec<_>>(),
        "budget": { "steps": 1 },
        "axes": { "loss": ["amdim"] },
    });
    for (name, value) in [("experiments/cell.toml", experiment), ("studies/cells.toml", study)] {
        let path = folder.join("configs").join(name);
        let parent = path.parent().expect("a file has a folder");
        fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
        let text = toml::to_string(&value).expect("tables of plain data");
        fs::write(&path, text).map_err(Error::io("write", &path))?;
    }
    Ok(())
}
