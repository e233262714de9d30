//! ResNets (He et al. 2015), as torchvision has them. `encoder.rs` is what the host calls, `plan.rs` the list of layers
//! and what can be said of it without building it, `block.rs` the residual block, `heads.rs` the maps for multiscale losses.

mod block;
mod encoder;
mod heads;
mod plan;
mod pooling;

pub use encoder::ResNet;
