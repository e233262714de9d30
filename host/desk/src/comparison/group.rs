//! Runs that differ in their seed alone, and what they come to together.

use super::{
    columns::Settings,
    figures::Figures,
    member::{Member, Outcome},
    statistics::{Difference, Summary},
};
use crate::record::Memory;
use std::collections::BTreeMap;

/// A row of a comparison.
#[derive(Clone, Debug)]
pub struct Group {
    /// What sets it apart, in a few words.
    pub label: String,
    /// All settings that its runs share.
    pub settings: Settings,
    /// Of a search by halving, from 1.
    pub rung: Option<usize>,
    /// Its runs among all.
    pub members: Vec<usize>,
    pub counts: Counts,
    /// Last value of the main metric by seed, in the order of the seeds.
    pub values: Vec<(Option<u64>, f64)>,
    /// Of the last values.
    pub last: Option<Summary>,
    /// Of each run's best over its steps.
    pub best: Option<Summary>,
    /// Of the untrained encoder's.
    pub untrained: Option<Summary>,
    /// Of the last values of every metric.
    pub metrics: BTreeMap<String, Summary>,
    pub images_per_second: Option<Summary>,
    pub wall_seconds: Option<Summary>,
    /// The most of all its runs.
    pub memory: Option<Memory>,
    /// To the baseline; none for that itself, and without values.
    pub difference: Option<Difference>,
}

/// What became of a group's runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Came to their end with a finite value of the main metric.
    pub done: usize,
    /// Came to their end without one.
    pub without_value: usize,
    pub failed: usize,
    pub unfinished: usize,
    pub missing: usize,
}

impl Counts {
    /// All runs.
    pub fn all(&self) -> usize {
        self.done + self.without_value + self.failed + self.unfinished + self.missing
    }
}

impl Group {
    /// What these of all runs come to; `difference` and `label` are left open.
    pub(super) fn of(settings: Settings, indices: Vec<usize>, all: &[Member], metric: &str) -> Self {
        let members: Vec<&Member> = indices.iter().map(|&index| &all[index]).collect();
        let mut counts = Counts::default();
        for member in &members {
            match &member.outcome {
                Outcome::Done(figures) if figures.last(metric).is_some() => counts.done += 1,
                Outcome::Done(_) => counts.without_value += 1,
                Outcome::Failed { .. } => counts.failed += 1,
                Outcome::Unfinished { .. } => counts.unfinished += 1,
                Outcome::Missing => counts.missing += 1,
            }
        }
        let of = |value: &dyn Fn(&Figures) -> Option<f64>| Summary::of(&numbers(&by_seed(&members, value)));
        let names =
            members.iter().filter_map(|member| member.outcome.done()).flat_map(|figures| figures.metrics.keys());
        let names: std::collections::BTreeSet<&String> = names.collect();
        let values = by_seed(&members, &|figures| figures.last(metric));
        let untrained =
            |figures: &Figures| figures.metrics.get(metric)?.untrained.filter(|untrained| untrained.is_finite());
        Self {
            label: String::new(),
            settings,
            rung: members.first().and_then(|member| member.rung),
            counts,
            last: Summary::of(&numbers(&values)),
            best: of(&|figures| figures.best(metric)),
            untrained: of(&untrained),
            metrics: names
                .into_iter()
                .filter_map(|name| Some((name.clone(), of(&|figures| figures.last(name))?)))
                .collect(),
            images_per_second: of(&|figures| figures.images_per_second),
            wall_seconds: of(&|figures| figures.wall_seconds),
            memory: members.iter().filter_map(|member| member.outcome.figures()?.memory).reduce(Memory::max),
            difference: None,
            values,
            members: indices,
        }
    }
}

fn numbers(values: &[(Option<u64>, f64)]) -> Vec<f64> {
    values.iter().map(|&(_, value)| value).collect()
}

/// A number of each finished run that has it, in the order of the seeds; the mean of runs that repeat a seed, which are no
/// independent ones.
fn by_seed(members: &[&Member], value: &dyn Fn(&Figures) -> Option<f64>) -> Vec<(Option<u64>, f64)> {
    let mut seeds: BTreeMap<Option<u64>, Vec<f64>> = BTreeMap::new();
    for member in members {
        if let Some(value) = member.outcome.done().and_then(value) {
            seeds.entry(member.seed).or_default().push(value);
        }
    }
    let mut list = Vec::new();
    for (seed, values) in seeds {
        match seed {
            None => list.extend(values.into_iter().map(|value| (None, value))),
            Some(_) => list.extend(Summary::of(&values).map(|summary| (seed, summary.mean))),
        }
    }
    list
}
