//! Means, spreads, and tests of a difference: Student's paired, Welch's for runs that share no seeds, Holm's correction.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// How sure an interval is to hold the true difference, where the differences are spread as Student assumes.
pub const CONFIDENCE: f64 = 0.95;
/// Differences whose spread is this small beside their values are equal but for rounding.
const NO_SPREAD: f64 = 1e-12;

/// Values of a group of runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub count: usize,
    pub mean: f64,
    /// The sample's, divided by n - 1; none for a single value.
    pub deviation: Option<f64>,
}

impl Summary {
    /// None of no values; they are finite.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        // Each divided by itself: their sum may be beyond what a number can hold.
        let mean = values.iter().map(|value| value / count as f64).sum::<f64>();
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let deviation = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
        (count > 0).then_some(Self { count, mean, deviation })
    }

    /// The squared standard error of the mean.
    fn error_squared(&self) -> f64 {
        self.deviation.unwrap_or(0.0).powi(2) / self.count as f64
    }

    /// Whether all values are equal but for rounding.
    fn has_no_spread(&self, scale: f64) -> bool {
        self.deviation.is_none_or(|deviation| deviation <= NO_SPREAD * scale)
    }
}

/// A test of whether a mean difference is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Student's, on the differences of runs with the same seed.
    PairedT,
    /// Welch's, of two samples whose spreads may differ.
    WelchT,
}

impl Test {
    /// As a table has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PairedT => "paired t",
            Self::WelchT => "Welch's t",
        }
    }
}

/// What a test says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Inference {
    pub test: Test,
    pub statistic: f64,
    pub degrees_of_freedom: f64,
    /// Two-sided, of [`CONFIDENCE`].
    pub interval: [f64; 2],
    /// Two-sided.
    pub p: f64,
    /// The same, corrected by Holm for all rows of the table.
    pub p_holm: f64,
}

/// Why there is no test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoTest {
    /// A spread can't be told from a single value.
    OneValue,
    /// All differences are equal: nothing tells how far they are by chance.
    NoSpread,
}

/// How far a group lies above the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    pub mean: f64,
    /// Seeds that both have.
    pub pairs: usize,
    pub inference: Result<Inference, NoTest>,
}

/// The difference of two groups by seed, where at least two seeds are common; of all their values otherwise. None where one has no
/// values.
pub fn difference(own: &[(Option<u64>, f64)], baseline: &[(Option<u64>, f64)]) -> Option<Difference> {
    let other = |seed: Option<u64>| seed.and_then(|seed| baseline.iter().find(|(other, _)| *other == Some(seed)));
    let pairs: Vec<f64> = own.iter().filter_map(|(seed, value)| Some(value - other(*seed)?.1)).collect();
    let values = |list: &[(Option<u64>, f64)]| list.iter().map(|&(_, value)| value).collect::<Vec<_>>();
    let (own, baseline) = (values(own), values(baseline));
    let (a, b) = (Summary::of(&own)?, Summary::of(&baseline)?);
    let scale = a.mean.abs().max(b.mean.abs());
    if pairs.len() >= 2 || (pairs.len() == 1 && a.count.min(b.count) < 2) {
        let of = Summary::of(&pairs)?;
        let inference = paired(&of, scale);
        return Some(Difference { mean: of.mean, pairs: pairs.len(), inference });
    }
    Some(Difference { mean: a.mean - b.mean, pairs: pairs.len(), inference: welch(&a, &b, scale) })
}

/// Student's test of the differences of pairs.
fn paired(differences: &Summary, scale: f64) -> Result<Inference, NoTest> {
    if differences.count < 2 {
        return Err(NoTest::OneValue);
    }
    if differences.has_no_spread(scale) {
        return Err(NoTest::NoSpread);
    }
    let degrees = (differences.count - 1) as f64;
    inference(Test::PairedT, differences.mean, differences.error_squared().sqrt(), degrees)
}

/// Welch's test; its degrees of freedom are Satterthwaite's.
fn welch(a: &Summary, b: &Summary, scale: f64) -> Result<Inference, NoTest> {
    if a.count.min(b.count) < 2 {
        return Err(NoTest::OneValue);
    }
    if a.has_no_spread(scale) && b.has_no_spread(scale) {
        return Err(NoTest::NoSpread);
    }
    let (u, v) = (a.error_squared(), b.error_squared());
    let degrees = (u + v).powi(2) / (u.powi(2) / (a.count - 1) as f64 + v.powi(2) / (b.count - 1) as f64);
    inference(Test::WelchT, a.mean - b.mean, (u + v).sqrt(), degrees)
}

