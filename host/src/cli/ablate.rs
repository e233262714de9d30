//! `infomax ablate`: a study from one file, planned, trained, and reported.

use super::say;
use crate::{
    cli::experiment::Trust,
    comparison::{Comparison, Format},
    config::{Fault, Sources},
    error::{Error, Result},
    plugin::{Registry, found_beside},
    study::{
        Array, Live, Plan, PlannedCell, Study, Summary, Work, changes, compare, counted, drive, lacking, ledger_of,
        measure, note, planned, reasons, slots, to_text, verdict, write_slurm,
    },
    train::Signals,
};
use clap::{Args, Subcommand, ValueEnum};
use infomax_desk::cli::Told;
use std::{collections::BTreeSet, path::PathBuf, time::Duration};

/// Subcommands of `infomax ablate`.
#[derive(Debug, Subcommand)]
pub enum Ablate {
    /// Show every cell of a study: whether it can be trained, what is done, what the rest will take
    Plan(PlanCommand),
    /// Train what is missing of a study; run it again after any interruption
    Run(RunCommand),
    /// Tell what a study came to: means over seeds, differences to the baseline and how sure they are, what failed
    Report(ReportCommand),
}

/// Which study.
#[derive(Debug, Args)]
struct StudyArguments {
    /// The study file
    #[arg(value_name = "STUDY")]
    file: PathBuf,
    /// Set a value in every cell: `--set dataset.config.root=/data`; wins over the study
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    trust: Trust,
    /// How long another machine's work on a cell counts without a sign of life
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(10..))]
    lease_seconds: u64,
}

/// Arguments of `infomax ablate plan`.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax ablate plan configs/studies/shapes-six.toml")]
pub struct PlanCommand {
    #[command(flatten)]
    study: StudyArguments,
    /// How to show it
    #[arg(long, value_enum, default_value_t = PlanFormat::Table)]
    format: PlanFormat,
    /// Begin a cell of each point that nothing is known of, for this long, to see what the study will take; they go on from there
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "20")]
    measure: Option<u64>,
    /// Write the missing cells as a SLURM array
    #[arg(long, value_name = "FILE")]
    slurm: Option<PathBuf>,
    /// Tasks of the array at once
    #[arg(long, value_name = "N", requires = "slurm")]
    at_once: Option<usize>,
    /// A further `#SBATCH` line of the array: `--sbatch "--partition=gpu"`
    #[arg(long, value_name = "OPTION", requires = "slurm", allow_hyphen_values = true)]
    sbatch: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PlanFormat {
    Table,
    Json,
}

/// Arguments of `infomax ablate run`.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax ablate run configs/studies/shapes-six.toml --workers 2")]
pub struct RunCommand {
    #[command(flatten)]
    study: StudyArguments,
    /// Cells at once; one per GPU, or as many as the cores hold, where not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096))]
    workers: Option<u64>,
    /// Devices that the cells take turns on: `cuda:0,cuda:1`, `cpu`
    #[arg(long, value_name = "DEVICES", value_delimiter = ',')]
    devices: Vec<String>,
    /// Try cells again that failed before
    #[arg(long)]
    retry_failed: bool,
    /// Don't wait for cells that others work on
    #[arg(long)]
    no_wait: bool,
    /// Train these cells only: a number, or an id
    #[arg(long, value_name = "CELL")]
    cell: Vec<String>,
}

/// Arguments of `infomax ablate report`.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax ablate report configs/studies/shapes-six.toml --out shapes.html")]
pub struct ReportCommand {
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    told: Told,
}

impl ReportCommand {
    fn run(self) -> Result<()> {
        self.told.check()?;
        let (plan, _) = self.study.plan()?;
        self.told.tell(&compared(&plan, self.told.metric.as_deref(), self.told.further())?)
    }
}

impl Ablate {
    /// Does what was asked for.
    ///
    /// # Errors
    /// Whatever fails, with its exit code.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Plan(plan) => plan.run(),
            Self::Run(run) => run.run(),
            Self::Report(report) => report.run(),
        }
    }
}

impl StudyArguments {
    /// The plugins that the study's experiments can use: those beside its file, and in the folders that it or its bases add.
    fn registry(&self, study: &Study) -> Result<Registry> {
        let above = vec![study.piece.below(&["config"])];
        let said = Sources { files: study.base.clone(), above, set: self.set.clone(), ..Sources::default() };
        found_beside(Some(study.file()), &said, self.trust.locked)
    }

    fn plan(&self) -> Result<(Plan, Registry)> {
        let study = Study::read(&self.file)?;
        let registry = self.registry(&study)?;
        let plan = Plan::new(study, &registry, &self.set, Duration::from_secs(self.lease_seconds))?;
        Ok((plan, registry))
    }
}

