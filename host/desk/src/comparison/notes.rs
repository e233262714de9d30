//! What a reader of a comparison has to know: how its numbers were made, and where they are not alike.

use super::{
    Comparison, Group, Member, Outcome, RUNG,
    columns::{label, printable},
    figures::Figures,
    statistics::{NoTest, Test},
};
use crate::report::is_accuracy;
use std::collections::{BTreeMap, BTreeSet};

/// Keys, values or names that are listed in a note.
const LISTED: usize = 8;

impl Comparison {
    /// Each run that did not come to its end, or not to a value, and why.
    pub fn shortfalls(&self) -> impl Iterator<Item = String> {
        self.members.iter().filter_map(|member| self.shortfall(member))
    }

    /// The same, of a group.
    pub fn shortfalls_of<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = String> {
        self.members_of(group).filter_map(|member| self.shortfall(member))
    }

    fn shortfall(&self, member: &Member) -> Option<String> {
        let name = printable(&member.name);
        let seed = member.seed.map(|seed| format!(" (seed {seed})")).unwrap_or_default();
        let word = member.outcome.word();
        Some(match &member.outcome {
            Outcome::Done(figures) if figures.last(&self.metric).is_some() => return None,
            Outcome::Done(figures) if figures.metrics.contains_key(&self.metric) => {
                format!("not finite: {name}{seed}: its last {} is no number", self.metric)
            }
            Outcome::Done(_) => format!("not measured: {name}{seed} has no {}", self.metric),
            Outcome::Failed { told, exit_code } => {
                let code = exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
                format!("{word}: {name}{seed}: {}{code}", printable(told))
            }
            Outcome::Unfinished { figures, .. } => {
                let so_far = figures.last(&self.metric).map(|value| format!(", {} {value:.2} so far", self.metric));
                format!("{word}: {name}{seed}: step {}{}", figures.steps, so_far.unwrap_or_default())
            }
            Outcome::Missing => format!("{word}: {name}{seed} has not begun"),
        })
    }
}

/// All notes.
pub fn notes(comparison: &Comparison) -> Vec<String> {
    let figures: Vec<&Figures> = comparison.members.iter().filter_map(|member| member.outcome.figures()).collect();
    let mut notes = vec![how(comparison, &figures)];
    notes.extend(best(comparison, &figures));
    notes.extend(tests(comparison));
    if !comparison.following.is_empty() {
        let keys = listed(comparison.following.iter().map(String::as_str));
        notes.push(format!("Without a column, since they follow from a component's name: {keys}."));
    }
    notes.extend(repeated(comparison));
    notes.extend(unlike(comparison, &figures));
    notes.extend(figures.iter().flat_map(|figures| figures.notices.iter().cloned()));
    notes
}

/// What the main column is.
fn how(comparison: &Comparison, figures: &[&Figures]) -> String {
    let metric = &comparison.metric;
    let unit = if is_accuracy(metric) { " in percent" } else { "" };
    let is_tested = figures.iter().any(|figures| figures.metrics.get(metric).is_some_and(|metric| metric.is_tested));
    let of = match (is_tested, held_out(figures)) {
        (false, _) if figures.iter().any(|figures| figures.metrics.contains_key(metric)) => "of the last logged batch",
        (_, Some(true)) => "of the last test of each run, on images held out from training",
        (_, None) => {
            "of the last test of each run, some on test images and some on held-out ones, which is not comparable"
        }
        _ => "of the last test of each run, on the test images",
    };
    let mut text = format!("{metric}{unit}, {of}; mean ± sample standard deviation over seeds.");
    let differs = |key: &str| comparison.columns.iter().any(|column| column.key == key);
    if metric.starts_with("loss") && differs("loss.name") {
        text.push_str(" Values of different losses are not comparable.");
    }
    text
}

/// Whether all tests, none (false) or some (none) are on held-out images.
fn held_out(figures: &[&Figures]) -> Option<bool> {
    let first = figures.first().is_some_and(|figures| figures.is_held_out);
    figures.iter().all(|figures| figures.is_held_out == first).then_some(first)
}

fn best(comparison: &Comparison, figures: &[&Figures]) -> Option<String> {
    comparison.groups.iter().any(|group| group.best.is_some()).then(|| {
        let on = if held_out(figures) == Some(true) { "held-out" } else { "test" };
        format!("Best: of each run's tests, chosen on the {on} images, so better than what new images would give.")
    })
}

