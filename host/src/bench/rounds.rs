//! Figures that were measured several times, in rounds and within one.

use std::time::Duration;

/// The middle one of each figure by its rate, in the order in which they first came; of two in the middle the lower. One without a
/// rate where no round had one.
pub fn middle<T, K: PartialEq>(figures: Vec<T>, key: impl Fn(&T) -> K, rate: impl Fn(&T) -> Option<f64>) -> Vec<T> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for figure in figures {
        let own = key(&figure);
        match groups.iter_mut().find(|(other, _)| *other == own) {
            Some((_, group)) => group.push(figure),
            None => groups.push((own, vec![figure])),
        }
    }
    let one = |(_, mut group): (K, Vec<T>)| {
        group.sort_by(|one, other| {
            let (one, other) = (rate(one), rate(other));
            one.is_none().cmp(&other.is_none()).then(one.unwrap_or(0.0).total_cmp(&other.unwrap_or(0.0)))
        });
        let rated = group.iter().filter(|figure| rate(figure).is_some()).count();
        group.swap_remove(rated.saturating_sub(1) / 2)
    };
    groups.into_iter().map(one).collect()
}

/// What repetitions of one thing took, some of them measured together. Their median is not moved by those that something else held up.
#[derive(Default)]
pub struct Repetitions(Vec<f64>);

impl Repetitions {
    /// So many, in one go.
    pub fn add(&mut self, taken: Duration, count: u64) {
        if count > 0 {
            self.0.push(taken.as_secs_f64() / count as f64);
        }
    }

    /// Seconds of one; not a number where there was none.
    pub fn median(mut self) -> f64 {
        self.0.sort_by(f64::total_cmp);
        let middle = self.0.len() / 2;
        match self.0.len() {
            0 => f64::NAN,
            count if count.is_multiple_of(2) => f64::midpoint(self.0[middle - 1], self.0[middle]),
            _ => self.0[middle],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middle_of_each_is_taken_in_the_order_of_the_first() {
        let rated = [("b", 3.0), ("a", 10.0), ("b", 1.0), ("a", 30.0), ("b", 2.0), ("c", 7.0)];
        let mut figures: Vec<(&str, Option<f64>)> = rated.iter().map(|&(name, rate)| (name, Some(rate))).collect();
        figures.extend([("a", None), ("c", None), ("d", None)]);
        let found = middle(figures, |figure| figure.0, |figure| figure.1);
        assert_eq!(found, [("b", Some(2.0)), ("a", Some(10.0)), ("c", Some(7.0)), ("d", None)]);
    }

    #[test]
    fn the_median_of_repetitions_is_not_moved_by_one_that_was_held_up() {
        let mut repetitions = Repetitions::default();
        for (milliseconds, count) in [(20, 2), (11, 1), (9000, 1), (0, 0), (36, 3)] {
            repetitions.add(Duration::from_millis(milliseconds), count);
        }
        assert!((repetitions.median() - 0.0115).abs() < 1e-9);
        assert!(Repetitions::default().median().is_nan());
    }
}
