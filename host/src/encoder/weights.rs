//! Weights to start from, out of a `.safetensors` file, by name.

use super::ForeignEncoder;
use crate::{
    checkpoint::read_tensors,
    error::{Error, Fault, Result},
};
use std::{fs, path::Path};

const SHOWN: usize = 10; // names in a message

/// Fills an encoder from a file. Every tensor of the encoder must be there with its shape; tensors that the encoder does
/// not have (a classifier's) are left out and said.
///
/// # Errors
/// A file that can't be read, and every tensor that is missing or has another shape.
pub fn load_weights(encoder: &ForeignEncoder, path: &Path) -> Result<()> {
    let fail = |message: String, hint: &str| Error::Checkpoint {
        fault: Fault::new(message).at(path.display().to_string()).hint(hint),
    };
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let unreadable = |error| fail(format!("can't read `encoder.weights`: {error}"), "it must be a safetensors file");
    let mut saved = read_tensors(&bytes).map_err(unreadable)?.tensors;
    let mut wrong = Vec::new();
    for mut own in encoder.tensors()? {
        match saved.remove(&own.name) {
            None => wrong.push(format!("`{}` is missing", own.name)),
            Some(saved) if saved.size() != own.tensor.size() => {
                wrong.push(format!("`{}` is {:?}, expected {:?}", own.name, saved.size(), own.tensor.size()));
            }
            Some(saved) => {
                tch::no_grad(|| own.tensor.f_copy_(&saved)).map_err(Error::torch("load weights"))?;
            }
        }
    }
    if !wrong.is_empty() {
        let shown = wrong.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        let message = format!("{} tensors of `encoder.weights` don't fit the encoder: {shown}", wrong.len());
        return Err(fail(message, "choose the encoder and the `encoder.config` that the file was written with"));
    }
    if !saved.is_empty() {
        let names: Vec<_> = saved.keys().take(SHOWN).map(String::as_str).collect();
        log::info!("{}: {} tensors are not the encoder's: {}", path.display(), saved.len(), names.join(", "));
    }
    Ok(())
}
