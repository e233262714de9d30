//! The pre-activated block: norm → ReLU → conv, twice, plus the input; where its shape does not fit, a 1×1 convolution
//! of the activated input instead.

use crate::layers::{Convolution, ConvolutionPlan, Norm};
use infomax_sdk::{Mode, Names};
use tch::{Device, TchError, Tensor};

/// What a block is, before it is built.
#[derive(Clone, Copy, Debug)]
pub struct BlockPlan {
    pub conv1: ConvolutionPlan,
    pub conv2: ConvolutionPlan,
    pub shortcut: Option<ConvolutionPlan>,
}

impl BlockPlan {
    /// A block from C to O channels.
    pub fn new(c: i64, o: i64, stride: i64) -> Self {
        let conv = |c, width, stride| ConvolutionPlan { c, o, width, stride };
        Self { conv1: conv(c, 3, stride), conv2: conv(o, 3, 1), shortcut: (c != o).then(|| conv(c, 1, stride)) }
    }

    /// Trained numbers.
    pub fn parameters(&self) -> i64 {
        let Self { conv1, conv2, shortcut } = self;
        2 * conv1.c
            + 2 * conv2.c
            + conv1.parameters()
            + conv2.parameters()
            + shortcut.map_or(0, |conv| conv.parameters())
    }

    /// Numbers that the backward pass needs, of one image: both activated inputs, both outputs, the shortcut.
    pub fn activations(&self, size: [i64; 2]) -> i64 {
        let area = |[height, width]: [i64; 2]| height * width;
        let outputs = 3 + i64::from(self.shortcut.is_some());
        self.conv1.c * area(size) + outputs * self.conv2.o * area(self.conv1.size_after(size))
    }
}

/// The block.
pub struct Block {
    bn1: Norm,
    conv1: Convolution,
    bn2: Norm,
    conv2: Convolution,
    shortcut: Option<Convolution>,
}

impl Block {
    pub fn new(plan: &BlockPlan, device: Device) -> Result<Self, TchError> {
        Ok(Self {
            bn1: Norm::new(plan.conv1.c, device)?,
            conv1: Convolution::new(plan.conv1, device)?,
            bn2: Norm::new(plan.conv2.c, device)?,
            conv2: Convolution::new(plan.conv2, device)?,
            shortcut: plan.shortcut.map(|plan| Convolution::new(plan, device)).transpose()?,
        })
    }

    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let activated = self.bn1.forward(x, mode)?.f_relu_()?;
        let hidden = self.bn2.forward(&self.conv1.forward(&activated)?, mode)?.f_relu_()?;
        let shortcut = match &self.shortcut {
            Some(conv) => conv.forward(&activated)?,
            None => x.shallow_clone(),
        };
        self.conv2.forward(&hidden)?.f_add_(&shortcut)
    }

    pub fn name(&self, mut names: Names<'_>) {
        self.bn1.name(names.below("bn1"));
        self.conv1.name(names.below("conv1"));
        self.bn2.name(names.below("bn2"));
        self.conv2.name(names.below("conv2"));
        if let Some(conv) = &self.shortcut {
            conv.name(names.below("convShortcut"));
        }
    }
}
