//! A run opened to look at its encoder: with its own config, its own builds, one of its checkpoints; on its own data or on others.

use crate::{
    checkpoint::{CheckpointSet, Retention, Verified},
    config::{self, Experiment, Resolved, Sources, resolve},
    console::note,
    dataset::Source,
    encoder::{ForeignEncoder, load_weights},
    error::{Error, Fault, Result},
    plugin::{Candidate, Kind, PluginError, Registry, Schemas, lock::Lock, search_folders},
    record::{IDENTITY, Identity, PluginIdentity},
    train::{Arithmetic, Setup, choose_products, device_name, open_cuda, resolve_device},
};
use std::path::{Path, PathBuf};
use tch::Device;

/// Which checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest whole one.
    Last,
    /// The one with the highest accuracy on held-out images.
    Best,
    /// That of a step.
    Step(u64),
}

/// An encoder as a run left it, and the data to show it.
pub struct Opened {
    pub run: PathBuf,
    pub experiment: Experiment,
    pub setup: Setup,
    pub source: Source,
    pub encoder: ForeignEncoder,
    /// Position of the representation among the encoder's maps.
    pub representation: usize,
    pub device: Device,
    /// Updates that the checkpoint has seen.
    pub step: u64,
    /// SHA-256 of the checkpoint's encoder.
    pub encoder_hash: String,
}

impl Opened {
    /// Opens a run; `dataset` are config files whose dataset takes the place of the run's, `set` further settings, `lock` what
    /// its libraries must be in.
    ///
    /// # Errors
    /// What is missing, damaged, or does not fit.
    pub fn open(run: &Path, which: Which, dataset: &[PathBuf], set: &[String], lock: Option<Lock>) -> Result<Self> {
        let config = run.join("config.toml");
        if !config.is_file() {
            let fault = Fault::new(format!("`{}` is not a run: it has no `config.toml`", run.display()));
            return Err(Error::config(fault.hint("name a run directory, such as `runs/shapes-demo-1`")));
        }
        // The run's own builds first; others' components only where it has none of that name.
        let own = vec![run.join("plugins")];
        let all = || own.iter().cloned().chain(search_folders(&[], None)).collect();
        let files: Vec<PathBuf> = [config].into_iter().chain(dataset.iter().cloned()).collect();
        let mut registry = Registry::search(own.clone(), &[], lock.clone());
        // Runs from before there was such a file have none.
        let identity = run.join(IDENTITY).exists().then(|| Identity::read(run)).transpose()?;
        // As its own builds, so its own copies of the files that components are read from.
        let kept = identity.as_ref().map(|identity| identity.kept_files(run)).unwrap_or_default();
        let sources = Sources { files, set: [&kept, set].concat(), ..Sources::default() };
        let within = |registry: &Registry| resolve(&sources, &Schemas(registry));
        if let Some(identity) = &identity {
            check_copies(run, identity, registry.candidates())?;
        }
        let mut resolved = within(&registry);
        if resolved.is_err() {
            let wider = Registry::search(all(), &[], lock);
            // Where that does not help, what the run's own builds say is what is wrong.
            if let Ok(found) = within(&wider) {
                (registry, resolved) = (wider, Ok(found));
            }
        }
        let Resolved { mut experiment, notes, .. } = resolved.map_err(|faults| registry.told(faults))?;
        notes.iter().for_each(note);
        let checkpoint = checkpoint(run, which, experiment.checkpoint.best_metric.name())?;
        for (kind, path) in [
            (Kind::Dataset, &mut experiment.dataset.path),
            (Kind::Augmentation, &mut experiment.augmentation.path),
            (Kind::Encoder, &mut experiment.encoder.path),
            (Kind::Loss, &mut experiment.loss.path),
        ] {
            // The copy that the run keeps stands for the file that it was trained with.
            let kept = identity.as_ref().and_then(|identity| identity.copy(run, kind)).map(|(copy, _)| copy);
            let named = |path: &PathBuf| Some(run.join("plugins").join(path.file_name()?));
            let copy = path.as_ref().and_then(|path| kept.or_else(|| named(path)));
            if let Some(copy) = copy.filter(|copy| copy.is_file()) {
                log::debug!("{}: the {} is the run's own copy", copy.display(), kind.name());
                *path = Some(copy);
            }
        }
        let _ = open_cuda(experiment.train.device);
        let device = resolve_device(experiment.train.device, 0)?;
        choose_products(experiment.train.products)?;
        crate::native::set_threads(experiment.train.thread_count(crate::cores::cores().len()));
        let setup = Setup::new(&experiment, &registry, &device_name(device))?;
        if let Some(identity) = &identity {
            identity.check_files(&run.join(IDENTITY), &setup.files()?, &[])?;
        }
        let short_side = setup.augmentation_description.decode_short_side;
        let source = Source::open(&setup.dataset, &experiment.dataset, short_side)?;
        source.tell();
        let arithmetic = Arithmetic::new(config::Precision::F32, device)?;
        let encoder = ForeignEncoder::create(&setup.encoder, &setup.encoder_request)?.computing_in(arithmetic);
        let _ = load_weights(&encoder, &checkpoint.path, false)?;
        let description = encoder.description();
        let is_representation = |map: &infomax_sdk::FeatureMap| map.name == description.representation;
        let representation = description.maps.iter().position(is_representation).expect("`describe` checked it");
        let encoder_hash = checkpoint.manifest.files.get("encoder.safetensors").map(|file| file.sha256.clone());
        Ok(Self {
            run: run.to_owned(),
            step: checkpoint.manifest.step,
            encoder_hash: encoder_hash.unwrap_or_default(),
            experiment,
            setup,
            source,
            encoder,
            representation,
            device,
        })
    }

