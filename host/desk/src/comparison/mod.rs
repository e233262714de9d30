//! Runs beside one another: which settings differ, what each group of seeds comes to, how far from the baseline and how surely.
//! `member` and `figures` read runs, `statistics` tests, `table` words the rows, and each format has its file. In: run directories,
//! or a study's cells. Called by `infomax compare` and `infomax ablate report`.

mod bands;
mod columns;
mod csv;
mod effects;
mod figures;
mod format;
mod group;
mod json;
mod latex;
mod markdown;
mod member;
mod notes;
mod page;
mod picture;
mod rungs;
pub mod statistics;
mod table;
mod terminal;

pub use columns::{Column, Settings, cell, columns, has_effect, label, printable};
pub use csv::to_csv;
pub use figures::{At, Figures, Metric, is_measure, read_figures};
pub use format::{Format, check_out};
pub use group::{Counts, Group};
pub use json::to_json;
pub use latex::to_latex;
pub use markdown::to_markdown;
pub use member::{Member, Outcome, SEED, on_all_cores};
pub use page::{STYLE, fragments, to_page};
pub use picture::to_png;
pub use rungs::{Against, RUNG};
pub use table::{Cell, Heading, Table, memory_bytes};
pub use terminal::to_terminal;

use crate::{
    config::proposal,
    error::{Error, Fault, Result},
    report::is_accuracy,
};
use statistics::{difference, holm};
use std::collections::BTreeMap;

/// What is compared where nothing else is asked for.
pub const DEFAULT_METRIC: &str = "linear_top1";

/// What is asked of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The main metric; [`DEFAULT_METRIC`] where none is named.
    pub metric: Option<String>,
    /// Further metrics as columns; the other accuracies where none is named.
    pub further: Option<Vec<String>>,
    /// The first group where none is named.
    pub baseline: Option<Baseline>,
    /// What a reader has to know besides.
    pub notes: Vec<String>,
}

/// Which group the others are compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Baseline {
    /// The one of this run, by its place among the members.
    Member(usize),
    /// The first one that has all these settings.
    Settings(Settings),
}

/// Runs beside one another.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub title: String,
    /// The main metric.
    pub metric: String,
    /// The other metrics that are shown.
    pub further: Vec<String>,
    /// The keys that differ.
    pub columns: Vec<Column>,
    /// Keys that differ with a component's name alone.
    pub following: Vec<String>,
    /// In the order in which they first appear.
    pub groups: Vec<Group>,
    /// The group that the others are compared with; of a search, the baseline's last rung with values.
    pub baseline: usize,
    /// What each group is compared with.
    pub against: Vec<Against>,
    pub members: Vec<Member>,
    /// What a reader has to know.
    pub notes: Vec<String>,
}

impl Comparison {
    /// Groups the members by everything but their seeds, and tests each group against the baseline.
    ///
    /// # Errors
    /// No members, a metric that no run has, a baseline that is none of the groups.
    pub fn of(title: &str, members: Vec<Member>, options: &Options) -> Result<Self> {
        if members.is_empty() {
            return Err(Error::config(Fault::new("there are no runs to compare").hint("name run directories")));
        }
        let metric = main_metric(&members, options.metric.as_deref())?;
        let further = further_metrics(&members, &metric, options.further.as_deref())?;
        let mut groups = groups(&members, &metric);
        let settings: Vec<Settings> = groups.iter().map(|group| group.settings.clone()).collect();
        let (columns, following) = columns::columns(&settings);
        for group in &mut groups {
            let label = columns::label(&columns, &group.settings);
            let name = || columns::printable(&members[group.members[0]].name);
            group.label = if label.is_empty() { name() } else { label };
        }
        let baseline = baseline(&groups, options.baseline.as_ref())?;
        let (against, baseline) = rungs::against(&groups, baseline);
        test(&mut groups, &against);
        let title = columns::printable(title);
        let mut comparison =
            Self { title, metric, further, columns, following, groups, baseline, against, members, notes: Vec::new() };
        comparison.notes = notes::notes(&comparison).into_iter().chain(options.notes.iter().cloned()).collect();
        Ok(comparison)
    }

    /// Whether there is anything but the baseline.
    pub fn has_differences(&self) -> bool {
        self.groups.len() > 1
    }

    /// Whether a group is what others are compared with.
    pub fn is_baseline(&self, group: usize) -> bool {
        self.against[group] == Against::Itself
    }

    /// A group of seeds: its runs.
    pub fn members_of<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a Member> {
        group.members.iter().map(|&index| &self.members[index])
    }
}

