//! A run's state as files: the encoder alone, readable by anyone; the rest of the tensors; everything else as JSON.

use super::{
    copies::Copies,
    tensors::{read_tensors, write_tensors},
};
use crate::{
    config::nearest,
    error::{Error, Fault, Result},
    loss::ForeignLoss,
    optimizer::Optimizer,
    tensor::NamedTensor,
    train::{Model, ScalerState},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use tch::Tensor;

const ENCODER: &str = "encoder.safetensors";
/// The key of the encoder's metadata: how it is made, what it takes, what it gives.
pub const ABOUT: &str = "infomax";
const TRAINING: &str = "training.safetensors";
const STATE: &str = "state.json";
const SHOWN: usize = 10; // tensors in a message

/// What a run must remember beside tensors. Randomness needs only the step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunState {
    /// Updates done, skipped ones among them.
    pub step: u64,
    /// Updates that the run was to have, where its budget tells: schedules lead to the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned_steps: Option<u64>,
    /// Seconds that the run has taken.
    pub seconds: f64,
    /// Steps in a row that updated nothing.
    pub skipped_in_a_row: u64,
    /// Steps that updated nothing.
    pub skipped: u64,
    /// Under f16: the next step's loss scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<ScalerState>,
    /// The last test's results.
    pub results: Vec<(String, f64)>,
    /// The updates that had been done at that test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tested: Option<u64>,
    /// The names of the classes that classifiers tell apart, by label.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// What classifiers reach on the untrained encoder.
    pub untrained: Vec<(String, f64)>,
    /// The encoder's own state.
    pub encoder: Value,
    /// The loss's own state.
    pub loss: Value,
}

/// A run's state as it was at one moment, in memory of its own. A GPU may still be at copying it: whoever asks for the files
/// waits for that.
pub struct Snapshot {
    /// Under the names that the checkpoint has.
    encoder: Copies,
    about: Value,
    /// All but the encoder.
    training: Copies,
    /// Of `training`, the first ones that are parameters or buffers, not an optimizer's.
    of_model: usize,
    /// The loss scale's state, under f16.
    scale: Copies,
    state: RunState,
}

/// Copies a run's state; a GPU is not waited for.
///
/// # Errors
/// What the plugins or libtorch say.
pub fn snapshot(model: &Model, state: &RunState) -> Result<Snapshot> {
    let (encoder, mut training): (Vec<_>, Vec<_>) =
        model.tensors()?.into_iter().map(pair).partition(|(name, _)| name.starts_with("encoder."));
    let of_model = training.len();
    let moments = model.optimizers().flat_map(Optimizer::state);
    training.extend(moments.map(|(name, tensor)| (format!("optimizer.{name}"), tensor)));
    let (encoder, training) = (Copies::of(encoder)?, Copies::of(training)?);
    let scale = Copies::of(model.scaler.iter().map(|scaler| ("loss_scale".to_owned(), scaler.tensor())).collect())?;
    let mut state = state.clone();
    state.encoder = model.encoder.save()?;
    state.loss = model.loss.as_ref().map(ForeignLoss::save).transpose()?.unwrap_or_default();
    Ok(Snapshot { encoder, about: model.about.clone(), training, of_model, scale, state })
}

impl Snapshot {
    /// The files of a checkpoint.
    ///
    /// # Errors
    /// Parameters that are not finite; what a GPU came to.
    pub fn files(mut self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        self.state.loss_scale = self.scale.wait()?.first().map(|(_, scale)| ScalerState::of(scale)).transpose()?;
        let (encoder, training) = (self.encoder.wait()?, self.training.wait()?);
        check_finite(encoder.iter().chain(&training[..self.of_model]))?;
        let encoder = encoder_bytes(encoder, &self.about)?;
        let text = serde_json::to_vec_pretty(&self.state).expect("state is plain data");
        let failed = |reason| Error::Checkpoint { fault: Fault::new(format!("can't write tensors: {reason}")) };
        let training = write_tensors(&training, HashMap::new()).map_err(failed)?;
        Ok(vec![(ENCODER, encoder), (TRAINING, training), (STATE, text)])
    }
}

/// The encoder alone, under its own names, with how it is made, what it takes and what it gives in the metadata.
///
/// # Errors
/// Parameters that are not finite; what the plugin or libtorch says.
pub fn encoder_file(model: &Model) -> Result<Vec<u8>> {
    let tensors = model.encoder.tensors()?.into_iter().map(pair);
    let copies = Copies::of(tensors.map(|(name, tensor)| (format!("encoder.{name}"), tensor)).collect())?.wait()?;
    check_finite(&copies)?;
    encoder_bytes(copies, &model.about)
}

