//! Checkpoints: tensors as safetensors (`tensors`), directories that are written whole or not at all (`directory`, `disk`),
//! what a run's state is made of (`state`, over `copies`), writing it beside training (`writer`), and weights of others: the published code's
//! checkpoints (`published`, with `published_names`), or whatever holds an encoder (`weights`, over `held`, `torch_file`, `pickle`,
//! `shards` and `foreign_folder`).

mod copies;
mod foreign_folder;
mod held;
mod pickle;
mod published;
mod published_names;
mod shards;
mod state;
mod tensors;
mod torch_file;
mod weights;
mod writer;

use foreign_folder::foreign_folder;
pub use held::{HeldTensor, NamedSet};
pub use infomax_desk::checkpoint::*;
pub use published::{HYPERPARAMS, Published, Sizes};
pub use state::{ABOUT, RunState, Snapshot, encoder_file, restore, snapshot};
pub use tensors::{TensorFile, read_metadata, read_tensors, write_tensors};
pub use weights::{Weights, read_published, read_source, weights_digest};
pub use writer::Writer;
