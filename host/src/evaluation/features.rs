//! The representation of labelled images, as an encoder sees them in evaluation mode, kept beside the run.
//!
//! Shapes: N images · D channels.

use super::{ImageNames, Opened};
use crate::{
    augmentation::ForeignAugmentation,
    checkpoint::{read_tensors, write_tensors},
    console::note,
    dataset::{BatchMaker, EvalBatch, OrderedWorkers, Stage},
    error::{Error, Result},
    hash::sha256,
    record::write_whole,
    train::Normalisation,
};
use infomax_sdk::Mode;
use serde_json::json;
use std::{fs, path::PathBuf, sync::Arc, time::Duration};
use tch::{Kind, TchError, Tensor};

/// Features with their labels.
#[derive(Debug)]
pub struct Features {
    /// N × D, f32, on the CPU.
    pub x_nd: Tensor,
    /// N, in 0..classes; −1 for an image of pretraining that has none.
    pub labels_n: Tensor,
    /// N: positions in the split's stage, for the names of images.
    pub positions_n: Tensor,
}

impl Features {
    /// Those of the training or the test images that have labels, or of all images of pretraining; taken anew only where none are kept, or where `fresh`.
    ///
    /// # Errors
    /// A bad image, what the plugins or libtorch say, a file that can't be written.
    pub fn of(opened: &mut Opened, split: &str, fresh: bool) -> Result<Self> {
        let path = kept_at(opened, split);
        if let Some(kept) = read(&path).filter(|_| !fresh) {
            let (count, shown) = (kept.labels_n.numel(), path.display());
            note(format!("{split}: {count} features kept before are used ({shown}); `--fresh` takes them anew"));
            return Ok(kept);
        }
        let features = Self::take(opened, &stage(opened, split), split == PRETRAIN)?;
        let list = [
            ("features".to_owned(), features.x_nd.shallow_clone()),
            ("labels".to_owned(), features.labels_n.shallow_clone()),
            ("positions".to_owned(), features.positions_n.shallow_clone()),
        ];
        let failed = |what| Error::Bug { what: format!("features can't be written: {what}") };
        let metadata = features.names(opened, split)?.metadata(opened, split);
        let bytes = write_tensors(&list, metadata).map_err(failed)?;
        // A run that may not be written to is looked at all the same.
        let folder = path.parent().expect("it lies in the run");
        if fs::create_dir_all(folder).is_ok()
            && let Err(error) = write_whole(&path, &bytes)
        {
            log::warn!("features are not kept: {error}");
        }
        Ok(features)
    }

    fn take(opened: &mut Opened, stage: &Stage, unlabelled: bool) -> Result<Self> {
        let description = Arc::new(opened.setup.augmentation_description.clone());
        let [height, width] = description.eval_size;
        let normalisation = Normalisation::new(&description, opened.device).map_err(Error::torch("prepare views"))?;
        let augmentation = ForeignAugmentation::create(&opened.setup.augmentation, &opened.setup.augmentation_request)?;
        let maker = BatchMaker::new(opened.source.clone(), stage.clone(), augmentation, description);
        let train = &opened.experiment.train;
        let size = opened.experiment.evaluation.batch_size.unwrap_or(train.batch_size).max(1);
        let length = stage.len() as u64;
        let make = move |batch: u64| {
            // One at a time, so that a bad image that is left out is known by its position.
            let range = batch * size..((batch + 1) * size).min(length);
            let mut positions = Vec::new();
            let mut whole = EvalBatch { view: Vec::new(), labels: Vec::new() };
            for position in range {
                let one = maker.eval([position])?;
                if one.labels.first().is_some_and(|label| unlabelled || *label >= 0) {
                    positions.push(position as i64);
                    whole.view.extend(one.view);
                    whole.labels.extend(one.labels);
                }
            }
            Ok((whole, positions))
        };
        let deadline = Duration::from_secs(opened.experiment.plugins.timeout_seconds);
        let batches = OrderedWorkers::start(
            Arc::new(make),
            0..length.div_ceil(size),
            train.worker_count(crate::cores::cores().len()),
            train.prefetch.into(),
            deadline,
        );
        let (mut x, mut labels, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for batch in batches {
            let (batch, positions) = batch?;
            if positions.is_empty() {
                continue;
            }
            let view = normalisation.apply(&batch.view, height, width).map_err(Error::torch("prepare views"))?;
            let maps = tch::no_grad(|| opened.encoder.forward(&[view], Mode::Evaluate))?;
            let flat =
                |map: &Tensor| map.f_detach()?.f_flatten(1, -1)?.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu);
            x.push(flat(&maps[0][opened.representation]).map_err(Error::torch("collect representations"))?);
            labels.extend(batch.labels);
            all.extend(positions);
        }
        let joined = || -> Result<Self, TchError> {
            let x_nd = if x.is_empty() {
                Tensor::f_zeros([0, 1], (Kind::Float, tch::Device::Cpu))?
            } else {
                Tensor::f_cat(&x, 0)?
            };
            Ok(Self { x_nd, labels_n: Tensor::f_from_slice(&labels)?, positions_n: Tensor::f_from_slice(&all)? })
        };
        joined().map_err(Error::torch("collect representations"))
    }

