//! A comparison in words: headings and cells that the terminal, Markdown, LaTeX and the page show, each in its way.

use super::{
    Against, Comparison, Group,
    columns::cell,
    statistics::{Inference, NoTest, Summary, Test},
};
use crate::{
    record::{Memory, duration},
    report::{is_accuracy, size},
};
use std::collections::BTreeSet;

/// Nothing is known.
pub const NOTHING: &str = "–";

/// Headings and rows of equal length.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub headings: Vec<Heading>,
    pub rows: Vec<Vec<Cell>>,
    /// The baseline's rows: of a search, one for each of its rungs.
    pub baselines: BTreeSet<usize>,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Heading {
    pub text: String,
    /// In more words, where there are more.
    pub meaning: Option<String>,
    /// Whether its cells are words, which stand at the left.
    pub is_word: bool,
}

/// What a row has there.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub text: String,
    /// By which it is sorted, where that is a number.
    pub number: Option<f64>,
}

impl Cell {
    fn word(text: impl Into<String>) -> Self {
        Self { text: text.into(), number: None }
    }

    fn nothing() -> Self {
        Self::word(NOTHING)
    }
}

type Filler<'a> = Box<dyn Fn(usize, &Group) -> Cell + 'a>;

struct Columns<'a>(Vec<(Heading, Filler<'a>)>);

impl<'a> Columns<'a> {
    fn add(&mut self, text: &str, meaning: Option<&str>, is_word: bool, fill: Filler<'a>) {
        let heading = Heading { text: text.to_owned(), meaning: meaning.map(str::to_owned), is_word };
        self.0.push((heading, fill));
    }
}

impl Table {
    /// The table of a comparison: settings that differ, results, what they cost. A column that no row fills is left out.
    pub fn of(comparison: &Comparison) -> Self {
        let mut columns = Columns(Vec::new());
        for column in &comparison.columns {
            let fill = |_, group: &Group| {
                let value = group.settings.get(&column.key);
                Cell { text: cell(value), number: value.and_then(serde_json::Value::as_f64) }
            };
            columns.add(&column.short, Some(&column.key), true, Box::new(fill));
        }
        if comparison.columns.is_empty() {
            columns.add("runs", None, true, Box::new(|_, group| Cell::word(group.label.clone())));
        }
        let seeds = "Runs that came to their end, of all where some did not";
        columns.add("seeds", Some(seeds), false, Box::new(|_, group| seeds_cell(group)));
        let metric = comparison.metric.as_str();
        let of_metric = |summary: Option<Summary>| summary_cell(metric, summary);
        let meaning = "Last value of each run: mean ± sample standard deviation over seeds";
        columns.add(&with_unit(metric), Some(meaning), false, Box::new(move |_, group| of_metric(group.last)));
        let meaning = "The best of each run's tests: optimistic";
        columns.add("best", Some(meaning), false, Box::new(move |_, group| of_metric(group.best)));
        let meaning = "The same classifier on the encoder as it was initialised";
        columns.add("untrained", Some(meaning), false, Box::new(move |_, group| of_metric(group.untrained)));
        if comparison.has_differences() {
            let fill = move |index, group: &Group| difference_cell(metric, comparison.against[index], group);
            let meaning = "To the baseline, with the two-sided 95 % confidence interval";
            columns.add("difference [95 %]", Some(meaning), false, Box::new(fill));
            columns.add("test", Some("Over what"), true, Box::new(|_, group| test_cell(group)));
            let p = |of: fn(&Inference) -> f64| -> Filler<'_> { Box::new(move |_, group| p_cell(group, of)) };
            columns.add("p", Some("Two-sided"), false, p(|test| test.p));
            columns.add("p (Holm)", Some("Corrected by Holm for all rows"), false, p(|test| test.p_holm));
        }
        for name in &comparison.further {
            let fill = move |_, group: &Group| summary_cell(name, group.metrics.get(name).copied());
            columns.add(&with_unit(name), None, false, Box::new(fill));
        }
        columns.add(
            "images/s",
            Some("Median of each run"),
            false,
            Box::new(|_, group| pace_cell(group.images_per_second)),
        );
        let meaning = "The most of all its runs, of the GPU where they trained on one";
        columns.add("peak memory", Some(meaning), false, Box::new(|_, group| memory_cell(group.memory)));
        columns.add("wall time", Some("Mean"), false, Box::new(|_, group| time_cell(group.wall_seconds)));
        let groups = &comparison.groups;
        let Columns(mut columns) = columns;
        columns.retain(|(heading, fill)| {
            let is_filled = groups.iter().enumerate().any(|(index, group)| fill(index, group).text != NOTHING);
            is_filled || heading.text == with_unit(metric)
        });
        let row = |(index, group)| columns.iter().map(|(_, fill)| fill(index, group)).collect();
        let rows = groups.iter().enumerate().map(row).collect();
        Self {
            headings: columns.into_iter().map(|(heading, _)| heading).collect(),
            rows,
            baselines: (0..groups.len()).filter(|&index| comparison.is_baseline(index)).collect(),
        }
    }
}

