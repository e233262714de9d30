//! A search by halving trains the better points longer, rung by rung: compared is only what was trained equally long.

use super::{columns::Settings, group::Group};
use std::collections::{BTreeMap, BTreeSet};

/// The key under which a rung stands among the settings.
pub const RUNG: &str = "rung";

/// What a group is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// Nothing: it is the baseline, of a search at one of its rungs.
    Itself,
    /// The baseline where it was trained equally long, if it was.
    Baseline(Option<usize>),
    /// Its point is compared at another rung: the last that both it and the baseline reached.
    Rung(usize),
}

/// A group's settings but the rung.
fn point(group: &Group) -> Settings {
    let mut settings = group.settings.clone();
    if group.rung.is_some() {
        settings.remove(RUNG);
    }
    settings
}

/// What each group is compared with, and the group that stands for the baseline: its last rung with values.
pub fn against(groups: &[Group], baseline: usize) -> (Vec<Against>, usize) {
    let points: Vec<Settings> = groups.iter().map(point).collect();
    let own: BTreeMap<Option<usize>, usize> = (0..groups.len())
        .filter(|&index| points[index] == points[baseline])
        .map(|index| (groups[index].rung, index))
        .collect();
    let reached = |of: &Settings| -> BTreeSet<Option<usize>> {
        let with_values = groups.iter().zip(&points).filter(|(group, point)| *point == of && !group.values.is_empty());
        with_values.map(|(group, _)| group.rung).collect()
    };
    let of_baseline = reached(&points[baseline]);
    let found = groups.iter().zip(&points).map(|(group, point)| {
        if *point == points[baseline] {
            return Against::Itself;
        }
        match reached(point).intersection(&of_baseline).max() {
            Some(&Some(rung)) if group.rung != Some(rung) => Against::Rung(rung),
            _ => Against::Baseline(own.get(&group.rung).copied()),
        }
    });
    let shown = of_baseline.last().and_then(|rung| own.get(rung)).copied().unwrap_or(baseline);
    (found.collect(), shown)
}