    /// Which images the rows stand for.
    ///
    /// # Errors
    /// libtorch's.
    pub fn names(&self, opened: &Opened, split: &str) -> Result<ImageNames> {
        let numbers = |tensor: &Tensor| Vec::<i64>::try_from(tensor).map_err(Error::torch("read labels"));
        let (positions, labels) = (numbers(&self.positions_n)?, numbers(&self.labels_n)?);
        let root = opened.experiment.dataset.config["root"].as_str();
        Ok(ImageNames::of(&opened.source, root, &stage(opened, split), &positions, &labels))
    }

    /// Those of some positions, in rising order.
    ///
    /// # Errors
    /// libtorch's.
    pub fn at(&self, positions: &[usize]) -> Result<Self, TchError> {
        let own = Vec::<i64>::try_from(&self.positions_n)?;
        let is_chosen = |position: i64| positions.binary_search(&(position as usize)).is_ok();
        let rows: Vec<i64> = (0..).zip(own).filter(|(_, position)| is_chosen(*position)).map(|(row, _)| row).collect();
        let rows = Tensor::f_from_slice(&rows)?;
        let pick = |tensor: &Tensor| tensor.f_index_select(0, &rows);
        Ok(Self { x_nd: pick(&self.x_nd)?, labels_n: pick(&self.labels_n)?, positions_n: pick(&self.positions_n)? })
    }
}

/// What the images of pretraining are called, labelled or not.
pub const PRETRAIN: &str = "pretrain";

/// The samples of the split `train`, `test` or `pretrain`.
pub fn stage(opened: &Opened, split: &str) -> Stage {
    let roles = &opened.source.facts().roles;
    opened.source.stage(match split {
        "test" => &roles.test,
        PRETRAIN => &roles.pretrain,
        _ => &roles.train,
    })
}

/// Where features are kept: everything that they depend on is in the name.
fn kept_at(opened: &Opened, split: &str) -> PathBuf {
    let augmentation = &opened.experiment.augmentation;
    let depends = json!([
        opened.encoder_hash,
        opened.experiment.encoder.config,
        opened.source.facts().fingerprint,
        opened.source.state(),
        opened.experiment.dataset.exif_rotation,
        opened.experiment.dataset.gray16,
        augmentation.name,
        augmentation.config,
        format!("{:?}", opened.device),
    ]);
    let hash = sha256(depends.to_string());
    opened.run.join("features").join(format!("{split}-{}.safetensors", &hash[..16]))
}

/// Kept features, where they are whole.
fn read(path: &PathBuf) -> Option<Features> {
    let bytes = fs::read(path).ok()?;
    let mut tensors = read_tensors(&bytes).ok()?.tensors;
    let mut take =
        |name: &str, kind: Kind, dim: usize| tensors.remove(name).filter(|t| t.kind() == kind && t.dim() == dim);
    let x_nd = take("features", Kind::Float, 2)?;
    let (labels_n, positions_n) = (take("labels", Kind::Int64, 1)?, take("positions", Kind::Int64, 1)?);
    let same = x_nd.size()[0] == labels_n.size()[0] && x_nd.size()[0] == positions_n.size()[0];
    same.then_some(Features { x_nd, labels_n, positions_n })
}
