//! Which groups are drawn in a colour of their own: a reader tells a handful apart, the others are named where a pointer asks.

use crate::{comparison::Comparison, report::is_accuracy};

/// Classes of the style sheet, told apart by colour-blind readers.
const COLOURS: [&str; 6] = ["c0", "c1", "c2", "c3", "c4", "c5"];
const PALE: &str = "other";

/// The class of each group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emphasis {
    classes: Vec<&'static str>,
}

impl Emphasis {
    /// The baseline and those with the highest accuracy; the first ones where nobody can say which are the best.
    pub fn of(comparison: &Comparison) -> Self {
        let mut order: Vec<usize> =
            (0..comparison.groups.len()).filter(|&index| index != comparison.baseline).collect();
        if is_accuracy(&comparison.metric) && order.len() >= COLOURS.len() {
            let mean = |index: usize| comparison.groups[index].last.map_or(f64::NEG_INFINITY, |summary| summary.mean);
            order.sort_by(|&a, &b| mean(b).total_cmp(&mean(a)));
        }
        let mut classes = vec![PALE; comparison.groups.len()];
        let chosen = std::iter::once(comparison.baseline).chain(order);
        chosen.zip(COLOURS).for_each(|(index, colour)| classes[index] = colour);
        Self { classes }
    }

    /// A group's class.
    pub fn class(&self, group: usize) -> &'static str {
        self.classes[group]
    }

    /// Whether it has a colour of its own.
    pub fn is_coloured(&self, group: usize) -> bool {
        self.classes[group] != PALE
    }

    /// All groups, those behind the others first.
    pub fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.classes.len()).collect();
        order.sort_by_key(|&group| self.is_coloured(group));
        order
    }

    /// The groups that have colours, in the order of the colours, and how many have none.
    pub fn legend(&self) -> (Vec<usize>, usize) {
        let mut coloured: Vec<usize> = (0..self.classes.len()).filter(|&group| self.is_coloured(group)).collect();
        coloured.sort_by_key(|&group| self.classes[group]);
        let rest = self.classes.len() - coloured.len();
        (coloured, rest)
    }
}
