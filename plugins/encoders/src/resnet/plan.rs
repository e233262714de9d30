//! The list of layers for a depth and a config, its trained numbers and its sizes.

use crate::{
    config::resnet::{ResNetConfig, Stem},
    convolution::ConvolutionPlan,
};

/// The layers of a network.
#[derive(Clone, Debug)]
pub struct Plan {
    pub stem: ConvolutionPlan,
    pub max_pool: bool,
    pub stages: Vec<Vec<BlockPlan>>,
}

/// A residual block: convolutions, each with a normalisation, and the shortcut's where the input does not fit.
#[derive(Clone, Debug)]
pub struct BlockPlan {
    pub convolutions: Vec<ConvolutionPlan>,
    pub downsample: Option<ConvolutionPlan>,
}

/// Max-pooling after the ImageNet stem: its width, stride and padding.
pub const MAX_POOL: (i64, i64, i64) = (3, 2, 1); // He et al. 2015, table 1, padded as in torchvision

impl Plan {
    /// The layers of ResNet-18, -34 or -50.
    ///
    /// # Source
    /// He et al. 2015, table 1; the stride of a bottleneck lies on its 3×3 convolution, as in torchvision.
    pub fn new(depth: u32, config: &ResNetConfig) -> Self {
        let (counts, bottleneck) = match depth {
            18 => ([2, 2, 2, 2], false),
            34 => ([3, 4, 6, 3], false),
            _ => ([3, 4, 6, 3], true),
        };
        let mut c = config.width;
        let stages = (0..4).map(|stage| {
            let block = |block| {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let plan = BlockPlan::new(c, config.width << stage, stride, bottleneck);
                c = plan.channels();
                plan
            };
            (0..counts[stage]).map(block).collect()
        });
        let stages = stages.collect();
        let (width, stride) = match config.stem {
            Stem::Small => (3, 1),
            Stem::Imagenet => (7, 2),
        };
        let stem = ConvolutionPlan { c: 3, o: config.width, width, stride };
        Self { stem, max_pool: config.stem == Stem::Imagenet, stages }
    }

    /// Channels of each stage's output.
    pub fn channels(&self, stage: usize) -> i64 {
        self.stages[stage].last().expect("a stage has blocks").channels()
    }

    /// Channels of the last stage.
    pub fn top_channels(&self) -> i64 {
        self.channels(self.stages.len() - 1)
    }

    /// Trained numbers, without heads.
    pub fn parameters(&self) -> i64 {
        let blocks = self.stages.iter().flatten().flat_map(BlockPlan::all);
        blocks.chain([self.stem]).map(|conv| conv.parameters() + 2 * conv.o).sum()
    }

    /// Height and width of each stage's output, of an image's.
    pub fn stage_sizes(&self, image: [i64; 2]) -> Vec<[i64; 2]> {
        let mut size = self.size_after_stem(image);
        let mut after = |stage: &Vec<BlockPlan>| {
            size = stage.iter().fold(size, |size, block| block.size_after(size));
            size
        };
        self.stages.iter().map(&mut after).collect()
    }

    /// Numbers that the backward pass needs at most, of one image: the output of each convolution and of its normalisation, but
    /// for a shortcut's, which is added to the block's and gone. A CPU keeps the normalised maps at the ends of blocks alone.
    pub fn activations(&self, image: [i64; 2]) -> i64 {
        let area = |[height, width]: [i64; 2]| height * width;
        let mut size = self.size_after_stem(image);
        let mut numbers = 2 * self.stem.o * area(self.stem.size_after(image));
        for block in self.stages.iter().flatten() {
            numbers += block.downsample.map_or(0, |conv| conv.o * area(conv.size_after(size)));
            for conv in &block.convolutions {
                size = conv.size_after(size);
                numbers += 2 * conv.o * area(size);
            }
        }
        numbers
    }

    fn size_after_stem(&self, image: [i64; 2]) -> [i64; 2] {
        let size = self.stem.size_after(image);
        let (width, stride, padding) = MAX_POOL;
        if self.max_pool { size.map(|side| (side + 2 * padding - width) / stride + 1) } else { size }
    }
}

impl BlockPlan {
    fn new(c: i64, planes: i64, stride: i64, bottleneck: bool) -> Self {
        let conv = |c, o, width, stride| ConvolutionPlan { c, o, width, stride };
        let convolutions = if bottleneck {
            let o = 4 * planes; // He et al. 2015, table 1
            vec![conv(c, planes, 1, 1), conv(planes, planes, 3, stride), conv(planes, o, 1, 1)]
        } else {
            vec![conv(c, planes, 3, stride), conv(planes, planes, 3, 1)]
        };
        let o = convolutions.last().expect("two or three").o;
        let downsample = (stride != 1 || c != o).then(|| conv(c, o, 1, stride));
        Self { convolutions, downsample }
    }

    /// Channels of the output.
    pub fn channels(&self) -> i64 {
        self.convolutions.last().expect("two or three").o
    }

    fn all(&self) -> impl Iterator<Item = ConvolutionPlan> {
        self.convolutions.iter().copied().chain(self.downsample)
    }

    fn size_after(&self, size: [i64; 2]) -> [i64; 2] {
        self.convolutions.iter().fold(size, |size, conv| conv.size_after(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_counts_are_torchvisions_without_the_classifier() {
        // Sums over the parameters of torchvision's models, less the 1000-way `fc`.
        let config = ResNetConfig { stem: Stem::Imagenet, ..Default::default() };
        let counts = [18, 34, 50].map(|depth| Plan::new(depth, &config).parameters());
        assert_eq!(counts, [11_176_512, 21_284_672, 23_508_032]);
    }

    #[test]
    fn stages_have_the_published_sizes() {
        let sides = |stem, side| Plan::new(18, &ResNetConfig { stem, ..Default::default() }).stage_sizes([side; 2]);
        assert_eq!(sides(Stem::Imagenet, 224), [[56; 2], [28; 2], [14; 2], [7; 2]]);
        assert_eq!(sides(Stem::Small, 32), [[32; 2], [16; 2], [8; 2], [4; 2]]);
    }

    /// oneDNN's gradient of the weights of a strided 1×1 convolution that takes fewer than 8 channels, one vector of AVX2, writes
    /// past a buffer (libtorch 2.11, channels-last, processors with AVX2 and no AVX-512): no width that is allowed may have one.
    #[test]
    fn no_strided_convolution_of_one_pixel_takes_fewer_than_8_channels() {
        let schema = serde_json::to_value(schemars::schema_for!(ResNetConfig)).unwrap();
        let least = schema["properties"]["width"]["minimum"].as_i64().unwrap();
        for (depth, width) in
            [18, 34, 50].into_iter().flat_map(|depth| (least..least + 8).map(move |width| (depth, width)))
        {
            let plan = Plan::new(depth, &ResNetConfig { width, ..Default::default() });
            let strided = plan.stages.iter().flatten().flat_map(BlockPlan::all).filter(|conv| conv.stride > 1);
            let fewest = strided.filter(|conv| conv.width == 1).map(|conv| conv.c).min();
            assert!(fewest.is_some_and(|fewest| fewest >= 8), "resnet{depth} of width {width}: {fewest:?}");
        }
    }
}
