//! Rows of cells as text: aligned for a terminal, quoted for a spreadsheet.

/// Lines with each column as wide as its widest cell; words stand at the left, numbers at the right.
pub fn aligned<Cell: AsRef<str>, Row: AsRef<[Cell]>>(rows: &[Row], is_word: impl Fn(usize) -> bool) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        let row = row.as_ref();
        widths.resize(widths.len().max(row.len()), 0);
        row.iter().zip(&mut widths).for_each(|(cell, width)| *width = (*width).max(cell.as_ref().chars().count()));
    }
    let line = |row: &Row| {
        let cells = row.as_ref().iter().zip(&widths).enumerate().map(|(index, (cell, &width))| {
            let cell = cell.as_ref();
            if is_word(index) { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A line after RFC 4180.
pub fn csv_line(cells: &[String]) -> String {
    cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\r\n"
}

/// A cell. A text that a spreadsheet would take for a formula is given an apostrophe, as OWASP advises against CSV injection.
fn quoted(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_numbers_right() {
        let rows = [["loss", "top1"], ["é", "7"], ["nt-xent", "42.10"]];
        assert_eq!(aligned(&rows, |column| column == 0), ["loss      top1", "é            7", "nt-xent  42.10"]);
        assert_eq!(aligned(&[["a", "b"], ["ab", ""]], |_| true), ["a   b", "ab"], "no blanks at the end");
    }

    #[test]
    fn no_cell_is_a_formula_or_ends_early() {
        assert_eq!(["1.5", "-2", "+1e-7", "-inf"].map(quoted), ["1.5", "-2", "+1e-7", "-inf"]);
        assert_eq!(quoted("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(["@a", "-a", "+a", "\ta"].map(quoted), ["'@a", "'-a", "'+a", "'\ta"]);
        assert_eq!(quoted("a,b\nc"), "\"a,b\nc\"");
    }
}
