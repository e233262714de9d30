//! Whether this machine computes the right numbers: an embedded step of AMDIM recorded by an independent implementation
//! (`golden`), several processes against one (`parity`), other precisions against f32 (`precision`), and how fast and in
//! how much memory a step runs (`throughput`). Called by `infomax selfcheck`.

mod golden;
mod parity;
mod precision;
mod throughput;

pub use parity::{be_rank, compute, noise};

use crate::{
    error::Result,
    plugin::{Kind, Registry},
};
use serde::Serialize;
use std::path::PathBuf;
use tch::Device;

/// What is checked.
pub struct Options {
    pub device: Device,
    /// Processes to compare with one.
    pub nproc: usize,
    /// For what the ranks leave.
    pub folder: PathBuf,
    /// Whether to measure how fast steps are, too.
    pub throughput: bool,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// How it came out.
    pub verdict: Verdict,
    /// The figure, where there is one.
    pub measured: Option<f64>,
    /// What it must not reach, where there is such a bound.
    pub bound: Option<f64>,
    /// What the figure is, or what went wrong.
    pub detail: String,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Passed,
    Failed,
    /// Only a figure.
    Measured,
    /// Not possible here.
    Skipped,
}

impl Check {
    /// A figure below its bound, or not.
    pub fn below(name: impl Into<String>, measured: f64, bound: f64, detail: impl Into<String>) -> Self {
        let verdict = if measured < bound { Verdict::Passed } else { Verdict::Failed };
        Self { name: name.into(), verdict, measured: Some(measured), bound: Some(bound), detail: detail.into() }
    }

    /// A figure without a bound.
    pub fn figure(name: impl Into<String>, measured: f64, detail: impl Into<String>) -> Self {
        let (verdict, measured) = (Verdict::Measured, Some(measured));
        Self { name: name.into(), verdict, measured, bound: None, detail: detail.into() }
    }

    /// Something that is not possible here, and why.
    pub fn skipped(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Skipped, measured: None, bound: None, detail: why.into() }
    }

    /// Something that could not be computed.
    pub fn failed(name: impl Into<String>, error: &crate::error::Error) -> Self {
        let detail = error.faults().first().map(|fault| fault.message.clone()).unwrap_or_default();
        Self { name: name.into(), verdict: Verdict::Failed, measured: None, bound: None, detail }
    }
}

/// Checks everything, telling each result as it comes.
///
/// # Errors
/// A reference plugin that is missing.
pub fn run(registry: &Registry, options: &Options, tell: &mut dyn FnMut(&Check)) -> Result<Vec<Check>> {
    registry.find(Kind::Encoder, "amdim", None)?;
    registry.find(Kind::Loss, "amdim", None)?;
    let mut checks = Vec::new();
    let mut add = |name: &str, found: Result<Vec<Check>>| {
        let found = found.unwrap_or_else(|error| vec![Check::failed(name, &error)]);
        found.iter().for_each(&mut *tell);
        checks.extend(found);
    };
    add("recorded numbers", golden::check(registry, options.device));
    add("precision", precision::check(registry, options.device));
    for job in parity::jobs(options) {
        add(&job.name, parity::check(registry, options, &job));
    }
    if options.throughput {
        add("throughput", throughput::check(registry, options.device));
    }
    Ok(checks)
}