/// A metric with its unit.
pub fn with_unit(metric: &str) -> String {
    if is_accuracy(metric) { format!("{metric} (%)") } else { metric.to_owned() }
}

/// Digits behind the point: two of percents, or else as many as make three digits.
fn decimals(metric: &str, value: f64) -> usize {
    if is_accuracy(metric) {
        return 2;
    }
    if value == 0.0 { 2 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 6) as usize }
}

/// `44.46 ± 1.13`.
pub fn summary_text(metric: &str, summary: Option<Summary>) -> String {
    let Some(Summary { mean, deviation, .. }) = summary else { return NOTHING.to_owned() };
    let decimals = decimals(metric, mean);
    let spread = deviation.map(|deviation| format!(" ± {deviation:.decimals$}")).unwrap_or_default();
    format!("{mean:.decimals$}{spread}")
}

fn summary_cell(metric: &str, summary: Option<Summary>) -> Cell {
    Cell { text: summary_text(metric, summary), number: summary.map(|summary| summary.mean) }
}

fn seeds_cell(group: &Group) -> Cell {
    let (count, lacking) = (group.values.len(), group.counts.all() - group.counts.done);
    let text = if lacking == 0 { count.to_string() } else { format!("{count} of {}", count + lacking) };
    Cell { text, number: Some(count as f64) }
}

/// `+2.41 [+1.18, +3.64]`, or why there is no interval.
pub fn difference_text(metric: &str, group: &Group) -> Option<String> {
    let (difference, last) = (group.difference?, group.last?);
    let decimals = decimals(metric, last.mean);
    // No `-0.00`.
    let signed = |value: f64| {
        let text = format!("{value:+.decimals$}");
        if text.trim_start_matches(['-', '+', '0', '.']).is_empty() { text.replace('-', "+") } else { text }
    };
    let mean = signed(difference.mean);
    Some(match difference.inference {
        Ok(Inference { interval: [low, high], .. }) => format!("{mean} [{}, {}]", signed(low), signed(high)),
        Err(NoTest::OneValue) => format!("{mean} (n = 1: no interval)"),
        Err(NoTest::NoSpread) => format!("{mean} (no spread: no interval)"),
    })
}

fn difference_cell(metric: &str, against: Against, group: &Group) -> Cell {
    match against {
        Against::Itself => return Cell { text: "baseline".to_owned(), number: Some(0.0) },
        Against::Rung(rung) => return Cell::word(format!("at rung {rung}")),
        Against::Baseline(_) => {}
    }
    let text = difference_text(metric, group).unwrap_or_else(|| NOTHING.to_owned());
    Cell { text, number: group.difference.map(|difference| difference.mean) }
}

fn test_cell(group: &Group) -> Cell {
    let Some(difference) = group.difference else { return Cell::nothing() };
    let Ok(inference) = difference.inference else { return Cell::nothing() };
    let over = match inference.test {
        Test::PairedT => format!("{} pairs", difference.pairs),
        Test::WelchT => format!("df {:.1}", inference.degrees_of_freedom),
    };
    Cell::word(format!("{}, {over}", inference.test.name()))
}

/// `0.013`.
pub fn p_text(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

fn p_cell(group: &Group, of: fn(&Inference) -> f64) -> Cell {
    let p = group.difference.and_then(|difference| Some(of(&difference.inference.ok()?)));
    p.map_or_else(Cell::nothing, |p| Cell { text: p_text(p), number: Some(p) })
}

fn pace_cell(pace: Option<Summary>) -> Cell {
    let text = |summary: Summary| {
        if summary.mean < 10.0 { format!("{:.1}", summary.mean) } else { format!("{:.0}", summary.mean) }
    };
    Cell { text: pace.map_or_else(|| NOTHING.to_owned(), text), number: pace.map(|summary| summary.mean) }
}

/// The GPU's, where they trained on one.
pub fn memory_bytes(memory: Memory) -> Option<u64> {
    memory.device_bytes.or((memory.process_bytes > 0).then_some(memory.process_bytes))
}

fn memory_cell(memory: Option<Memory>) -> Cell {
    let bytes = memory.and_then(memory_bytes);
    Cell { text: bytes.map_or_else(|| NOTHING.to_owned(), size), number: bytes.map(|bytes| bytes as f64) }
}

fn time_cell(seconds: Option<Summary>) -> Cell {
    let text = seconds.map_or_else(|| NOTHING.to_owned(), |summary| duration(summary.mean));
    Cell { text, number: seconds.map(|summary| summary.mean) }
}
