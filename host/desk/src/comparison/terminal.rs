//! The table as aligned text.

use super::{Comparison, Table};
use crate::rows::aligned;

/// The table with its title, what did not come to its end, and notes.
pub fn to_terminal(comparison: &Comparison) -> String {
    let table = Table::of(comparison);
    let mut text = format!("{}\n\n", comparison.title);
    let lines: Vec<Vec<&str>> = std::iter::once(table.headings.iter().map(|heading| heading.text.as_str()).collect())
        .chain(table.rows.iter().map(|row| row.iter().map(|cell| cell.text.as_str()).collect()))
        .collect();
    for line in aligned(&lines, |column| table.headings[column].is_word) {
        text.push_str(&line);
        text.push('\n');
    }
    for shortfall in comparison.shortfalls() {
        text.push_str(&format!("\n{shortfall}"));
    }
    if comparison.shortfalls().next().is_some() {
        text.push('\n');
    }
    for note in &comparison.notes {
        text.push_str(&format!("\n{note}"));
    }
    text
}
