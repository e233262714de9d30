//! What a run's rows of metrics come to: each result's last and best value, the pace, the time.

use super::text::is_accuracy;
use crate::record::Row;
use serde_json::Value;

/// A result: the untrained encoder's, the last, the best.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub name: String,
    pub untrained: Option<f64>,
    /// With its step.
    pub last: Option<(u64, f64)>,
    /// With its step; of accuracies only, since nobody can say what is best of the others.
    pub best: Option<(u64, f64)>,
}

impl Outcome {
    /// A result of which nothing is known yet.
    pub fn named(name: String) -> Self {
        Self { name, untrained: None, last: None, best: None }
    }
}

/// Training rows have a learning rate; all others hold results.
pub fn is_training(row: &Row) -> bool {
    row.get("lr").is_some()
}

/// Before the name of a result of the untrained encoder.
pub const UNTRAINED: &str = "untrained_";

/// The results of all tests, in the order in which they first appear.
pub fn outcomes(rows: &[Row]) -> Vec<Outcome> {
    let mut found = Vec::new();
    rows.iter().filter(|row| !is_training(row)).for_each(|row| add_results(&mut found, row));
    found
}

/// Adds what a test gave, a row that is not one of training.
pub fn add_results(found: &mut Vec<Outcome>, row: &Row) {
    for (key, value) in &row.values {
        let (name, is_untrained) = key.strip_prefix(UNTRAINED).map_or((key.as_str(), false), |name| (name, true));
        let index = found.iter().position(|outcome| outcome.name == name).unwrap_or_else(|| {
            found.push(Outcome::named(name.to_owned()));
            found.len() - 1
        });
        let outcome = &mut found[index];
        if is_untrained {
            outcome.untrained = Some(*value);
            continue;
        }
        outcome.last = Some((row.step, *value));
        let is_better = outcome.best.is_none_or(|(_, best)| *value > best);
        if is_accuracy(name) && value.is_finite() && is_better {
            outcome.best = Some((row.step, *value));
        }
    }
}

/// Whether a run with this `evaluation.holdout_fraction` is tested on images that are held out from training, so that the best of its
/// tests may be told.
pub fn is_held_out(fraction: Option<&Value>) -> bool {
    fraction.and_then(Value::as_f64).is_some_and(|fraction| fraction > 0.0)
}

/// Time spent on training, tests included; none before the first row.
pub fn seconds(rows: &[Row]) -> Option<f64> {
    rows.last().map(|row| row.seconds).filter(|seconds| seconds.is_finite())
}

/// The median pace of the rows, in images a second.
pub fn pace(rows: &[Row]) -> Option<f64> {
    let paces = rows.iter().filter_map(|row| row.get("images_per_second"));
    let mut paces: Vec<f64> = paces.filter(|pace| pace.is_finite()).collect();
    paces.sort_by(f64::total_cmp);
    paces.get(paces.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64, values: &[(&str, f64)]) -> Row {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Row { step, epoch: 0, seconds: 1.0, values }
    }

    #[test]
    fn outcomes_are_the_untrained_the_last_and_the_best() {
        let rows = [
            row(0, &[("untrained_linear_top1", 10.0)]),
            row(1, &[("loss", 3.0), ("lr", 0.1)]),
            row(1, &[("linear_top1", 30.0), ("rankme", 4.0)]),
            row(2, &[("linear_top1", 40.0), ("rankme", 5.0)]),
            row(3, &[("linear_top1", 35.0), ("rankme", 3.0)]),
            row(4, &[("linear_top1", f64::NAN)]),
        ];
        let outcomes = outcomes(&rows);
        assert_eq!(outcomes.len(), 2);
        assert_eq!((outcomes[0].untrained, outcomes[0].best), (Some(10.0), Some((2, 40.0))));
        assert_eq!(outcomes[0].last.unwrap().0, 4);
        assert_eq!((outcomes[1].last, outcomes[1].best), (Some((3, 3.0)), None));
    }
}
