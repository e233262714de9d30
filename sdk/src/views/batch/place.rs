//! Cutting views out of images: movements as positions that are looked up, resizing as products with matrices of Pillow's
//! fixed-point weights.

use super::{Kept, Layout, converted, to_bytes};
use crate::{Device, Kind, Tensor};
use infomax_image::operations::{Placement, WEIGHT_BITS, reflected, resize_weights};

// N images · V views of an image · M = N·V · H, W sides of an image · S side of a view

impl Layout {
    /// The views as 3 × M × S × S, f32, of N × H × W × 3 bytes.
    pub(super) fn place(&self, kept: &Kept, size: u32, images: &Tensor, numbers_m: &Tensor, views: i64) -> Tensor {
        match *self {
            Self::Whole { short_side, keeps, furthest } => {
                let is_square = images.size()[1..3] == [i64::from(size); 2];
                let stays = is_square && (keeps || short_side == size);
                let squares = if stays { images.clone() } else { whole(kept, size, short_side, images) };
                moved(kept, size, furthest, &squares, numbers_m, views)
            }
            Self::Crop => cropped(kept, size, images, numbers_m, views),
        }
    }
}

/// The view that evaluation sees, N × S × S × 3 bytes.
fn whole(kept: &Kept, size: u32, short_side: u32, images: &Tensor) -> Tensor {
    let [n, height, width, _] = images.dims();
    let side = i64::from(size);
    let sizes = [width, height].map(|side| side as u32);
    let Placement { scaled, offset, down_first } = Placement::centre_crop(sizes, short_side, [size; 2]);
    let [across, down] = [0, 1].map(|at| {
        let name = format!("whole {} to {} at {}, {size}", sizes[at], scaled[at], offset[at]);
        let make = || matrix(&resize_weights(sizes[at], scaled[at], offset[at], size), [side, sizes[at].into()]);
        kept.get(name, images.device(), make)
    });
    let x = converted(&images.permute([0, 3, 1, 2]), Kind::F64);
    let x = if down_first {
        to_bytes(&to_bytes(&down.matmul(&x)).matmul(&across.t()))
    } else {
        to_bytes(&down.matmul(&to_bytes(&x.matmul(&across.t()))))
    };
    converted(&x.view([n, 3, side, side]).permute([0, 2, 3, 1]), Kind::U8)
}

/// Squares of N × S × S × 3 bytes, each view moved and flipped.
fn moved(kept: &Kept, size: u32, furthest: u32, squares: &Tensor, numbers_m: &Tensor, views: i64) -> Tensor {
    let (n, side) = (squares.size_of(0), i64::from(size));
    let table = kept.get(format!("moved {size} by {furthest}"), squares.device(), || {
        let furthest = i64::from(furthest);
        let positions = (-furthest..=furthest).flat_map(|by| {
            let at = move |position: i64| reflected(position - by, size) as i64;
            (0..side).map(at).chain((0..side).rev().map(at)).collect::<Vec<_>>()
        });
        let positions: Vec<i64> = positions.collect();
        Tensor::from_slice(&positions, [positions.len() as i64 / side, side], Device::Cpu)
    });
    let rows = converted(numbers_m, Kind::I32).view([-1]);
    let positions = table.index_select(0, &rows).view([n * views, 2, side]);
    let (across, down) = (positions.select(1, 0).unsqueeze(1), positions.select(1, 1).unsqueeze(2));
    let positions = Tensor::op("aten::add.Tensor", &[&across, &down, &side]);
    let index = positions.view([n, views * side * side, 1]).expand([-1, -1, 3]);
    let pixels = squares.view([n, side * side, 3]).gather(1, &index);
    converted(&pixels.view([n * views, side * side, 3]).permute([2, 0, 1]), Kind::F32)
}