fn inference(test: Test, mean: f64, error: f64, degrees: f64) -> Result<Inference, NoTest> {
    let student = StudentsT::new(0.0, 1.0, degrees).map_err(|_| NoTest::NoSpread)?;
    let statistic = mean / error;
    let reach = student.inverse_cdf(0.5 + CONFIDENCE / 2.0) * error;
    let p = 2.0 * student.cdf(-statistic.abs());
    let interval = [mean - reach, mean + reach];
    Ok(Inference { test, statistic, degrees_of_freedom: degrees, interval, p, p_holm: p })
}

/// Holm's step-down correction, in the order of the p-values.
///
/// # Source
/// Holm, "A simple sequentially rejective multiple test procedure", 1979.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![1.0; p.len()];
    let mut most: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        most = most.max((p.len() - rank) as f64 * p[index]).min(1.0);
        corrected[index] = most;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeded(values: &[(u64, f64)]) -> Vec<(Option<u64>, f64)> {
        values.iter().map(|&(seed, value)| (Some(seed), value)).collect()
    }

    #[test]
    fn summary_of_few_values_says_what_it_can() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[3.0]), Some(Summary { count: 1, mean: 3.0, deviation: None }));
        let two = Summary::of(&[1.0, 3.0]).unwrap();
        assert_eq!((two.mean, two.deviation), (2.0, Some(2f64.sqrt())));
        assert!(Summary::of(&[f64::MAX, f64::MAX]).unwrap().mean.is_finite());
    }

    #[test]
    fn seeds_are_paired_whatever_their_order_and_others_left_out() {
        let own = seeded(&[(3, 13.0), (1, 11.5), (9, 99.0)]);
        let baseline = seeded(&[(1, 10.0), (2, 55.0), (3, 10.0)]);
        let found = difference(&own, &baseline).unwrap();
        assert_eq!((found.mean, found.pairs), (2.25, 2));
        let inference = found.inference.unwrap();
        assert_eq!((inference.test, inference.degrees_of_freedom), (Test::PairedT, 1.0));
        // By hand: the error is 0.75, t(0.975; 1) = 12.7062.
        assert!((inference.interval[1] - (2.25 + 0.75 * 12.706_204_736)).abs() < 1e-8);
    }

    #[test]
    fn without_common_seeds_it_is_welch_s_test() {
        let found = difference(&seeded(&[(1, 3.0), (2, 5.0)]), &seeded(&[(3, 1.0), (4, 2.0), (5, 3.0)])).unwrap();
        assert_eq!((found.mean, found.pairs), (2.0, 0));
        assert_eq!(found.inference.unwrap().test, Test::WelchT);
        let unseeded = [(None, 1.0), (None, 2.0)];
        assert_eq!(difference(&unseeded, &unseeded).unwrap().inference.unwrap().test, Test::WelchT);
    }

    #[test]
    fn where_chance_can_t_be_told_there_is_no_test() {
        let one = difference(&seeded(&[(1, 3.0)]), &seeded(&[(1, 1.0), (2, 9.0)])).unwrap();
        assert_eq!((one.mean, one.pairs, one.inference), (2.0, 1, Err(NoTest::OneValue)));
        let other = difference(&seeded(&[(7, 3.0)]), &seeded(&[(1, 1.0), (2, 2.0)])).unwrap();
        assert_eq!((other.mean, other.inference), (1.5, Err(NoTest::OneValue)));
        let same = seeded(&[(1, 0.1), (2, 0.7)]);
        assert_eq!(difference(&same, &same).unwrap().inference, Err(NoTest::NoSpread));
        let shifted = seeded(&[(1, 0.1 + 0.2), (2, 0.7 + 0.2)]);
        assert_eq!(difference(&shifted, &same).unwrap().inference, Err(NoTest::NoSpread));
        assert_eq!(difference(&[], &same), None);
    }

    #[test]
    fn holm_s_correction_is_that_of_its_definition() {
        // The example of Holm's procedure: 4 hypotheses.
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (own, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((own - expected).abs() < 1e-12, "{corrected:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
