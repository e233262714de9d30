//! `infomax checkpoint`: what a run has saved, and the way from and to the published code's checkpoints.

use super::say;
use crate::{
    checkpoint::{
        ABOUT, CheckpointSet, Found, HYPERPARAMS, Published, Sizes, Verified, Weights, read_metadata, read_published,
        read_source, read_tensors, write_tensors,
    },
    encoder::Described,
    error::{Error, Fault, Result},
    hash::sha256,
    record::write_whole,
};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};
use tch::Tensor;

/// Commands on checkpoints.
#[derive(Debug, Subcommand)]
pub enum Checkpoint {
    /// List what a run has saved: step, size, results, whether it is whole
    List {
        /// A run directory
        run: PathBuf,
    },
    /// Check every byte of a checkpoint, or of all of a run's
    Verify {
        /// A run directory or a checkpoint
        path: PathBuf,
    },
    /// Write an encoder, and classifiers, as one safetensors file
    #[command(after_help = "Example: infomax checkpoint export runs/shapes-demo-1 --out encoder.safetensors")]
    Export {
        /// A run directory, a checkpoint, a `.safetensors` file, or a file of `torch.save`
        source: PathBuf,
        /// The file to write, which must not exist
        #[arg(long)]
        out: PathBuf,
        /// Under which names
        #[arg(long, default_value = "infomax")]
        layout: Layout,
    },
    /// Read a checkpoint of the published AMDIM code, or an export under its names, and write what this program reads
    #[command(after_help = "Example: infomax checkpoint import amdim.pth --out amdim")]
    Import {
        /// The `.pth`, in which nothing is executed, or the `.safetensors`
        file: PathBuf,
        /// The folder to write, which must not exist
        #[arg(long)]
        out: PathBuf,
    },
}

/// Names of tensors in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// The encoder alone, under its own names
    Infomax,
    /// As the published AMDIM code names them: `encoder.module.…`, `evaluator.…`
    Published,
}

impl Checkpoint {
    /// Runs the command.
    ///
    /// # Errors
    /// What is missing or damaged, and the system's.
    pub fn run(self) -> Result<()> {
        match self {
            Self::List { run } => list(&run),
            Self::Verify { path } => verify(&path),
            Self::Export { source, out, layout } => export(&source, &out, layout),
            Self::Import { file, out } => import(&file, &out),
        }
    }
}

fn list(run: &Path) -> Result<()> {
    let found = checkpoints_of(run)?.survey();
    say(&format!("{:<18} {:>10} {:>14}  state", "name", "MiB", "config"));
    for Found { path, state, .. } in &found {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match state {
            Ok(Verified { manifest, .. }) => {
                let bytes: u64 = manifest.files.values().map(|file| file.bytes).sum();
                let results = manifest.metrics.iter().map(|(name, value)| format!("{name} {value:.2}"));
                let of = if manifest.held_out { " (held-out images)" } else { "" };
                let results: Vec<String> = results.collect();
                let results = if results.is_empty() { String::new() } else { format!(": {}{of}", results.join(", ")) };
                let (mib, config) =
                    (bytes as f64 / f64::from(1 << 20), &manifest.config[..manifest.config.len().min(12)]);
                say(&format!("{name:<18} {mib:>10.1} {config:>14}  whole{results}"));
            }
            Err(reason) => say(&format!("{:<18} {:>10} {:>14}  {reason}", name.escape_debug().to_string(), "", "")),
        }
    }
    Ok(())
}

fn verify(path: &Path) -> Result<()> {
    let found: Vec<(PathBuf, Result<Verified, String>)> = if path.join("checkpoints").is_dir() {
        let survey = checkpoints_of(path)?.survey();
        survey.into_iter().filter(|found| found.is_named).map(|found| (found.path, found.state)).collect()
    } else if path.is_dir() {
        vec![(path.to_owned(), CheckpointSet::read(path))]
    } else {
        return Err(missing(path));
    };
    let mut bad = Vec::new();
    for (path, state) in found {
        match state {
            Ok(verified) => say(&format!("whole    {} ({} files)", path.display(), verified.files.len())),
            Err(reason) => {
                say(&format!("DAMAGED  {}: {reason}", path.display()));
                bad.push(path.display().to_string());
            }
        }
    }
    if bad.is_empty() {
        return Ok(());
    }
    let fault = Fault::new(format!(
        "{} damaged: {}",
        if bad.len() == 1 { "a checkpoint is" } else { "checkpoints are" },
        bad.join(", ")
    ));
    Err(Error::Checkpoint { fault: fault.hint("a run goes on from the newest whole one; remove those that are not") })
}