/// Regions of the images, resized and flipped.
fn cropped(kept: &Kept, size: u32, images: &Tensor, numbers_m: &Tensor, views: i64) -> Tensor {
    let [n, height, width, _] = images.dims();
    let (side, m) = (i64::from(size), n * views);
    let number = |at: i64| numbers_m.narrow(1, at, 1);
    let weights = |step: Option<Tensor>, base: i64, from: i64| Weights {
        base: number(base),
        step,
        offset: number(base + 2),
        from,
    };
    let across = weights(Some(number(1)), 0, width).matrices(kept, size);
    let down = weights(None, 3, height).matrices(kept, size);

    let x = converted(&images.permute([0, 3, 1, 2]), Kind::F64);
    // One product for all views of an image: their matrices stand side by side.
    let across_first = || {
        let across = across.view([n, views * side, width]).transpose(1, 2);
        let x = to_bytes(&x.view([n, 3 * height, width]).bmm(&across));
        let x = x.view([n, 3, height, views, side]).permute([0, 3, 2, 1, 4]).contiguous();
        to_bytes(&down.bmm(&x.view([m, height, 3 * side]))).view([m, side, 3, side]).permute([2, 0, 1, 3])
    };
    let down_first = || {
        let x = x.permute([0, 2, 1, 3]).contiguous().view([n, height, 3 * width]);
        let x = to_bytes(&down.view([n, views * side, height]).bmm(&x));
        let x = x.view([m, side * 3, width]).bmm(&across.transpose(1, 2));
        to_bytes(&x).view([m, side, 3, side]).permute([2, 0, 1, 3])
    };
    if height <= side {
        return converted(&across_first(), Kind::F32);
    }
    let first = number(4).gt(0.5).view([1, m, 1, 1]);
    converted(&down_first().where_else(&first, &across_first()), Kind::F32)
}

/// How the weights of one direction are found: rows of a table, each moved to where the region begins.
struct Weights {
    base: Tensor,
    /// One where not given.
    step: Option<Tensor>,
    offset: Tensor,
    /// Pixels of the image.
    from: i64,
}

impl Weights {
    /// M × S × pixels of the image, f64.
    fn matrices(&self, kept: &Kept, size: u32) -> Tensor {
        let (side, from, device) = (i64::from(size), self.from, self.base.device());
        // A row: as many zeros as the image has pixels, the weights of a region of each size, zeros again.
        let table = kept.get(format!("crop {from} to {size}"), device, || {
            let mut table = vec![0.0; ((from + 1) * side * 2 * from) as usize];
            for (region, rows) in table.chunks_exact_mut((side * 2 * from) as usize).enumerate().skip(1) {
                let weights = resize_weights(region as u32, size, 0, size);
                for (row, weights) in rows.chunks_exact_mut(2 * from as usize).zip(weights.chunks_exact(region)) {
                    let row = row[from as usize..].iter_mut().zip(weights);
                    row.for_each(|(value, &weight)| *value = (f64::from(weight) / UNIT) as f32); // exact: 24 bits
                }
            }
            Tensor::from_slice(&table, [(from + 1) * side, 2 * from], Device::Cpu)
        });
        let numbers = |count: i64| kept.get(format!("0..{count}"), device, || up_to(count));
        let rows = match &self.step {
            Some(step) => Tensor::op("aten::addcmul", &[&self.base, step, &numbers(side)]),
            None => &self.base + numbers(side),
        };
        let rows = table.index_select(0, &converted(&rows, Kind::I32).view([-1])).view([-1, side, 2 * from]);
        let columns = converted(&(&self.offset + numbers(from)), Kind::I64);
        let matrices = rows.gather(2, &columns.unsqueeze(1).expand([-1, side, -1]));
        matrices.to_kind(Kind::F64)
    }
}

const UNIT: f64 = (1u32 << WEIGHT_BITS) as f64;

fn up_to(count: i64) -> Tensor {
    let numbers: Vec<f32> = (0..count).map(|number| number as f32).collect();
    Tensor::from_slice(&numbers, [1, count], Device::Cpu)
}

fn matrix(weights: &[i32], shape: [i64; 2]) -> Tensor {
    let weights: Vec<f64> = weights.iter().map(|&weight| f64::from(weight) / UNIT).collect();
    Tensor::from_slice(&weights, shape, Device::Cpu)
}
