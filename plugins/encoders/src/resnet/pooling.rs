//! Averaging to a smaller map, by operators whose gradients repeat to the bit on every device: on a GPU those of
//! `adaptive_avg_pool2d`, whose windows these are, don't.
//!
//! Shapes: N images · C channels · H, W sides · h, w smaller sides.

use infomax_sdk::{Device, Tensor};
use std::cell::RefCell;

/// Averages to h × h. Where windows overlap, by a product with a matrix that is made once for each size of the input.
pub struct Pooling {
    side: i64,
    device: Device,
    matrices: RefCell<Vec<([i64; 2], Tensor)>>,
}

impl Pooling {
    /// To a side, of inputs of these sizes and of others.
    pub fn new(side: i64, sizes: impl IntoIterator<Item = [i64; 2]>, device: Device) -> Self {
        let pooling = Self { side, device, matrices: RefCell::default() };
        // Now, so that no step waits for a copy to the device.
        sizes.into_iter().filter(|size| pooling.overlaps(*size)).for_each(|size| drop(pooling.matrix(size)));
        pooling
    }

    /// N × C × H × W as N × C × h × h.
    pub fn forward(&self, x_nchw: &Tensor) -> Tensor {
        let [n, c, height, width] = x_nchw.dims();
        let (size, side) = ([height, width], self.side);
        if size == [side; 2] {
            return x_nchw.clone();
        }
        if !self.overlaps(size) {
            let window = size.map(|length| length / side);
            return x_nchw.avg_pool2d(window, window);
        }
        // With the channels last in memory the pixels' rows are a view.
        let rows = x_nchw.permute([0, 2, 3, 1]).reshape([n, height * width, c]);
        let matrix = self.matrix(size).unsqueeze(0).expand([n, side * side, height * width]);
        matrix.bmm(&rows).view([n, side, side, c]).permute([0, 3, 1, 2])
    }

    fn overlaps(&self, size: [i64; 2]) -> bool {
        size.iter().any(|length| length % self.side != 0)
    }

    /// h·h × H·W: the share of each pixel in each mean.
    fn matrix(&self, size: [i64; 2]) -> Tensor {
        let mut matrices = self.matrices.borrow_mut();
        if let Some((_, matrix)) = matrices.iter().find(|(known, _)| *known == size) {
            return matrix.clone();
        }
        let (side, [height, width]) = (self.side, size);
        let mut shares = vec![0f32; (side * side * height * width) as usize];
        for i in 0..side {
            for j in 0..side {
                let (rows, columns) = (window(i, side, height), window(j, side, width));
                let share = 1.0 / ((rows.end - rows.start) * (columns.end - columns.start)) as f32;
                for (row, column) in rows.flat_map(|row| columns.clone().map(move |column| (row, column))) {
                    shares[(((i * side + j) * height + row) * width + column) as usize] = share;
                }
            }
        }
        let matrix = Tensor::from_slice(&shares, [side * side, height * width], self.device);
        matrices.push((size, matrix.clone()));
        matrix
    }
}

/// What the mean at a place of `side` is taken over, of `length`.
fn window(place: i64, side: i64, length: i64) -> std::ops::Range<i64> {
    place * length / side..((place + 1) * length + side - 1) / side
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_those_of_adaptive_pooling() {
        let windows = |side, length| (0..side).map(|place| window(place, side, length)).collect::<Vec<_>>();
        assert_eq!(windows(5, 8), [0..2, 1..4, 3..5, 4..7, 6..8]);
        assert_eq!(windows(7, 8), [0..2, 1..3, 2..4, 3..5, 4..6, 5..7, 6..8]);
        assert_eq!(windows(5, 10), [0..2, 2..4, 4..6, 6..8, 8..10]);
    }
}
