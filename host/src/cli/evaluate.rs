//! `infomax evaluate`: finished encoders, measured.

use super::{experiment::Trust, say};
use crate::{
    dataset::{labels, listed, share, tell_lacking},
    error::{Error, Fault, Result},
    evaluation::{
        Features, IMAGES, Opened, Row, Settings, Which, by_class, classes_to_csv, classes_to_text, confusion,
        confusions_to_csv, images_to_csv, measure, stage, to_csv, to_json, to_text,
    },
    record::write_whole,
    report,
    rows::csv_line,
};
use clap::Args;
use infomax_desk::{cli::only_runs, evaluation};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Which checkpoint of a run.
#[derive(Clone, Debug, Args)]
pub struct Checkpoint {
    /// `last`, `best` (on held-out images) or a step
    #[arg(long, default_value = "last", value_parser = which)]
    pub checkpoint: Which,
}

fn which(text: &str) -> Result<Which, String> {
    match text {
        "last" => Ok(Which::Last),
        "best" => Ok(Which::Best),
        step => step.parse().map(Which::Step).map_err(|_| "give `last`, `best` or a step".to_owned()),
    }
}

/// Arguments of `infomax evaluate`.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax evaluate runs/shapes-demo-1 --label-fraction 0.01 --label-fraction 0.1\n\n\
    Features of all labelled images in evaluation mode, standardised; a linear classifier by L-BFGS, its penalty chosen on a \
    tenth of the training images; nearest neighbours. Nothing is chosen on the test images.")]
pub struct Evaluate {
    /// Run directories
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    which: Checkpoint,
    #[command(flatten)]
    trust: Trust,
    /// Config files whose dataset takes the place of the run's: an encoder trained on one, judged on another
    #[arg(long, value_name = "CONFIG")]
    dataset: Vec<PathBuf>,
    /// Set a value of the run's config, such as `dataset.config.root=…`, or `evaluation.knn=true` and `evaluation.knn_k=20`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Use this share of the training labels too, of each class alike; more than one may be given
    #[arg(long, value_name = "SHARE", value_parser = fraction)]
    label_fraction: Vec<f64>,
    /// Use the training labels of the images that this file names, one a line
    #[arg(long, value_name = "FILE")]
    label_list: Option<PathBuf>,
    /// Nearest neighbours that vote; `evaluation.knn_k` of the run's config where not given
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    k: Option<u64>,
    /// Take features anew, though some are kept from before
    #[arg(long)]
    fresh: bool,
    /// Where `evaluation.json`, `evaluation.csv` and those of classes, confusions and images go for all runs together; each run's
    /// own ones go into its directory where not given, and a `report.html` there is written anew
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Writes what was found into a folder; the files' names.
fn write(folder: &Path, rows: &[Row], images: &str) -> Result<String> {
    fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
    let files = [
        (evaluation::FILE, to_json(rows)),
        ("evaluation.csv", to_csv(rows)),
        ("evaluation-classes.csv", classes_to_csv(rows)),
        ("evaluation-confusion.csv", confusions_to_csv(rows)),
        ("evaluation-images.csv", images.to_owned()),
    ];
    for (name, text) in &files {
        write_whole(&folder.join(name), text.as_bytes())?;
    }
    Ok(format!("{}: {}", folder.display(), files.map(|(name, _)| name).join(", ")))
}

fn fraction(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "give a number such as 0.1".to_owned())?;
    if share > 0.0 && share <= 1.0 { Ok(share) } else { Err("give a number above 0, at most 1".to_owned()) }
}

impl Evaluate {
    /// Measures the runs.
    ///
    /// # Errors
    /// A run that can't be opened, data without labels, what the plugins or libtorch say.
    pub fn run(self) -> Result<()> {
        let head = csv_line(&IMAGES.map(str::to_owned));
        let (mut rows, mut images, mut written) = (Vec::new(), head.clone(), Vec::new());
        for run in &only_runs(&self.runs, 1) {
            let (mut own_rows, mut own_images) = (Vec::new(), String::new());
            self.measure(run.clone(), &mut own_rows, &mut own_images)?;
            if self.out.is_none() {
                written.push(write(run, &own_rows, &(head.clone() + &own_images))?);
                let page = run.join(report::FILE);
                if page.exists() {
                    report::write(run, &page)?;
                }
            }
            rows.append(&mut own_rows);
            images += &own_images;
        }
        if let Some(folder) = &self.out {
            written.push(write(folder, &rows, &images)?);
        }
        let table = to_text(&rows);
        say(&format!("{}\n\n{}\n\n{}", table.trim_end(), classes_to_text(&rows), written.join("\n")));
        Ok(())
    }