/// Every metric of any run that has come so far, those of tests first, accuracies before others.
fn known_metrics(members: &[Member]) -> Vec<String> {
    let figures = members.iter().filter_map(|member| member.outcome.figures());
    let all: BTreeMap<&String, bool> =
        figures.flat_map(|figures| figures.metrics.iter().map(|(name, metric)| (name, metric.is_tested))).collect();
    let mut all: Vec<(&String, bool)> = all.into_iter().collect();
    all.sort_by_key(|(name, is_tested)| (!is_tested, !is_accuracy(name), name.to_owned()));
    all.into_iter().map(|(name, _)| name.clone()).collect()
}

fn main_metric(members: &[Member], wanted: Option<&str>) -> Result<String> {
    let known = known_metrics(members);
    let Some(wanted) = wanted else {
        // A run without a linear classifier has other results; one that has not begun may come to have it.
        let default = || known.first().cloned().unwrap_or_else(|| DEFAULT_METRIC.to_owned());
        return Ok(known.iter().find(|name| *name == DEFAULT_METRIC).cloned().unwrap_or_else(default));
    };
    if known.is_empty() || known.iter().any(|name| name == wanted) {
        return Ok(wanted.to_owned());
    }
    Err(unknown_metric(wanted, &known))
}

fn unknown_metric(wanted: &str, known: &[String]) -> Error {
    let fault = Fault::new(format!("none of the runs has a metric `{wanted}`"));
    let hint = proposal(wanted, known.iter().map(String::as_str));
    Error::config(Fault { hint, ..fault })
}

fn further_metrics(members: &[Member], main: &str, wanted: Option<&[String]>) -> Result<Vec<String>> {
    let known = known_metrics(members);
    let Some(wanted) = wanted else {
        return Ok(known.into_iter().filter(|name| name != main && is_accuracy(name)).collect());
    };
    let unknown = wanted.iter().find(|name| !known.is_empty() && !known.contains(name));
    unknown.map_or_else(
        || Ok(wanted.iter().filter(|name| *name != main).cloned().collect()),
        |name| Err(unknown_metric(name, &known)),
    )
}

fn groups(members: &[Member], metric: &str) -> Vec<Group> {
    let mut order: Vec<(Settings, Vec<usize>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        let is_kept = |key: &str| columns::has_effect(key) && (key != SEED || member.seed.is_none());
        let settings = member.settings.iter().filter(|(key, _)| is_kept(key));
        let settings: Settings = settings.map(|(key, value)| (key.clone(), value.clone())).collect();
        let text = serde_json::to_string(&settings).expect("settings are plain data");
        let place = *places.entry(text).or_insert_with(|| {
            order.push((settings, Vec::new()));
            order.len() - 1
        });
        order[place].1.push(index);
    }
    order.into_iter().map(|(settings, indices)| Group::of(settings, indices, members, metric)).collect()
}

fn baseline(groups: &[Group], wanted: Option<&Baseline>) -> Result<usize> {
    let found = match wanted {
        None => Some(0),
        Some(Baseline::Member(index)) => groups.iter().position(|group| group.members.contains(index)),
        Some(Baseline::Settings(settings)) => {
            let has_all = |group: &Group| settings.iter().all(|(key, value)| group.settings.get(key) == Some(value));
            groups.iter().position(has_all)
        }
    };
    found.ok_or_else(|| {
        let told = match wanted {
            Some(Baseline::Settings(settings)) => {
                let words = settings.iter().map(|(key, value)| format!("`{key}` = {value}"));
                words.collect::<Vec<_>>().join(", ")
            }
            _ => "the baseline".to_owned(),
        };
        let labels: Vec<String> = groups.iter().map(|group| format!("`{}`", group.label)).collect();
        let fault = Fault::new(format!("no group of runs has {told}"));
        Error::config(fault.hint(format!("there are {}", labels.join(", "))))
    })
}

/// Tests each group against the baseline, and corrects the p-values for their number.
fn test(groups: &mut [Group], against: &[Against]) {
    for (index, against) in against.iter().enumerate() {
        if let Against::Baseline(Some(baseline)) = *against {
            groups[index].difference = difference(&groups[index].values, &groups[baseline].values);
        }
    }
    let mut tests: Vec<&mut statistics::Inference> =
        groups.iter_mut().filter_map(|group| group.difference.as_mut()?.inference.as_mut().ok()).collect();
    let corrected = holm(&tests.iter().map(|test| test.p).collect::<Vec<_>>());
    tests.iter_mut().zip(corrected).for_each(|(test, p)| test.p_holm = p);
}

#[cfg(test)]
mod tests;
