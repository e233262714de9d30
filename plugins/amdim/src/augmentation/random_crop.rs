//! The region of torchvision's `RandomResizedCrop`.

use infomax_image::operations::Region;
use infomax_sdk::KeyedRng;

const TRIES: usize = 10; // torchvision

/// Draws area and aspect (log-uniform) until the region fits; after ten tries the central one of the nearest aspect.
pub(super) fn random_region(width: u32, height: u32, area: [f64; 2], aspect: [f64; 2], rng: &mut KeyedRng) -> Region {
    let whole = f64::from(width) * f64::from(height);
    for _ in 0..TRIES {
        let area = whole * rng.uniform(area[0], area[1]);
        let aspect = rng.uniform(aspect[0].ln(), aspect[1].ln()).exp();
        let w = (area * aspect).sqrt().round_ties_even() as u32;
        let h = (area / aspect).sqrt().round_ties_even() as u32;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let top = rng.below(u64::from(height - h) + 1) as u32;
            let left = rng.below(u64::from(width - w) + 1) as u32;
            return Region { left, top, width: w, height: h };
        }
    }
    let ratio = f64::from(width) / f64::from(height);
    let (mut w, mut h) = (width, height);
    if ratio < aspect[0] {
        h = ((f64::from(width) / aspect[0]).round_ties_even() as u32).clamp(1, height);
    } else if ratio > aspect[1] {
        w = ((f64::from(height) * aspect[1]).round_ties_even() as u32).clamp(1, width);
    }
    Region { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
}
