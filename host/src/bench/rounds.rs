//! Figures that were measured several times, in rounds.

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
}