fn encoder_bytes(copies: Vec<(String, Tensor)>, about: &Value) -> Result<Vec<u8>> {
    let strip = |(name, tensor): (String, Tensor)| (name["encoder.".len()..].to_owned(), tensor);
    let tensors: Vec<_> = copies.into_iter().map(strip).collect();
    // One entry: the format writes several in the order of a hash map, and equal encoders would differ in bytes.
    let metadata = HashMap::from([(ABOUT.to_owned(), about.to_string())]);
    let failed = |reason| Error::Checkpoint { fault: Fault::new(format!("can't write the encoder: {reason}")) };
    write_tensors(&tensors, metadata).map_err(failed)
}

fn check_finite<'a>(tensors: impl IntoIterator<Item = &'a (String, Tensor)>) -> Result<()> {
    let finite = |(_, tensor): &&(String, Tensor)| {
        !tensor.is_floating_point() || bool::try_from(tensor.isfinite().all()).unwrap_or(false)
    };
    let Some((name, _)) = tensors.into_iter().find(|pair| !finite(pair)) else { return Ok(()) };
    let fault = Fault::new(format!("`{name}` is not finite, so the state is not saved"));
    Err(Error::Diverged { fault: fault.hint("lower `optimizer.lr`, then go on from the last checkpoint") })
}

/// Puts a checkpoint's files into a model.
///
/// # Errors
/// Tensors that are missing, left over, or of another shape or dtype, each named.
pub fn restore(model: &mut Model, files: &BTreeMap<String, Vec<u8>>) -> Result<RunState> {
    let fail = |message: String| {
        let fault = Fault::new(message).hint("resume with the config and the plugins that wrote it");
        Error::Checkpoint { fault }
    };
    let file = |name: &str| files.get(name).ok_or_else(|| fail(format!("the checkpoint has no `{name}`")));
    let state: RunState =
        serde_json::from_slice(file(STATE)?).map_err(|error| fail(format!("can't read `{STATE}`: {error}")))?;
    let read = |name| read_tensors(file(name)?).map_err(|error| fail(format!("can't read `{name}`: {error}")));
    let (encoder, training) = (read(ENCODER)?, read(TRAINING)?);
    let mut saved: BTreeMap<String, Tensor> =
        encoder.tensors.into_iter().map(|(name, tensor)| (format!("encoder.{name}"), tensor)).collect();
    let mut moments = BTreeMap::new();
    for (name, tensor) in training.tensors {
        match name.strip_prefix("optimizer.") {
            Some(name) => moments.insert(name.to_owned(), tensor),
            None => saved.insert(name, tensor),
        };
    }
    let (mut wrong, mut missing) = (Vec::new(), Vec::new());
    for (name, mut own) in model.tensors()?.into_iter().map(pair) {
        match saved.remove(&name) {
            None => missing.push((name, own.size())),
            Some(tensor) if tensor.size() != own.size() || tensor.kind() != own.kind() => wrong.push(format!(
                "`{name}` is {:?} {:?}, expected {:?} {:?}",
                tensor.kind(),
                tensor.size(),
                own.kind(),
                own.size()
            )),
            Some(tensor) => tch::no_grad(|| own.f_copy_(&tensor)).map_err(Error::torch("load a checkpoint"))?,
        }
    }
    for (name, size) in missing {
        let of_size = saved.iter().filter(|(_, tensor)| tensor.size() == size).map(|(name, _)| name.as_str());
        let near = nearest(&name, of_size).map(|near| format!(" (nearest: `{near}`)")).unwrap_or_default();
        wrong.push(format!("`{name}` is missing{near}"));
    }
    wrong.extend(saved.into_keys().map(|name| format!("`{name}` is left over")));
    wrong.extend(model.optimizer.load_state(&mut moments).err().unwrap_or_default());
    if let Some(optimizer) = &mut model.classifier_optimizer {
        wrong.extend(optimizer.load_state(&mut moments).err().unwrap_or_default());
    }
    wrong.extend(moments.into_keys().map(|name| format!("`optimizer.{name}` belongs to no parameter")));
    if !wrong.is_empty() {
        let shown = wrong.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        let more = wrong.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return Err(fail(format!("the checkpoint does not fit the model: {shown}{more}")));
    }
    if let (Some(scaler), Some(saved)) = (&mut model.scaler, state.loss_scale) {
        scaler.load(saved)?;
    }
    if !state.encoder.is_null() {
        model.encoder.load(&state.encoder)?;
    }
    if let (Some(loss), false) = (&mut model.loss, state.loss.is_null()) {
        loss.load(&state.loss)?;
    }
    Ok(state)
}

fn pair(named: NamedTensor) -> (String, Tensor) {
    (named.name, named.tensor)
}
