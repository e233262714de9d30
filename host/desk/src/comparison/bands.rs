//! A metric over the steps, of several seeds at once: their mean and how far they spread about it.

use super::{figures::At, statistics::Summary};

/// Seeds at a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BandPoint {
    pub step: f64,
    pub mean: f64,
    /// The sample's; 0 for one seed.
    pub deviation: f64,
}

/// The mean curve with its spread. Seeds that were tested at other steps are interpolated between theirs; where runs of equal time
/// end at different steps, the end of the curve is the mean of their ends.
pub fn band(curves: &[&[At]]) -> Vec<BandPoint> {
    let finite = |curve: &&[At]| -> Vec<At> { curve.iter().copied().filter(|(_, value)| value.is_finite()).collect() };
    let curves: Vec<Vec<At>> = curves.iter().map(finite).filter(|curve| !curve.is_empty()).collect();
    let Some(from) = curves.iter().map(|curve| curve[0].0).max() else { return Vec::new() };
    let ends: Vec<At> = curves.iter().filter_map(|curve| curve.last().copied()).collect();
    let until = ends.iter().map(|(step, _)| *step).min().unwrap_or(from);
    let mut steps: Vec<u64> = curves.iter().flatten().map(|(step, _)| *step).collect();
    steps.retain(|step| (from..=until).contains(step));
    steps.sort_unstable();
    steps.dedup();
    let at = |step: u64| curves.iter().map(|curve| interpolated(curve, step)).collect::<Vec<_>>();
    let mut band: Vec<BandPoint> = steps.iter().filter_map(|&step| point(step as f64, &at(step))).collect();
    let end = ends.iter().map(|(step, _)| *step as f64).sum::<f64>() / ends.len() as f64;
    if end > until as f64 {
        band.extend(point(end, &ends.iter().map(|(_, value)| *value).collect::<Vec<_>>()));
    }
    band
}

fn point(step: f64, values: &[f64]) -> Option<BandPoint> {
    let Summary { mean, deviation, .. } = Summary::of(values)?;
    Some(BandPoint { step, mean, deviation: deviation.unwrap_or(0.0) })
}

/// The value at a step within a curve.
fn interpolated(curve: &[At], step: u64) -> f64 {
    let after = curve.partition_point(|(other, _)| *other < step);
    let (right, value) = curve[after.min(curve.len() - 1)];
    if right == step || after == 0 {
        return value;
    }
    let (left, before) = curve[after - 1];
    let share = (step - left) as f64 / (right - left).max(1) as f64;
    before + (value - before) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_at_the_same_steps_have_their_mean_and_spread_there() {
        let found = band(&[&[(5, 1.0), (10, 3.0)], &[(5, 3.0), (10, 3.0)]]);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].step, found[0].mean, found[0].deviation), (5.0, 2.0, 2f64.sqrt()));
        assert_eq!((found[1].mean, found[1].deviation), (3.0, 0.0));
    }

    #[test]
    fn seeds_at_other_steps_are_interpolated_and_different_ends_meet_in_the_middle() {
        let found = band(&[&[(0, 0.0), (10, 10.0)], &[(0, 0.0), (5, 7.0), (14, 20.0)]]);
        let told: Vec<_> = found.iter().map(|point| (point.step, point.mean)).collect();
        assert_eq!(told[..2], [(0.0, 0.0), (5.0, 6.0)]);
        assert_eq!(told[2].0, 10.0);
        assert_eq!(told[3], (12.0, 15.0));
    }

    #[test]
    fn what_is_not_finite_is_left_out() {
        assert!(band(&[]).is_empty() && band(&[&[(1, f64::NAN)], &[]]).is_empty());
        assert_eq!(band(&[&[(1, 2.0), (2, f64::NAN), (3, 4.0)]]).len(), 2);
    }
}