fn export(source: &Path, out: &Path, layout: Layout) -> Result<()> {
    refuse_existing(out)?;
    let (encoder, classifiers, metadata) = parts(source)?;
    let tensors: Vec<(String, Tensor)> = match layout {
        Layout::Infomax => encoder.into_iter().collect(),
        Layout::Published => {
            let encoder = encoder.into_iter().map(|(name, tensor)| (format!("encoder.module.{name}"), tensor));
            encoder.chain(classifiers.into_iter().map(|(name, tensor)| (format!("evaluator.{name}"), tensor))).collect()
        }
    };
    let failed = |reason| Error::Checkpoint { fault: Fault::new(format!("can't write tensors: {reason}")) };
    let bytes = write_tensors(&tensors, metadata).map_err(failed)?;
    write_whole(out, &bytes)?;
    say(&format!("{}: {} tensors", out.display(), tensors.len()));
    Ok(())
}

type Parts = (BTreeMap<String, Tensor>, BTreeMap<String, Tensor>, HashMap<String, String>);

/// The encoder's and the classifiers' tensors under their own names, and what is known of them.
fn parts(source: &Path) -> Result<Parts> {
    if source.is_file() {
        let bytes = read_source(source)?;
        if let Some(Published { sizes, encoder, classifiers, .. }) = read_published(source, &bytes)? {
            let mut own = read_metadata(&bytes);
            let about = own.remove(ABOUT);
            let names = own.remove("class_names");
            let names: Vec<String> = names.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            return Ok((encoder, classifiers, metadata(sizes, &names, about)));
        }
    }
    let weights = Weights::read(source)?;
    let mut classifiers = BTreeMap::new();
    let mut class_names = Vec::new();
    // Beside the encoder that was found lies the rest of its checkpoint.
    if let Ok(checkpoint) = CheckpointSet::read(Path::new(&weights.at)) {
        let training = checkpoint.files.get("training.safetensors").map(|bytes| read_tensors(bytes));
        let training = training.transpose().map_err(|reason| Error::Checkpoint {
            fault: Fault::new(format!("can't read the classifiers: {reason}")).at(weights.at.clone()),
        })?;
        class_names = names_of_classes(&checkpoint);
        for (name, tensor) in training.unwrap_or_default().tensors {
            if let Some(own) = name.strip_prefix("evaluator.") {
                classifiers.insert(own.to_owned(), tensor);
            }
        }
    }
    let tensors = weights.all()?;
    let sizes = Sizes::of(&tensors, &classifiers).map(|sizes| completed(sizes, Path::new(&weights.at)));
    Ok((tensors, classifiers, metadata(sizes, &class_names, weights.metadata.get(ABOUT).cloned())))
}

/// The names of the classes that a checkpoint's classifiers tell apart, by label; empty where it has none.
fn names_of_classes(checkpoint: &Verified) -> Vec<String> {
    let state = checkpoint.files.get("state.json").and_then(|text| serde_json::from_slice::<Value>(text).ok());
    let names = state.and_then(|mut state| serde_json::from_value(state["class_names"].take()).ok());
    names.unwrap_or_default()
}

fn metadata(sizes: Option<Sizes>, class_names: &[String], about: Option<String>) -> HashMap<String, String> {
    let sizes = sizes.map(|sizes| (HYPERPARAMS.to_owned(), json!(sizes).to_string()));
    let names = (!class_names.is_empty()).then(|| ("class_names".to_owned(), json!(class_names).to_string()));
    let about = about.map(|about| (ABOUT.to_owned(), about));
    sizes.into_iter().chain(names).chain(about).collect()
}

