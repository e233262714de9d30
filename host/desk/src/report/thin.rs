//! Long curves with fewer points that look the same.

/// A step and a value.
pub type Point = (f64, f64);

/// In each of so many stretches of equal length the first, the lowest, the highest and the last point, in order.
pub fn thinned(points: &[Point], stretches: usize) -> Vec<Point> {
    if points.len() <= stretches * 4 {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(stretches * 4);
    for stretch in 0..stretches {
        let part = &points[stretch * points.len() / stretches..(stretch + 1) * points.len() / stretches];
        let by_value = |a: &&(usize, &Point), b: &&(usize, &Point)| a.1.1.total_cmp(&b.1.1);
        let indexed: Vec<(usize, &Point)> = part.iter().enumerate().collect();
        let low = indexed.iter().min_by(by_value).map_or(0, |(index, _)| *index);
        let high = indexed.iter().max_by(by_value).map_or(0, |(index, _)| *index);
        let mut chosen = [0, low, high, part.len() - 1];
        chosen.sort_unstable();
        let mut last = None;
        for index in chosen {
            if last != Some(index) {
                kept.push(part[index]);
            }
            last = Some(index);
        }
    }
    kept
}

/// So many points at most, evenly chosen, the first and the last among them.
pub fn picked<T: Copy>(all: &[T], most: usize) -> Vec<T> {
    if all.len() <= most || most < 2 {
        return all.iter().copied().take(all.len().min(most)).collect();
    }
    (0..most).map(|n| all[n * (all.len() - 1) / (most - 1)]).collect()
}

/// Means at so many points at most, each over a window of about a fiftieth of the curve, smaller at its ends.
pub fn running_mean(points: &[Point], most: usize) -> Vec<Point> {
    let half = (points.len() / 100).max(2);
    let mean = |index: usize| {
        let reach = half.min(index).min(points.len() - 1 - index);
        let window = &points[index - reach..=index + reach];
        // Each divided by itself: their sum may be beyond what a number can hold.
        window.iter().map(|&(_, y)| y / window.len() as f64).sum::<f64>()
    };
    let indices: Vec<usize> = (0..points.len()).collect();
    picked(&indices, most).into_iter().map(|index| (points[index].0, mean(index))).collect()
}

/// Means over all points so far, of which each further point keeps a share, from 0 to below 1. The first points weigh as much as those
/// that follow, as in Adam's moments.
pub fn moving_mean(points: &[Point], share: f64) -> Vec<Point> {
    let (mut mean, mut weight) = (0.0, 0.0);
    let mean = points.iter().map(|&(x, y)| {
        mean = share * mean + (1.0 - share) * y;
        weight = share * weight + (1.0 - share);
        (x, mean / weight)
    });
    mean.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_and_ends_stay() {
        let mut points: Vec<Point> = (0..100_000).map(|x| (f64::from(x), f64::from(x % 7))).collect();
        points[31_415].1 = 99.0;
        points[77_777].1 = -99.0;
        let thin = thinned(&points, 200);
        assert!(thin.len() <= 800);
        assert!(thin.contains(&points[31_415]) && thin.contains(&points[77_777]));
        assert_eq!((thin[0], thin[thin.len() - 1]), (points[0], points[99_999]));
        assert!(thin.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(thinned(&points[..10], 200), points[..10]);
    }

    #[test]
    fn picked_points_hold_the_ends() {
        assert_eq!(picked(&(0..1000).collect::<Vec<_>>(), 4), [0, 333, 666, 999]);
        assert_eq!(picked(&[1, 2], 4), [1, 2]);
        assert!(picked::<u8>(&[], 4).is_empty());
    }

    #[test]
    fn moving_mean_begins_at_the_first_point_and_follows() {
        let mean = moving_mean(&[(0.0, 4.0), (1.0, 4.0), (2.0, 0.0)], 0.5);
        assert_eq!(mean[..2], [(0.0, 4.0), (1.0, 4.0)]);
        assert!((mean[2].1 - 12.0 / 7.0).abs() < 1e-12);
        assert_eq!(moving_mean(&[(0.0, 1.0), (1.0, 5.0)], 0.0), [(0.0, 1.0), (1.0, 5.0)]);
    }

    #[test]
    fn mean_of_a_line_is_the_line() {
        let line: Vec<Point> = (0..500).map(|x| (f64::from(x), f64::from(x) * 0.5)).collect();
        let mean = running_mean(&line, 500);
        assert_eq!(mean.len(), 500);
        for (mean, point) in mean.iter().zip(&line) {
            assert!((mean.1 - point.1).abs() < 1e-9);
        }
        assert_eq!(running_mean(&line, 10).len(), 10);
        assert!(running_mean(&[(0.0, f64::MAX); 300], 10).iter().all(|point| point.1.is_finite()));
    }
}
