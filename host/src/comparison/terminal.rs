//! The table as aligned text.

use super::{Comparison, Table};

/// The table with its title, what did not come to its end, and notes.
pub fn to_terminal(comparison: &Comparison) -> String {
    let table = Table::of(comparison);
    let mut text = format!("{}\n\n", comparison.title);
    let lines: Vec<Vec<&str>> = std::iter::once(table.headings.iter().map(|heading| heading.text.as_str()).collect())
        .chain(table.rows.iter().map(|row| row.iter().map(|cell| cell.text.as_str()).collect()))
        .collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table.headings.len()).map(width).collect();
    for line in &lines {
        let cells = line.iter().enumerate().map(|(index, cell)| {
            let width = widths[index];
            if table.headings[index].is_word { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
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
