//! Wide ResNets (Zagoruyko and Komodakis 2016), with the names of the PyTorch code of xternalz/WideResNet-pytorch.
//! `encoder.rs` is what the host calls, `block.rs` the pre-activated block.

mod block;
mod encoder;

pub use encoder::WideResNet;
