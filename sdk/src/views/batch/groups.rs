//! All views of an augmentation: groups of one size each, one after the other.

use super::{Drawn, Kept, LARGEST, Set};
use crate::{Error, Result, Tensor};

/// The sets of an augmentation with how many views each has, and what they keep on the device.
pub struct Groups {
    groups: Vec<(Set, usize)>,
    kept: Kept,
}

impl Groups {
    /// Groups in the order of the views.
    pub fn new(groups: impl IntoIterator<Item = (Set, usize)>) -> Self {
        Self { groups: groups.into_iter().collect(), kept: Kept::default() }
    }

    fn count(&self) -> usize {
        self.groups.iter().map(|(set, views)| set.numbers() * views).sum()
    }

    /// How many numbers hold what is drawn for all views of an image of this size.
    ///
    /// # Errors
    /// An image that is empty or too large.
    pub fn numbers(&self, width: u32, height: u32) -> Result<usize> {
        if [width, height].iter().all(|side| (1..=LARGEST).contains(side)) {
            return Ok(self.count());
        }
        Err(Error::data(format!("images of {width}×{height} pixels are not for batches"))
            .hint(format!("views in batch are made of images of 1 to {LARGEST} pixels a side")))
    }

    /// Writes what `draw` draws for each view of an image (width, height) down.
    ///
    /// # Errors
    /// An image that is empty or too large, or another number of numbers.
    pub fn write(&self, image: [u32; 2], numbers: &mut [f32], mut draw: impl FnMut(u64) -> Drawn) -> Result<()> {
        let count = self.numbers(image[0], image[1])?;
        if numbers.len() != count {
            return Err(Error::new(format!("room for {} numbers, expected {count}", numbers.len())));
        }
        let mut rest = numbers;
        let sets = self.groups.iter().flat_map(|(set, views)| std::iter::repeat_n(set, *views));
        for (view, set) in sets.enumerate() {
            let (own, others) = rest.split_at_mut(set.numbers());
            set.write(image, &draw(view as u64), own);
            rest = others;
        }
        Ok(())
    }

    /// The views, in order, each N × S × S × 3 bytes.
    pub fn views(&self, images: &Tensor, numbers: &Tensor) -> Vec<Tensor> {
        let (mut from, mut all) = (0, Vec::new());
        for (set, views) in &self.groups {
            let count = (set.numbers() * views) as i64;
            let views_vn = set.views(&self.kept, images, &numbers.narrow(1, from, count));
            all.extend(views_vn.unbind(0));
            from += count;
        }
        all
    }
}
