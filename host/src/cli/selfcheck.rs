//! `infomax selfcheck`.

use super::{
    experiment::{ExperimentArguments, Trust},
    say,
};
use crate::{
    config,
    distributed::{Place, report_to},
    error::{Error, Fault, Result},
    native,
    selfcheck::{self, Check, Options, Verdict},
    train::{open_cuda, resolve_device},
};
use clap::Args;
use std::{fs, path::PathBuf};

/// Arguments of `infomax selfcheck`.
#[derive(Debug, Args)]
pub struct Selfcheck {
    /// `cpu`, `cuda` or `cuda:N`; the first GPU if there is one
    #[arg(long, default_value = "auto", value_parser = parse_device)]
    device: config::Device,
    /// Processes to compare with one
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(2..=64))]
    nproc: u16,
    /// Leave out how fast steps are, and in how much memory
    #[arg(long)]
    no_throughput: bool,
    #[command(flatten)]
    trust: Trust,
    /// Write the results as JSON to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Be one of the processes that are compared
    #[arg(long, value_name = "FOLDER", hide = true)]
    rank_of: Option<PathBuf>,
}

/// A device of a command line.
pub(super) fn parse_device(text: &str) -> Result<config::Device, String> {
    config::Device::try_from(text.to_owned())
}

impl Selfcheck {
    /// Checks this machine's numbers.
    ///
    /// # Errors
    /// Checks that failed (exit code 1), or a device that isn't there.
    pub fn run(self) -> Result<()> {
        let _ = open_cuda(self.device);
        native::log_warnings();
        let registry = ExperimentArguments::trusting(self.trust).registry()?;
        if let Some(folder) = &self.rank_of {
            let place = Place::from_environment()?;
            let place =
                place.ok_or_else(|| Error::config(Fault::new("`--rank-of` is for processes of a supervisor")))?;
            report_to(folder.join("ranks").join(format!("rank-{}.json", place.rank)));
            return selfcheck::be_rank(&registry, folder, &place, self.device);
        }
        let device = resolve_device(self.device, 0)?;
        let folder = std::env::temp_dir().join(format!("infomax-selfcheck-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(Error::io("make the folder", &folder))?;
        let options =
            Options { device, nproc: self.nproc.into(), folder: folder.clone(), throughput: !self.no_throughput };
        say(&format!("device: {device:?}; differences and their bounds"));
        let checks = selfcheck::run(&registry, &options, &mut |check| say(&line(check)));
        let _ = fs::remove_dir_all(&folder);
        let checks = checks?;
        if let Some(path) = &self.json {
            let text = serde_json::json!({ "device": format!("{device:?}"), "checks": checks });
            let text = serde_json::to_string_pretty(&text).expect("checks are plain data");
            fs::write(path, text).map_err(Error::io("write", path))?;
        }
        let failed: Vec<&str> =
            checks.iter().filter(|check| check.verdict == Verdict::Failed).map(|check| check.name.as_str()).collect();
        if failed.is_empty() {
            say("this machine computes the right numbers");
            return Ok(());
        }
        Err(Error::Selfcheck { failed: failed.into_iter().map(str::to_owned).collect() })
    }
}

/// A check as a line of the table.
fn line(check: &Check) -> String {
    let verdict = match check.verdict {
        Verdict::Passed => "ok",
        Verdict::Failed => "FAILED",
        Verdict::Measured => "",
        Verdict::Skipped => "skipped",
    };
    let number = |value: f64| if check.bound.is_some() { format!("{value:.1e}") } else { format!("{value:.1}") };
    let measured = check.measured.map(number).unwrap_or_default();
    let bound = check.bound.map(|bound| format!("< {bound:.1e}")).unwrap_or_default();
    format!("{verdict:<8}{:<58}{measured:>9} {bound:<10} {}", check.name, check.detail).trim_end().to_owned()
}
