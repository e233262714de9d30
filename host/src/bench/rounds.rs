//! Figures that were measured several times, in rounds.

/// The middle one of each figure by its rate, in the order in which they first came; of two in the middle the lower.
pub fn middle<T, K: PartialEq>(figures: Vec<T>, key: impl Fn(&T) -> K, rate: impl Fn(&T) -> f64) -> Vec<T> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for figure in figures {
        let own = key(&figure);
        match groups.iter_mut().find(|(other, _)| *other == own) {
            Some((_, group)) => group.push(figure),
            None => groups.push((own, vec![figure])),
        }
    }
    let one = |(_, mut group): (K, Vec<T>)| {
        group.sort_by(|one, other| rate(one).total_cmp(&rate(other)));
        group.swap_remove((group.len() - 1) / 2)
    };
    groups.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middle_of_each_is_taken_in_the_order_of_the_first() {
        let figures = [("b", 3.0), ("a", 10.0), ("b", 1.0), ("a", 30.0), ("b", 2.0), ("a", f64::NAN), ("c", 7.0)];
        let found = middle(figures.to_vec(), |figure| figure.0, |figure| figure.1);
        assert_eq!(found, [("b", 2.0), ("a", 30.0), ("c", 7.0)]);
        assert_eq!(middle(vec![(0, 4.0), (0, 2.0)], |figure| figure.0, |figure| figure.1), [(0, 2.0)]);
    }
}
