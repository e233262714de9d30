//! `infomax doctor`: what is installed here, what is wrong with it, and what to do.

use super::{experiment::ExperimentArguments, say};
use crate::{
    config,
    error::{Error, Result},
    plugin::{LIBTORCH, Registry},
    train::open_cuda,
};
use clap::Args;
use serde::Serialize;
use std::{fs, path::Path, thread};

const LEAST_FREE_MIB: u64 = 1024;

/// Arguments of `infomax doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    state: State,
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Good,
    /// Absent, and only needed for some things.
    Absent,
    Bad,
}

impl Finding {
    fn new(what: &'static str, state: State, found: impl Into<String>, hint: Option<&str>) -> Self {
        Self { what, state, found: found.into(), hint: hint.map(str::to_owned) }
    }
}

impl Doctor {
    /// Looks at everything.
    ///
    /// # Errors
    /// Something that keeps runs from working (exit code 1).
    pub fn run(&self) -> Result<()> {
        let opened = open_cuda(config::Device::Auto);
        let registry = ExperimentArguments::default().registry()?;
        let mut findings = vec![libtorch(), processor()];
        findings.extend(cuda(opened));
        findings.extend(plugins(&registry));
        findings.push(folder("run folder", Path::new("runs")));
        findings.push(folder("temporary folder", &std::env::temp_dir()));
        if self.json {
            say(&serde_json::to_string_pretty(&findings).expect("findings are plain data"));
        } else {
            findings.iter().for_each(|finding| say(&line(finding)));
        }
        let bad: Vec<String> =
            findings.iter().filter(|finding| finding.state == State::Bad).map(|f| f.what.to_owned()).collect();
        if bad.is_empty() { Ok(()) } else { Err(Error::Selfcheck { failed: bad }) }
    }
}

fn line(finding: &Finding) -> String {
    let state = match finding.state {
        State::Good => "ok",
        State::Absent => "-",
        State::Bad => "WRONG",
    };
    let hint = finding.hint.as_ref().map(|hint| format!("\n{:<26}hint: {hint}", "")).unwrap_or_default();
    format!("{state:<7}{:<19}{}{hint}", finding.what, finding.found)
}

fn libtorch() -> Finding {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let file =
        maps.lines().find(|line| line.ends_with("libtorch_cpu.so")).and_then(|line| line.split_whitespace().last());
    let file = file.unwrap_or("an unknown file");
    let loaded = crate::native::torch_version();
    let state = if loaded == LIBTORCH { State::Good } else { State::Bad };
    let hint = (state == State::Bad).then(|| format!("build and run with libtorch {LIBTORCH}: `cargo setup`"));
    Finding { what: "libtorch", state, found: format!("{loaded} in {file}"), hint }
}

fn processor() -> Finding {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| info.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(": "));
    let name = field("model name").map_or("an unknown processor", |(_, name)| name);
    let flags = field("flags").map_or("", |(_, flags)| flags);
    let known = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"];
    let has: Vec<_> = known.into_iter().filter(|flag| flags.split(' ').any(|f| f == *flag)).collect();
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Finding::new("processor", State::Good, format!("{cores} cores, {name}, {}", has.join(" ")), None)
}