fn tests(comparison: &Comparison) -> Option<String> {
    if !comparison.has_differences() {
        return None;
    }
    let differences: Vec<_> = comparison.groups.iter().filter_map(|group| group.difference).collect();
    let tests: Vec<Test> =
        differences.iter().filter_map(|found| found.inference.ok()).map(|found| found.test).collect();
    let has = |reason| differences.iter().any(|found| found.inference == Err(reason));
    let has_rungs = comparison.groups.iter().any(|group| group.rung.is_some());
    let mut text = format!("Difference to the baseline, `{}`", baseline(comparison));
    if !tests.is_empty() {
        text.push_str(", with its two-sided 95 % confidence interval:");
        let mut ways = Vec::new();
        if tests.contains(&Test::PairedT) {
            ways.push(" Student's t-test of the differences by seed (paired)");
        }
        if tests.contains(&Test::WelchT) {
            ways.push(" Welch's t-test of all values (unpaired) where fewer than two seeds are common");
        }
        text.push_str(&ways.join(";"));
        let s = if tests.len() == 1 { "" } else { "s" };
        text.push_str(&format!("; p (Holm): corrected for {} test{s}", tests.len()));
    }
    text.push('.');
    if has_rungs {
        text.push_str(
            " Compared is only what was trained equally long: each point at the last rung that both it and the baseline reached.",
        );
    }
    if has(NoTest::OneValue) {
        text.push_str(" n = 1: a single seed tells nothing of the spread, so there is no interval.");
    }
    if has(NoTest::NoSpread) {
        text.push_str(" No spread: all seeds differ alike, so nothing tells what is chance.");
    }
    Some(text)
}

/// The baseline's label; of a search without the rung.
fn baseline(comparison: &Comparison) -> String {
    let group = &comparison.groups[comparison.baseline];
    if group.rung.is_none() {
        return group.label.clone();
    }
    let settings = group.settings.iter().filter(|(key, _)| *key != RUNG);
    let label = label(&comparison.columns, &settings.map(|(key, value)| (key.clone(), value.clone())).collect());
    if label.is_empty() { group.label.clone() } else { label }
}

/// Seeds that several runs of a group have.
fn repeated(comparison: &Comparison) -> Option<String> {
    let is_repeated = |group: &&Group| {
        let seeds: Vec<u64> = comparison
            .members_of(group)
            .filter(|member| member.outcome.done().is_some())
            .filter_map(|member| member.seed)
            .collect();
        seeds.iter().collect::<BTreeSet<_>>().len() < seeds.len()
    };
    let labels: Vec<&str> = comparison.groups.iter().filter(is_repeated).map(|group| group.label.as_str()).collect();
    let told = "Several runs have the same settings and seed; their mean counts as one value";
    (!labels.is_empty()).then(|| format!("{told}: {}.", listed(labels.into_iter())))
}

/// Builds, data and machines that are not the same.
fn unlike(comparison: &Comparison, figures: &[&Figures]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut builds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, hash) in figures.iter().flat_map(|figures| &figures.plugins) {
        builds.entry(name).or_default().insert(hash);
    }
    let several = builds.iter().filter(|(_, hashes)| hashes.len() > 1);
    for (name, hashes) in several {
        let short = hashes.iter().map(|hash| hash.get(..12).unwrap_or(hash));
        notes.push(format!("Not the same build of `{}`: {}.", printable(name), listed(short)));
    }
    let differs = |table: &str| comparison.columns.iter().any(|column| column.key.starts_with(table));
    let data: BTreeSet<&str> = figures.iter().filter_map(|figures| figures.fingerprint.as_deref()).collect();
    if data.len() > 1 && !differs("dataset.") {
        let short = data.iter().map(|hash| hash.get(..12).unwrap_or(hash));
        notes.push(format!("Not the same data: fingerprints {}.", listed(short)));
    }
    let machines: BTreeSet<String> = figures.iter().map(|figures| figures.machines.join(" and then ")).collect();
    let machines: Vec<&str> = machines.iter().map(String::as_str).filter(|machine| !machine.is_empty()).collect();
    if machines.len() > 1 {
        notes.push(format!("images/s and times are of different machines: {}.", listed(machines.into_iter())));
    } else {
        notes.extend(machines.first().map(|machine| format!("Trained on {machine}.")));
    }
    notes
}

fn listed<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.map(printable).collect();
    let rest = items.len().saturating_sub(LISTED);
    let mut text = items.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if rest > 0 {
        text.push_str(&format!(" and {rest} more"));
    }
    text
}
