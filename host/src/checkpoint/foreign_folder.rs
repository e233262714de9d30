//! Folders that other programs leave: those with one file of weights, and those that nothing here reads, named for what they are.

use crate::error::Fault;
use std::path::{Path, PathBuf};

/// Files of weights in folders of Hugging Face's libraries, the ones that are preferred first.
const FILES: [&str; 3] = ["model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin"];

/// The file of weights in a folder; none where it is no folder of others.
///
/// # Errors
/// A folder that is known and can't be read, with the lines that make something of it.
pub fn foreign_folder(path: &Path) -> Result<Option<PathBuf>, Fault> {
    if path.join("manifest.json").exists() || path.join("checkpoints").exists() {
        return Ok(None);
    }
    let at = path.display().to_string();
    if path.join(".metadata").is_file() {
        let fault = Fault::new(format!("`{at}` is a checkpoint of torch.distributed.checkpoint (DCP), in pieces"));
        return Err(fault.hint(format!(
            "in Python: `from torch.distributed.checkpoint.format_utils import dcp_to_torch_save`, then \
             `dcp_to_torch_save({at:?}, \"weights.pth\")`, and name `weights.pth`"
        )));
    }
    if path.join("zero_to_fp32.py").is_file() {
        let fault = Fault::new(format!("`{at}` is a checkpoint of DeepSpeed, in pieces"));
        return Err(fault.hint("there: `python zero_to_fp32.py . weights --safe_serialization`, and name that folder"));
    }
    Ok(FILES.iter().map(|name| path.join(name)).find(|file| file.is_file()))
}
