//! The layers that networks share. Activations are N × C × H × W, channels-last in memory: oneDNN's and cuDNN's fast way.

mod convolution;
mod norm;

pub use convolution::{Convolution, ConvolutionPlan};
pub use norm::Norm;
