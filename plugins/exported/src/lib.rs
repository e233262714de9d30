//! Components out of PyTorch, as data: an encoder or a loss that `torch.export.save` wrote is run operator by operator on the host's
//! libtorch, with gradients. Nothing in the file is executed, and the pickle in it is never opened.
//!
//! `archive` reads the file, `graph` makes a program of what it says, `run` runs that; `encoder` and `loss` are what the host calls.

mod archive;
mod config;
mod encoder;
mod graph;
mod inputs;
mod loss;
mod names;
mod opened;
mod run;
mod weights;

infomax_sdk::export_plugin! {
    encoders: { "exported" => encoder::ExportedNetwork },
    losses: { "exported" => loss::ExportedObjective },
}
