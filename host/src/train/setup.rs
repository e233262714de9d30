//! Everything that can be known before anything is allocated: the components, what each gives the next, and whether
//! they fit together.

use crate::{
    augmentation,
    config::{Experiment, Stage},
    encoder,
    error::{Error, Fault, Result},
    loss,
    plugin::{Component, Kind, LoadComponent, Registry, read_files},
};
use infomax_sdk::{
    AugmentationDescription, DatasetDescription, EncoderDescription, EncoderInput, LossDescription, LossInput,
    requests::Request,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The four components of an experiment with their descriptions.
pub struct Setup {
    pub dataset: Component,
    pub dataset_description: DatasetDescription,
    pub augmentation: Component,
    pub augmentation_request: Request,
    pub augmentation_description: AugmentationDescription,
    pub encoder: Component,
    pub encoder_request: Request,
    pub encoder_description: EncoderDescription,
    pub loss: Component,
    pub loss_request: Request,
    pub loss_description: LossDescription,
}

impl Setup {
    /// Loads and describes the components.
    ///
    /// # Errors
    /// A component that is missing, refuses its config, or does not fit the others.
    pub fn new(experiment: &Experiment, registry: &Registry, device: &str) -> Result<Self> {
        let find = |kind, name: &str, path: Option<&Path>| -> Result<Component> {
            let (library, name) = registry.load(kind, name, path)?;
            Ok(Component::new(library, kind, name))
        };
        let dataset = find(Kind::Dataset, &experiment.dataset.name, experiment.dataset.path.as_deref())?;
        let request = Request { device: device.to_owned(), ..Request::default() };

        let dataset_request = Request { config: experiment.dataset.config.clone(), ..request.clone() };
        let dataset_description: DatasetDescription = dataset.describe(&dataset_request)?;

        let augmentation =
            find(Kind::Augmentation, &experiment.augmentation.name, experiment.augmentation.path.as_deref())?;
        let augmentation_request = Request { config: experiment.augmentation.config.clone(), ..request.clone() };
        let views = augmentation::describe(&augmentation, &augmentation_request)?;

        let encoder = find(Kind::Encoder, &experiment.encoder.name, experiment.encoder.path.as_deref())?;
        let batch_sizes = passes(experiment);
        let input = EncoderInput { views: views.views.clone(), eval_size: views.eval_size, batch_sizes };
        let encoder_request =
            Request { config: experiment.encoder.config.clone(), encoder: input.clone(), ..request.clone() };
        let maps = encoder::describe(&encoder, &encoder_request)?;

        let loss = find(Kind::Loss, &experiment.loss.name, experiment.loss.path.as_deref())?;
        let input = LossInput {
            views: input.views,
            maps: maps.maps.clone(),
            representation: maps.representation.clone(),
            class_count: dataset_description.class_count.map(|count| count as u64),
        };
        let loss_request = Request { config: experiment.loss.config.clone(), loss: input, ..request };
        let needs = loss::describe(&loss, &loss_request)?;
        check_loss(&needs, experiment)?;
        check_labels(&needs, experiment)?;

        Ok(Self {
            dataset,
            dataset_description,
            augmentation,
            augmentation_request,
            augmentation_description: views,
            encoder,
            encoder_request,
            encoder_description: maps,
            loss,
            loss_request,
            loss_description: needs,
        })
    }

    /// The hash of each file that a component is read from, by the key that names it.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn files(&self) -> Result<BTreeMap<String, String>> {
        let mut files = read_files(&self.augmentation, &self.augmentation_request.config)?;
        files.extend(read_files(&self.encoder, &self.encoder_request.config)?);
        files.extend(read_files(&self.loss, &self.loss_request.config)?);
        Ok(files)
    }

    /// The file that a key of [`Setup::files`] names.
    pub fn file(&self, key: &str) -> Option<PathBuf> {
        let requests = [&self.augmentation_request, &self.encoder_request, &self.loss_request];
        let configs = ["augmentation", "encoder", "loss"].into_iter().zip(requests);
        configs.into_iter().find_map(|(kind, request)| {
            let field = key.strip_prefix(kind)?.strip_prefix(".config.")?;
            request.config[field].as_str().map(PathBuf::from)
        })
    }

    /// The components in the order of the flow.
    pub fn components(&self) -> [&Component; 4] {
        [&self.dataset, &self.augmentation, &self.encoder, &self.loss]
    }
}

/// How many images of a view a pass of one process has, as far as the config says.
fn passes(experiment: &Experiment) -> Vec<u64> {
    let parts = experiment.distributed.nproc.max(1) * experiment.train.accumulation_steps.max(1);
    let (whole, rest) = (experiment.train.batch_size / parts, experiment.train.batch_size % parts);
    let all = [whole, whole + u64::from(rest > 0)].into_iter().filter(|&images| images > 0);
    let mut all: Vec<u64> = all.collect();
    all.dedup();
    all
}

/// Chosen labels that nothing would read are a mistake.
fn check_labels(needs: &LossDescription, experiment: &Experiment) -> Result<()> {
    let (dataset, evaluation) = (&experiment.dataset, &experiment.evaluation);
    let key = match (dataset.label_fraction, &dataset.label_list) {
        (Some(_), _) => "dataset.label_fraction",
        (_, Some(_)) => "dataset.label_list",
        _ => return Ok(()),
    };
    let is_pretraining = experiment.train.stage == Stage::Pretrain;
    if !is_pretraining || needs.labels || evaluation.linear || evaluation.mlp || evaluation.knn {
        return Ok(());
    }
    let loss = &experiment.loss.name;
    let message = format!(
        "`{key}` has no effect: `loss.name` = `{loss}` reads no labels, and `evaluation.linear`, `evaluation.mlp` and `evaluation.knn` are off"
    );
    Err(Error::config(Fault::new(message).hint("leave it out, or turn a classifier on")))
}

fn check_loss(needs: &LossDescription, experiment: &Experiment) -> Result<()> {
    let (name, batch) = (&experiment.loss.name, experiment.train.batch_size);
    if batch < needs.min_batch_size {
        let least = needs.min_batch_size;
        let message = format!("`train.batch_size` is {batch}, but `loss.name` = `{name}` needs at least {least}");
        return Err(Error::config(Fault::new(message).hint("raise `train.batch_size`")));
    }
    Ok(())
}