    /// How many classes the data have.
    ///
    /// # Errors
    /// Data without classes.
    pub fn classes(&self) -> Result<i64> {
        let classes = self.source.facts().class_names.len();
        if classes >= 2 {
            return Ok(classes as i64);
        }
        let message = format!("the dataset `{}` has no classes to tell apart", self.experiment.dataset.name);
        let hint = "give one that has: `--dataset configs/datasets/cifar10.toml`";
        Err(Error::Dataset { fault: Fault::new(message).hint(hint) })
    }
}

/// Makes sure that the libraries in a run's folder are those that it was trained with.
///
/// # Errors
/// A library of the same name with another hash.
fn check_copies(run: &Path, identity: &Identity, found: &[Candidate]) -> Result<()> {
    for candidate in found {
        let is_copy = |plugin: &&PluginIdentity| run.join("plugins").join(&plugin.file) == candidate.path;
        if let Some(plugin) = identity.plugins.values().find(is_copy).filter(|p| p.sha256 != candidate.sha256) {
            let reason = format!(
                "the run was trained with {}…, this file has the hash {}…",
                &plugin.sha256[..12],
                &candidate.sha256[..12]
            );
            let hint = "put the run's own copy back; nothing but the run itself may write there";
            return Err(PluginError::refused(&candidate.path, reason, hint).into());
        }
    }
    Ok(())
}

/// Checkpoints that are named, those nearest to the one that was asked for.
const NAMED: usize = 12;

/// Which checkpoints there are.
fn there_are(set: &CheckpointSet, wanted: u64) -> String {
    let mut steps: Vec<u64> = set.list().into_iter().filter(|(_, found)| found.is_ok()).map(|(step, _)| step).collect();
    let count = steps.len();
    steps.sort_by_key(|step| (step.abs_diff(wanted), *step));
    steps.truncate(NAMED);
    steps.sort_unstable();
    let named = steps.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    match count {
        0 => "it has none: `train.steps` and `checkpoint.every_steps` say when one is saved".to_owned(),
        1 => format!("there is that of step {named}: `--checkpoint {named}`"),
        2..=NAMED => format!("there are those of steps {named}; or say `last` or `best`"),
        _ => format!("the nearest of {count} are those of steps {named}; or say `last` or `best`"),
    }
}

fn checkpoint(run: &Path, which: Which, best_metric: &str) -> Result<Verified> {
    let set = CheckpointSet::new(run.join("checkpoints"));
    let fail = |message: String, hint: &str| Error::Checkpoint { fault: Fault::new(message).hint(hint) };
    let list = "`infomax checkpoint list RUN` says what there is";
    match which {
        Which::Last => {
            let (newest, skipped) = set.newest();
            skipped.iter().for_each(|reason| log::warn!("checkpoint passed over: {reason}"));
            newest.ok_or_else(|| fail(format!("`{}` has no whole checkpoint", run.display()), list))
        }
        Which::Best => {
            let retention = Retention { best: 1, metric: best_metric.to_owned(), ..Retention::default() };
            let path = set.best(&retention).into_iter().next().ok_or_else(|| {
                let message = format!("`{}` has no checkpoint with a {best_metric} on held-out images", run.display());
                fail(message, "train with `evaluation.holdout_fraction` and `checkpoint.keep_best`")
            })?;
            CheckpointSet::read(&path).map_err(|reason| fail(reason, list))
        }
        Which::Step(step) => {
            let path = run.join(format!("checkpoints/step-{step:09}"));
            if !path.exists() {
                return Err(fail(
                    format!("`{}` has no checkpoint of step {step}", run.display()),
                    &there_are(&set, step),
                ));
            }
            let unreadable =
                |reason| fail(format!("the checkpoint `{}` can't be read: {reason}", path.display()), list);
            CheckpointSet::read(&path).map_err(unreadable)
        }
    }
}
