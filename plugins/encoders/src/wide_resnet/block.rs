//! The pre-activated block: norm → ReLU → conv, twice, plus the input; where its shape does not fit, a 1×1 convolution
//! of the activated input instead.

use crate::convolution::ConvolutionPlan;
use infomax_sdk::{
    Device, Mode, Tensor, named,
    nn::{BatchNorm, Conv2d},
};

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
    bn1: BatchNorm,
    conv1: Conv2d,
    bn2: BatchNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

named!(Block { bn1, conv1, bn2, conv2, shortcut as "convShortcut" });

impl Block {
    pub fn new(plan: &BlockPlan, device: Device) -> Self {
        Self {
            bn1: BatchNorm::new(plan.conv1.c, device),
            conv1: plan.conv1.build(device),
            bn2: BatchNorm::new(plan.conv2.c, device),
            conv2: plan.conv2.build(device),
            shortcut: plan.shortcut.map(|plan| plan.build(device)),
        }
    }

    pub fn forward(&self, x: &Tensor, views: i64, mode: Mode) -> Tensor {
        let (hidden, shortcut) = match &self.shortcut {
            Some(conv) => {
                let activated = self.bn1.forward_relu(x, views, mode);
                (self.conv1.forward(&activated), conv.forward(&activated))
            }
            None => (self.bn1.forward_relu_conv(x, &self.conv1, views, mode), x.clone()),
        };
        self.bn2.forward_relu_conv(&hidden, &self.conv2, views, mode).add_(shortcut)
    }
}