impl PlanCommand {
    fn run(self) -> Result<()> {
        let (plan, registry) = self.study.plan()?;
        if let Some(seconds) = self.measure {
            let slots = slots(&plan, None, &[])?;
            let (folders, signals) = (registry.path_list()?, Signals::listen(true)?);
            measure(&plan, &slots[0], &folders, Duration::from_secs(seconds), &signals, |text| eprintln!("{text}"))?;
        }
        let cells = planned(&plan)?;
        match self.format {
            PlanFormat::Table => {
                say(&to_text(&plan, &cells));
                lacking(&plan, &cells).iter().chain(&changes(&plan)).for_each(|note| say(note));
            }
            PlanFormat::Json => say(&serde_json::to_string_pretty(&cells).expect("plain data")),
        }
        if let Some(to) = &self.slurm {
            let missing: Vec<usize> = cells.iter().filter(|cell| is_to_do(cell)).map(|cell| cell.number).collect();
            if missing.is_empty() {
                return Err(Error::config(Fault::new("no cell is missing: there is nothing to submit")));
            }
            if missing.len() < cells.iter().filter(|cell| cell.state != "done").count() {
                log::info!("cells that failed, are impossible or are under way are left out");
            }
            let array = Array { at_once: self.at_once, options: self.sbatch.clone(), set: self.study.set.clone() };
            // Where SLURM writes the tasks' output.
            let logs = plan.store.beside("studies");
            std::fs::create_dir_all(&logs).map_err(Error::io("make the folder", &logs))?;
            write_slurm(&plan, &missing, &array, to)?;
            eprintln!("{}: {} tasks; submit it with `sbatch {}`", to.display(), missing.len(), to.display());
        }
        Ok(())
    }
}

fn is_to_do(cell: &PlannedCell) -> bool {
    matches!(cell.state, "missing" | "interrupted") && cell.same_as.is_none()
}

impl RunCommand {
    fn run(self) -> Result<()> {
        let (mut plan, registry) = self.study.plan()?;
        let only = self.only(&plan)?;
        let slots = slots(&plan, self.workers.map(|count| count as usize), &self.devices)?;
        let folders = registry.path_list()?;
        let signals = Signals::listen(false)?;
        let mut live = Live::new(slots.len());
        changes(&plan).iter().for_each(|note| live.note(note));
        let mut work = Work {
            slots,
            folders,
            only,
            retry_failed: self.retry_failed,
            waits: !self.no_wait,
            signals,
            live: &mut live,
        };
        let summary = loop {
            note(&plan)?;
            let summary = drive(&plan, &mut work)?;
            // A rung that is done decides on the next one.
            let rungs = plan.rungs.iter().filter(|rung| rung.is_known).count();
            if summary.was_interrupted || rungs == plan.rungs.len() {
                break summary;
            }
            plan = self.study.plan()?.0;
            work.retry_failed = false; // they were tried again in the rung before
            if plan.rungs.iter().filter(|rung| rung.is_known).count() <= rungs {
                break summary;
            }
        };
        live.finish();
        tell(&plan, &summary)?;
        if summary.done > 0 && !summary.was_interrupted {
            say(&format!("\n{}", compared(&plan, None, None)?.to_text(Format::Table).trim_end()));
        }
        verdict(&plan, &summary)
    }

    /// The numbers of the cells that are asked for.
    fn only(&self, plan: &Plan) -> Result<BTreeSet<usize>> {
        let find = |wanted: &String| {
            let is = |cell: &&crate::study::Cell| {
                cell.number.to_string() == *wanted || cell.ready.as_ref().is_ok_and(|ready| ready.id == *wanted)
            };
            plan.cells.iter().find(is).map(|cell| cell.number).ok_or_else(|| {
                let fault = Fault::new(format!("the study has no cell `{wanted}`"));
                Error::config(fault.hint("`infomax ablate plan` lists numbers and ids; an edited study has others"))
            })
        };
        self.cell.iter().map(find).collect()
    }
}

fn compared(plan: &Plan, metric: Option<&str>, further: Option<Vec<String>>) -> Result<Comparison> {
    compare(&plan.study.name, &ledger_of(plan), &plan.store, metric, further)
}

/// Says how a study ended.
fn tell(plan: &Plan, summary: &Summary) -> Result<()> {
    let cells = planned(plan)?;
    let Summary { done, trained, failed, impossible, left, .. } = summary;
    let are = if *done == 1 { "is" } else { "are" };
    let mut text = format!("{} {are} done, {trained} of them trained now", counted(*done));
    if *left > 0 {
        text += &format!("; {left} are left");
    }
    say(&text);
    let is_told = |cell: &&PlannedCell| failed.contains_key(&cell.number) || impossible.contains(&cell.number);
    let told: Vec<&PlannedCell> = cells.iter().filter(is_told).collect();
    reasons(plan, &told).iter().for_each(|reason| say(reason));
    Ok(())
}