    fn measure(&self, run: PathBuf, rows: &mut Vec<Row>, images: &mut String) -> Result<()> {
        let mut opened =
            Opened::open(&run, self.which.checkpoint, &self.dataset, &self.settings(), self.trust.lock()?)?;
        let evaluation = &opened.experiment.evaluation;
        let (knn_k, knn_temperature) = (self.k.unwrap_or(evaluation.knn_k), evaluation.knn_temperature);
        let settings = Settings { classes: opened.classes()?, knn_k, knn_temperature };
        let train = Features::of(&mut opened, "train", self.fresh)?;
        let test = Features::of(&mut opened, "test", self.fresh)?;
        for (split, features) in [("train", &train), ("test", &test)] {
            if features.labels_n.numel() == 0 {
                let message =
                    format!("the dataset `{}` has no labelled {split} images", opened.experiment.dataset.name);
                let hint = "give one that has: `--dataset configs/datasets/cifar10.toml`";
                return Err(Error::Dataset { fault: Fault::new(message).hint(hint) });
            }
        }
        let names = test.names(&opened, "test")?;
        for (labels, chosen) in self.parts(&opened)? {
            let part = chosen.map(|chosen| train.at(&chosen)).transpose().map_err(Error::torch("choose labels"))?;
            if part.as_ref().is_some_and(|part| part.labels_n.numel() == 0) {
                let message = format!("none of the training images chosen by `{labels}` has a label and can be read");
                let fault = Fault::new(message).hint("`infomax data scan` lists images that can't be read");
                return Err(Error::Dataset { fault });
            }
            let (measured, said) = measure(part.as_ref().unwrap_or(&train), &test, settings)?;
            let (dataset, run) = (opened.experiment.dataset.name.clone(), run.display().to_string());
            *images += &images_to_csv(&run, &labels, &names, &said);
            let classes = by_class(&names, &said);
            let confusion = confusion(&names, &said);
            let elsewhere = self.elsewhere();
            rows.push(Row { run, step: opened.step, dataset, elsewhere, labels, measured, classes, confusion });
        }
        Ok(())
    }
}

impl Evaluate {
    /// What is set: nearest neighbours are measured in any case, so that their settings always have an effect.
    fn settings(&self) -> Vec<String> {
        let says = |key: &str| self.set.iter().any(|set| set.trim_start().starts_with(key));
        let turned_on = says("evaluation.knn_") && !says("evaluation.knn=");
        self.set.iter().cloned().chain(turned_on.then(|| "evaluation.knn=true".to_owned())).collect()
    }

    /// The names of the files whose dataset takes the place of the run's.
    fn elsewhere(&self) -> Option<String> {
        let names = self.dataset.iter().filter_map(|path| path.file_stem());
        let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
        (!names.is_empty()).then(|| names.join("+"))
    }

    /// Which labels are used, by name: all, those that the run's config chose, those that are asked for; by position.
    fn parts(&self, opened: &Opened) -> Result<Vec<(String, Option<Vec<usize>>)>> {
        let table = &opened.experiment.dataset;
        let mut fractions: Vec<f64> = table.label_fraction.into_iter().chain(self.label_fraction.clone()).collect();
        let mut lists: Vec<&PathBuf> = table.label_list.iter().chain(&self.label_list).collect();
        fractions.dedup();
        lists.dedup();
        let mut parts = vec![("all".to_owned(), None)];
        if fractions.is_empty() && lists.is_empty() {
            return Ok(parts);
        }
        let stage = stage(opened, "train");
        let labels = labels(&opened.experiment, &opened.source, &stage)?;
        if !fractions.is_empty() {
            parts.extend(fractions.iter().map(|&fraction| (fraction.to_string(), Some(share(&labels, fraction)))));
        }
        for path in lists {
            let positions = listed(&opened.source, &stage, path)?;
            tell_lacking(&opened.source, &labels, &positions, path);
            parts.push((path.display().to_string(), Some(positions)));
        }
        Ok(parts)
    }
}
