//! Pillow's Gaussian blur of a batch: each of its six box blurs a product with a matrix, built on the device from a box's
//! weights.

use super::{Kept, converted};
use crate::{Device, Kind, Tensor};
use infomax_image::operations::BoxWeights;

// M views · S side of a view

/// Radius, weight within it, weight beyond: f32 holds them.
pub(super) const NUMBERS: usize = 3;

const PASSES: usize = 3;
const UNIT: f64 = (1u32 << 24) as f64;

pub(super) fn write(sigma: Option<f32>, numbers: &mut [f32]) {
    let BoxWeights { radius, within, beyond } = sigma.map_or(BoxWeights::NONE, BoxWeights::new);
    numbers.copy_from_slice(&[radius as f32, within as f32, beyond as f32]);
}

/// 3 × M × S·S, blurred.
pub(super) fn blurred(kept: &Kept, x: &Tensor, side: i64, numbers_m: &Tensor) -> Tensor {
    let m = x.size_of(1);
    let matrices = matrices(kept, side, numbers_m).transpose(1, 2);
    let pass = |x: &Tensor| {
        let sums = x.view([m, 3 * side, side]).bmm(&matrices).add_(0.5);
        Tensor::op("aten::floor_", &[&sums])
    };
    let x = converted(&x.view([3, m, side, side]).permute([1, 0, 2, 3]), Kind::F64);
    let x = (0..PASSES).fold(x, |x, _| pass(&x));
    let x = x.view([m, 3, side, side]).transpose(2, 3).contiguous();
    let x = (0..PASSES).fold(x, |x, _| pass(&x));
    converted(&x.view([m, 3, side, side]).permute([1, 0, 3, 2]), Kind::F32).view([3, m, side * side])
}

/// M × S × S, f64: the weight of each pixel of a line in each pixel of the blurred one; what lies outside repeats the edge.
fn matrices(kept: &Kept, side: i64, numbers_m: &Tensor) -> Tensor {
    // Distances of what lies left of a boundary between pixels; the outermost boundaries lie beyond everything.
    let distances = kept.get(format!("boundaries of {side}"), numbers_m.device(), || {
        let far = f64::from(1u32 << 30);
        let distance = |pixel: i64, boundary: i64| match boundary {
            0 => -far,
            _ if boundary == side => far,
            _ => (boundary - 1 - pixel) as f64,
        };
        let all = (0..side).flat_map(|pixel| (0..=side).map(move |boundary| distance(pixel, boundary)));
        Tensor::from_slice(&all.collect::<Vec<f64>>(), [1, side, side + 1], Device::Cpu)
    });
    let numbers = converted(numbers_m, Kind::F64);
    let number = |at: i64| numbers.narrow(1, at, 1).unsqueeze(2);
    let (radius, within, beyond) = (number(0), number(1), number(2));
    let clamped = |x: Tensor, most: f64| Tensor::op("aten::clamp_", &[&x, &0.0, &most]);
    // All weight up to a boundary: of those within, and of the two beyond.
    let inner = (&distances + (&radius + 1.0)).clamp_min(0.0).minimum(&(&radius * 2.0 + 1.0)).mul_(&within);
    let outer = clamped(&distances + (&radius + 2.0), 1.0).add_(clamped(&distances - &radius, 1.0)).mul_(&beyond);
    let all = inner.add_(&outer).mul_(1.0 / UNIT);
    all.narrow(2, 1, side) - all.narrow(2, 0, side)
}
