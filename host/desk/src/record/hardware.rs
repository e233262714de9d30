//! `hardware.json`: on what a run was trained; nothing that names a person or a machine.

use super::whole_file::write_whole;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::{fs, path::Path, thread};

const FILE: &str = "hardware.json";

/// A machine, as far as its numbers depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// The processor's model.
    pub processor: String,
    /// Cores that the process may use.
    pub cores: usize,
    /// The machine's memory.
    pub memory_mib: u64,
    /// The models of all NVIDIA GPUs that the driver knows.
    pub gpus: Vec<String>,
    /// As in `Debian GNU/Linux 12 (bookworm)`.
    pub system: String,
    /// As in `6.1.0`.
    pub kernel: String,
}

impl Hardware {
    /// This machine.
    pub fn of_this_machine() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let memory = field(&text("/proc/meminfo"), "MemTotal", ':');
        let kib = memory.and_then(|memory| memory.split(' ').next()?.parse::<u64>().ok()).unwrap_or(0);
        let mut gpus: Vec<String> = fs::read_dir("/proc/driver/nvidia/gpus")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| field(&fs::read_to_string(entry.path().join("information")).ok()?, "Model", ':'))
            .collect();
        gpus.sort();
        Self {
            processor: processor(),
            cores: thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_mib: kib >> 10,
            gpus,
            system: field(&text("/etc/os-release"), "PRETTY_NAME", '=').unwrap_or_else(|| "Linux".to_owned()),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }

    /// The machines that a run has been trained on, in order; empty where none was noted.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(run: &Path) -> Result<Vec<Self>, String> {
        match fs::read(run.join(FILE)) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| format!("`{FILE}` can't be read: {error}")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(format!("`{FILE}` can't be read: {error}")),
        }
    }

    /// Notes that a run is trained on this machine from here on.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn note(self, run: &Path) -> Result<()> {
        let mut machines = Self::read(run).unwrap_or_default();
        if machines.last() == Some(&self) {
            return Ok(());
        }
        machines.push(self);
        write_whole(&run.join(FILE), &serde_json::to_vec_pretty(&machines).expect("machines are plain data"))
    }
}

/// The processor's model.
pub fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    field(&info, "model name", ':').unwrap_or_else(|| "an unknown processor".to_owned())
}

/// The value of the first line `name: value` or `name="value"`.
fn field(text: &str, name: &str, separator: char) -> Option<String> {
    let mut values = text.lines().filter_map(|line| line.split_once(separator));
    let (_, value) = values.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().trim_matches('"').to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_noted_once_and_another_one_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let this = Hardware::of_this_machine();
        assert!(this.cores > 0 && this.memory_mib > 0 && !this.kernel.is_empty());
        let other = Hardware { cores: this.cores + 1, ..this.clone() };
        for machine in [&this, &this, &other] {
            machine.clone().note(folder.path()).unwrap();
        }
        assert_eq!(Hardware::read(folder.path()), Ok(vec![this, other]));
        fs::write(folder.path().join(FILE), "nonsense").unwrap();
        assert!(Hardware::read(folder.path()).is_err());
    }

    #[test]
    fn fields_are_found_in_the_system_s_files() {
        assert_eq!(field("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ: 1", "Model", ':').unwrap(), "NVIDIA H100 80GB HBM3");
        assert_eq!(field("ID=x\nPRETTY_NAME=\"A B\"", "PRETTY_NAME", '=').unwrap(), "A B");
        assert_eq!(field("Model:", "Model", ':'), None);
    }
}
