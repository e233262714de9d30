//! `infomax data`.

use super::{experiment::ExperimentArguments, preview::write_sheet, say};
use crate::{
    dataset::{self, HashManifest, Scan as Scanned, ScanEvent, Source},
    error::{Error, Fault, Result},
    train::Setup,
};
use clap::{Args, Subcommand};
use std::{
    io::{Write, stderr},
    path::PathBuf,
    time::{Duration, Instant},
};

/// Commands on data.
#[derive(Debug, Subcommand)]
pub enum Data {
    /// Draw images and the views that training sees
    Preview(Preview),
    /// Read and decode every image, strictly, and list the bad ones
    Scan(Scan),
}

/// Arguments of `infomax data preview`.
#[derive(Debug, Args)]
pub struct Preview {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// The picture to write
    #[arg(long, default_value = "views.png")]
    out: PathBuf,
}

/// Arguments of `infomax data scan`.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 4 when images are bad. Example: infomax data scan configs/datasets/imagenet.toml")]
pub struct Scan {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// Write the SHA-256 of every image to `infomax-hashes.json` in the dataset's root; they are checked from then on
    #[arg(long)]
    write_manifest: bool,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// Between two lines on how far a scan is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

impl Data {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever fails, with its exit code.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Preview(Preview { experiment, out }) => {
                let (resolved, registry) = experiment.resolve()?;
                write_sheet(&resolved, &registry, &out, true)?;
                say(&format!("{}: images and their views", out.display()));
                Ok(())
            }
            Self::Scan(arguments) => scan(&arguments),
        }
    }
}

fn scan(arguments: &Scan) -> Result<()> {
    let (resolved, registry) = arguments.experiment.resolve()?;
    let experiment = &resolved.experiment;
    let table = &experiment.dataset;
    let mut manifest = match arguments.write_manifest {
        true => Some(HashManifest::new(&table.name, &table.config)?),
        false => None,
    };
    let setup = Setup::new(experiment, &registry, "cpu")?;
    let source = Source::open(&setup.dataset, table, None)?;
    source.tell();
    let deadline = Duration::from_secs(experiment.plugins.timeout_seconds);
    let mut told = Instant::now();
    let tell = |event: ScanEvent<'_>| {
        match event {
            ScanEvent::Read(path, Some(sha256)) => {
                if let Some(manifest) = &mut manifest {
                    manifest.add(path, sha256)?;
                }
            }
            ScanEvent::Bad(bad) if !arguments.json => say(&format!("bad: {}: {}", bad.path, bad.reason)),
            ScanEvent::Progress(scan, total) if told.elapsed() >= PROGRESS_EVERY => {
                told = Instant::now();
                let _ = writeln!(stderr(), "{} of {total} images, {} bad", scan.images, scan.bad.len());
            }
            _ => {}
        }
        Ok(())
    };
    let scan = dataset::scan(&source, experiment.train.worker_count(crate::cores::cores().len()), deadline, tell)?;
    let written = manifest.as_ref().map(HashManifest::write).transpose()?;
    let (count, bad) = (scan.images, scan.bad.len());
    if arguments.json {
        let mut report = serde_json::to_value(&scan).expect("a scan is plain data");
        report["manifest"] = written.map(|path| path.display().to_string()).into();
        say(&serde_json::to_string_pretty(&report).expect("a scan is plain data"));
    } else {
        let Scanned { animated, gray16, retried, .. } = scan;
        say(&format!("{count} images, {bad} bad, {animated} animated (first frame used), {retried} reads repeated"));
        if gray16 > 0 {
            say(&format!("{gray16} of 16-bit gray, read as `dataset.gray16` = {:?} says", table.gray16).to_lowercase());
        }
        if let (Some(path), Some(manifest)) = (written, &manifest) {
            say(&format!("{}: {} hashes", path.display(), manifest.len()));
        }
    }
    if bad > 0 {
        let fault = Fault::new(format!("{bad} of {count} images are bad"));
        let hint = "replace or remove the images that are listed, or train with `dataset.on_bad = \"skip\"`";
        return Err(Error::Dataset { fault: fault.hint(hint) });
    }
    Ok(())
}
