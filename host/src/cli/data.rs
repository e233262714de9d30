//! `infomax data`.

use super::{experiment::ExperimentArguments, preview::write_sheet, say};
use crate::{
    dataset::Source,
    error::{Error, Fault, Result},
    train::Setup,
};
use clap::{Args, Subcommand};
use std::path::PathBuf;

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
pub struct Scan {
    #[command(flatten)]
    experiment: ExperimentArguments,
}

impl Data {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever fails, with its exit code.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Preview(Preview { experiment, out }) => {
                let (resolved, registry) = experiment.resolve()?;
                write_sheet(&resolved, &registry, &out)?;
                say(&format!("{}: images and their views", out.display()));
                Ok(())
            }
            Self::Scan(Scan { experiment }) => scan(&experiment),
        }
    }
}

fn scan(experiment: &ExperimentArguments) -> Result<()> {
    let (resolved, registry) = experiment.resolve()?;
    let setup = Setup::new(&resolved.experiment, &registry, "cpu")?;
    let source = Source::open(&setup.dataset, &resolved.experiment.dataset, None)?;
    let (mut bad, mut animated, mut count) = (0_u64, 0_u64, 0_u64);
    for (number, split) in source.facts().splits.iter().enumerate() {
        for index in 0..split.length {
            count += 1;
            match source.read(number, index)? {
                Ok(image) => animated += u64::from(image.was_animated),
                Err(found) => {
                    bad += 1;
                    say(&format!("bad: {}: {}", found.place, found.reason));
                }
            }
        }
    }
    say(&format!("{count} images, {bad} bad, {animated} animated (first frame used)"));
    if bad > 0 {
        let fault = Fault::new(format!("{bad} of {count} images are bad"));
        return Err(Error::Dataset { fault: fault.hint("remove or replace the images listed above") });
    }
    Ok(())
}