/// What no tensor says, out of the config of the run that a checkpoint lies in, where it does.
fn completed(mut sizes: Sizes, checkpoint: &Path) -> Sizes {
    let run = checkpoint.parent().and_then(Path::parent);
    let text = run.and_then(|run| fs::read_to_string(run.join("config.toml")).ok()).unwrap_or_default();
    let config: toml::Table = text.parse().unwrap_or_default();
    let of = |table: &str, key: &str| {
        let component = config.get(table).filter(|component| component["name"].as_str() == Some("amdim"));
        component.and_then(|component| component.get("config")?.get(key)).cloned()
    };
    sizes.use_bn = of("encoder", "use_bn").and_then(|on| on.as_bool()).unwrap_or(sizes.use_bn);
    sizes.tclip = of("loss", "tclip").and_then(|tclip| tclip.as_float().or(tclip.as_integer().map(|n| n as f64)));
    sizes
}

fn import(file: &Path, out: &Path) -> Result<()> {
    refuse_existing(out)?;
    let bytes = read_source(file)?;
    let Some(Published { sizes, encoder, classifiers, counters, left_out }) = read_published(file, &bytes)? else {
        let fault = Fault::new(format!("`{}` does not name its tensors as the published code does", file.display()));
        return Err(Error::Checkpoint { fault: fault.hint(no_import(file)?) });
    };
    let source = json!({
        "file": file.file_name().unwrap_or_default().to_string_lossy(),
        "sha256": sha256(&bytes),
        HYPERPARAMS: sizes,
        "counters": counters,
        "left_out": left_out,
    });
    fs::create_dir_all(out).map_err(Error::io("make the folder", out))?;
    let written = |name: &str, tensors: BTreeMap<String, Tensor>| {
        let tensors: Vec<_> = tensors.into_iter().collect();
        let failed = |reason| Error::Checkpoint { fault: Fault::new(format!("can't write tensors: {reason}")) };
        write_whole(&out.join(name), &write_tensors(&tensors, HashMap::new()).map_err(failed)?)
    };
    written("encoder.safetensors", encoder)?;
    written("classifiers.safetensors", classifiers)?;
    let text = serde_json::to_string_pretty(&source).expect("plain data");
    write_whole(&out.join("source.json"), text.as_bytes())?;
    say(&format!("{}: encoder.safetensors, classifiers.safetensors, source.json\nIn a config:\n", out.display()));
    let weights = out.join("encoder.safetensors").display().to_string();
    let component = sizes.map(|sizes| format!("name = \"amdim\"\nconfig = {}\n", sizes.to_toml())).unwrap_or_default();
    say(&format!("[encoder]\n{component}weights = {weights:?}"));
    Ok(())
}

/// What to do with a file that is nothing to import: what its encoder is, as far as its names and shapes tell.
fn no_import(file: &Path) -> Result<String> {
    let weights = Weights::read(file)?;
    let found = weights
        .sets
        .iter()
        .find_map(|set| Described::of(&set.tensors.iter().map(|(name, held)| (name.as_str(), held.size())).collect()));
    let path = file.display().to_string();
    Ok(match found.as_ref().map(|found| (found, found.instead_of(None))) {
        Some((found, Some(settings))) => format!(
            "its encoder is {}, which needs no import: set `encoder.weights = {path:?}`, {}",
            found.what,
            settings.join(", ")
        ),
        Some((found, None)) => format!("its encoder is {}, which no encoder here is", found.what),
        None => String::from(
            "only checkpoints of the published code are imported; other weights are named under `encoder.weights` as they \
             are, if an encoder's tensors have their names",
        ),
    })
}

fn refuse_existing(out: &Path) -> Result<()> {
    if fs::symlink_metadata(out).is_err() {
        return Ok(());
    }
    let fault = Fault::new(format!("`{}` exists already", out.display()));
    Err(Error::config(fault.hint("give another name with `--out`, or remove it")))
}

fn checkpoints_of(run: &Path) -> Result<CheckpointSet> {
    let folder = run.join("checkpoints");
    if folder.is_dir() { Ok(CheckpointSet::new(folder)) } else { Err(missing(run)) }
}

fn missing(path: &Path) -> Error {
    let fault = Fault::new(format!("`{}` is neither a run with checkpoints nor a checkpoint", path.display()));
    Error::Checkpoint { fault: fault.hint("name a run directory, or one of its `checkpoints/step-…`") }
}
