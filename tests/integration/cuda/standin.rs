//! The device that is not there: built once, and small experiments on it.

use crate::support::{
    binary::infomax,
    workspace::{built, root, shared},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

/// Which device a run is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Cpu,
    /// The first of two, or each rank one.
    Cuda,
    /// All ranks on the first one.
    OneCuda,
}

/// A small experiment.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: &'static str,
    /// A file of `configs/methods`.
    pub method: &'static str,
    pub settings: Vec<(String, String)>,
    pub processes: usize,
}

const SMALL: &[(&str, &str)] = &[
    ("dataset.config", "{ train_length = 128, test_length = 32 }"),
    ("train.batch_size", "16"),
    ("train.threads", "1"),
    ("evaluation.batch_size", "16"),
    ("record.plot", "false"),
    ("optimizer.warmup_steps", "0"),
];
const RESNET: &[(&str, &str)] = &[("encoder.name", "resnet18"), ("encoder.config", "{ stem = \"small\", width = 8 }")];
const AMDIM: &[(&str, &str)] = &[("encoder.config", "{ ndf = 8, n_rkhs = 32, depth = 1 }")];

/// The folder of the built stand-in; none, said loudly, where its sources are missing.
pub fn standin() -> Option<&'static Path> {
    static BUILT: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let sources = shared()?.join("fakecuda");
        if !sources.join("build").exists() {
            eprintln!("SKIPPED: {} is missing", sources.display());
            return None;
        }
        let folder = built().join("fakecuda");
        let libtorch = std::env::var_os("LIBTORCH").map_or_else(|| root().join(".libtorch/link"), PathBuf::from);
        let mut build = Command::new("bash");
        build.arg(sources.join("build")).env("OUT", &folder).env("LIBTORCH", root().join(libtorch));
        let output = build.output().expect("bash runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(folder.join("lib"))
    });
    BUILT.as_deref()
}

/// A head of a small run's size, in a loss's table.
pub const HEAD: &str = "projector_hidden = 32, projector_dim = 16";

/// AMDIM's own encoder and loss, with more.
pub fn amdim(name: &'static str, more: &[(&str, &str)]) -> Case {
    case(name, "amdim", &[AMDIM, more].concat())
}

/// A loss on a small ResNet, with its own table.
pub fn resnet(name: &'static str, method: &'static str, loss: &str, more: &[(&str, &str)]) -> Case {
    let table = format!("{{ {loss} }}");
    case(name, method, &[RESNET, &[("loss.config", table.as_str())], more].concat())
}

/// nt-xent on a small vision transformer.
pub fn vit() -> Case {
    let table = format!("{{ {HEAD} }}");
    let settings =
        [("encoder.name", "vit-tiny"), ("encoder.config", "{ patch = 8, depth = 2 }"), ("loss.config", &table)];
    case("vit-tiny", "nt-xent", &settings)
}

/// A loss on places of a small ResNet's maps.
pub fn local_dim() -> Case {
    let encoder = ("encoder.config", "{ stem = \"small\", width = 8, n_rkhs = 32 }");
    let loss = ("loss.config", "{ estimator = \"nce\", embedding_hidden = 32, embedding_dim = 16 }");
    case("local-dim", "local-dim", &[encoder, loss])
}

/// A method with settings.
pub fn case(name: &'static str, method: &'static str, settings: &[(&str, &str)]) -> Case {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Case { name, method, settings, processes: 1 }
}

impl Case {
    pub fn on_two(self) -> Self {
        Self { processes: 2, ..self }
    }

    /// Trains so many updates in a folder; its run is called `run`.
    pub fn train(&self, folder: &Path, on: On, steps: u64, more: &[(&str, &str)]) -> Output {
        self.command(folder, on, steps, more).output().expect("the binary runs")
    }

    /// The command that does.
    pub fn command(&self, folder: &Path, on: On, steps: u64, more: &[(&str, &str)]) -> Command {
        let config = |kind: &str, name: &str| root().join(format!("configs/{kind}/{name}.toml"));
        let mut arguments: Vec<std::ffi::OsString> = vec!["train".into()];
        arguments.extend([config("methods", self.method).into(), config("datasets", "shapes").into()]);
        let own: Vec<(&str, &str)> = self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let steps = steps.to_string();
        let device = match on {
            On::Cpu => "cpu",
            On::Cuda if self.processes > 1 => "cuda",
            On::Cuda | On::OneCuda => "cuda:0",
        };
        let fixed = [
            ("train.steps", steps.as_str()),
            ("train.device", device),
            ("record.name", "run"),
            ("record.run_directory", "runs"),
        ];
        let mut settings = BTreeMap::new();
        for (key, value) in SMALL.iter().chain(&own).chain(&fixed).chain(more) {
            settings.insert(*key, *value);
        }
        for (key, value) in settings {
            arguments.extend(["--set".into(), format!("{key}={value}").into()]);
        }
        if self.processes > 1 {
            arguments.extend(["--nproc".into(), self.processes.to_string().into()]);
        }
        on_device(folder, &arguments, on)
    }
}

/// A command of the binary, which finds the stand-in unless it is for the CPU; reports go to `report.<process>.json`.
pub fn on_device(folder: &Path, arguments: &[impl AsRef<OsStr>], on: On) -> Command {
    fs::create_dir_all(folder).unwrap();
    let mut command = infomax(folder, arguments);
    command.env("OMP_NUM_THREADS", "1");
    command.env("INFOMAX_FUSED", "0"); // the layers that a device has, on the CPU too
    if on != On::Cpu {
        command.env("LD_LIBRARY_PATH", standin().expect("asked before"));
        command.env("FAKECUDA_REPORT", folder.join("report.%p.json")).env("FAKECUDA_STACKS", "0");
    }
    command
}

/// The reports of a folder's processes that computed, and no longer there.
pub fn reports(folder: &Path) -> Vec<Value> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("report.")) {
            let report: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            fs::remove_file(&path).unwrap();
            if report["kernels"].as_object().is_some_and(|kernels| !kernels.is_empty()) {
                found.push(report);
            }
        }
    }
    found
}

/// The sum of a report's table of counts.
pub fn total(table: &Value) -> i64 {
    table.as_object().unwrap().values().map(|count| count.as_i64().unwrap()).sum()
}
