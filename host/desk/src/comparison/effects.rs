//! What a picture of differences to the baseline shows: the order of the groups, the axis, the words. `page` and `picture` draw it.

use super::{
    Against, Comparison, Group,
    table::{difference_text, summary_text},
};
use crate::report::Axis;

/// The largest difference first; groups without values last. Of a search each point once, where it is compared.
pub fn order(comparison: &Comparison) -> Vec<usize> {
    let is_shown =
        |index: &usize| *index == comparison.baseline || matches!(comparison.against[*index], Against::Baseline(_));
    let mut order: Vec<usize> = (0..comparison.groups.len()).filter(is_shown).collect();
    let difference = |index: usize| match comparison.groups[index].difference {
        _ if index == comparison.baseline => 0.0,
        Some(difference) => difference.mean,
        None => f64::NEG_INFINITY,
    };
    order.sort_by(|&a, &b| difference(b).total_cmp(&difference(a)));
    order
}

/// Wide enough for every mean and for intervals, but for those of two seeds that would drown all others.
pub fn axis(comparison: &Comparison) -> Axis {
    let found = || comparison.groups.iter().filter_map(|group| group.difference);
    let means: Vec<f64> = found().map(|difference| difference.mean).chain([0.0]).collect();
    let (low, high) = means.iter().fold((0.0_f64, 0.0_f64), |(low, high), mean| (low.min(*mean), high.max(*mean)));
    let mut reaches: Vec<f64> = found()
        .filter_map(|difference| Some((difference.inference.ok()?.interval[1] - difference.mean).abs()))
        .filter(|reach| reach.is_finite())
        .collect();
    reaches.sort_by(f64::total_cmp);
    let usual = reaches.get(reaches.len() / 2).copied().unwrap_or(0.0);
    let most = (high - low).max(3.0 * usual).max(1e-9);
    let ends = found().flat_map(|difference| {
        let interval = difference.inference.map_or([difference.mean; 2], |test| test.interval);
        interval.map(|end| end.clamp(low - most, high + most))
    });
    let baseline = &comparison.groups[comparison.baseline];
    let middle = baseline.last.map_or(0.0, |summary| summary.mean);
    let seeds = baseline.values.iter().map(|(_, value)| value - middle);
    Axis::around(ends.chain(seeds).chain(means.iter().copied()).filter(|value| value.is_finite()))
}

/// Whether a group's interval leaves zero out.
pub fn is_clear(group: &Group) -> bool {
    let test = group.difference.and_then(|difference| difference.inference.ok());
    test.is_some_and(|test| test.interval[0] > 0.0 || test.interval[1] < 0.0)
}

/// What stands behind a group: its difference with the interval, or why there is none.
pub fn value_text(comparison: &Comparison, index: usize) -> String {
    let group = &comparison.groups[index];
    if index == comparison.baseline {
        return format!("{} (baseline)", summary_text(&comparison.metric, group.last));
    }
    difference_text(&comparison.metric, group).unwrap_or_else(|| "no value".to_owned())
}

/// A label of so many letters at most.
pub fn shortened(label: &str, most: usize) -> String {
    if label.chars().count() <= most {
        return label.to_owned();
    }
    label.chars().take(most - 1).chain(['…']).collect()
}