/// CUDA, its devices and NCCL.
fn cuda(opened: Result<(), String>) -> Vec<Finding> {
    if !Path::new("/proc/driver/nvidia").exists() {
        return vec![Finding::new("CUDA", State::Absent, "no NVIDIA driver: runs use the CPU", None)];
    }
    let driver = fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    let driver = driver.lines().next().unwrap_or_default().to_owned();
    if let Err(reason) = opened {
        let hint = "install libtorch's CUDA half with `cargo setup --cuda`";
        return vec![Finding::new("CUDA", State::Bad, format!("{driver}; {reason}"), Some(hint))];
    }
    let count = tch::Cuda::device_count();
    let mut findings = if count > 0 {
        vec![Finding::new("CUDA", State::Good, format!("{count} devices; {driver}"), None)]
    } else {
        let hint = "see `nvidia-smi`, and CUDA_VISIBLE_DEVICES";
        vec![Finding::new("CUDA", State::Bad, format!("no device can be used; {driver}"), Some(hint))]
    };
    for number in 0..count as usize {
        let device = tch::Device::Cuda(number);
        // The allocator knows nothing of a device that nothing was put on.
        let memory = tch::Tensor::f_zeros([1], (tch::Kind::Float, device))
            .map_err(|error| error.to_string())
            .and_then(|_| crate::native::precision::device_memory(device));
        findings.push(match memory {
            Ok(Some(memory)) => {
                let found = format!("{number}: {} of {} MiB free", memory.free >> 20, memory.total >> 20);
                Finding::new("CUDA device", State::Good, found, None)
            }
            Ok(None) => Finding::new("CUDA device", State::Good, format!("{number}: its memory is not told"), None),
            Err(reason) => {
                let hint = "see `nvidia-smi`: another program may hold it, or the driver may be too old";
                let reason = reason.lines().next().unwrap_or_default().to_owned();
                Finding::new("CUDA device", State::Bad, format!("{number}: {reason}"), Some(hint))
            }
        });
    }
    findings.push(if crate::native::has_nccl() {
        Finding::new("NCCL", State::Good, "found in libtorch_cuda.so", None)
    } else {
        Finding::new(
            "NCCL",
            State::Bad,
            "not found in libtorch_cuda.so",
            Some("install libtorch 2.11.0 with `cargo setup --cuda`"),
        )
    });
    findings
}

fn plugins(registry: &Registry) -> Vec<Finding> {
    let folders: Vec<_> = registry.folders().iter().map(|folder| folder.display().to_string()).collect();
    let mut findings = match registry.candidates().len() {
        0 => {
            let hint = "put plugin libraries beside the executable, or name their folder in INFOMAX_PLUGIN_PATH";
            vec![Finding::new("plugins", State::Bad, format!("none in {}", folders.join(", ")), Some(hint))]
        }
        count => vec![Finding::new("plugins", State::Good, format!("{count} in {}", folders.join(", ")), None)],
    };
    for rejected in registry.rejected() {
        let fault = rejected.fault();
        let found = format!("{} ({})", fault.message, fault.at.unwrap_or_default());
        findings.push(Finding { what: "plugin", state: State::Bad, found, hint: fault.hint });
    }
    findings
}

/// Whether files can be written, and how much.
fn folder(what: &'static str, folder: &Path) -> Finding {
    let existing = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let probe = existing.join(format!(".infomax-doctor-{}", std::process::id()));
    let shown = existing.canonicalize().unwrap_or_else(|_| existing.to_owned());
    let written = fs::write(&probe, "x");
    let _ = fs::remove_file(&probe);
    if let Err(error) = written {
        let hint = "choose another folder with `--set record.run_directory=…`";
        return Finding::new(what, State::Bad, format!("{}: {error}", shown.display()), Some(hint));
    }
    let free = free_mib(existing).unwrap_or(u64::MAX);
    if free < LEAST_FREE_MIB {
        return Finding::new(
            what,
            State::Bad,
            format!("{}: {free} MiB free", shown.display()),
            Some("free some space"),
        );
    }
    Finding::new(what, State::Good, format!("{}: {free} MiB free", shown.display()), None)
}

fn free_mib(folder: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(folder.as_os_str().as_bytes()).ok()?;
    // SAFETY: the structure is plain numbers, for which zeros are valid.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path is NUL-terminated and the structure outlives the call.
    let ok = unsafe { libc::statvfs(path.as_ptr(), &mut found) } == 0;
    ok.then(|| (found.f_bavail as u64).saturating_mul(found.f_frsize as u64) >> 20)
}
