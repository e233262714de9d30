//! The table for a paper: LaTeX with the package `booktabs`.

use super::{Comparison, Table};

/// A `tabular`, with what else a reader has to know as comments above it.
pub fn to_latex(comparison: &Comparison) -> String {
    let table = Table::of(comparison);
    let mut text = format!("% {}\n% needs \\usepackage{{booktabs}}\n", one_line(&comparison.title));
    for told in comparison.shortfalls().chain(comparison.notes.iter().cloned()) {
        text.push_str(&format!("% {}\n", one_line(&told)));
    }
    let places: String = table.headings.iter().map(|heading| if heading.is_word { 'l' } else { 'r' }).collect();
    text.push_str(&format!("\\begin{{tabular}}{{{places}}}\n\\toprule\n"));
    let line = |cells: Vec<String>| format!("{} \\\\\n", cells.join(" & "));
    text.push_str(&line(table.headings.iter().map(|heading| escaped(&heading.text)).collect()));
    text.push_str("\\midrule\n");
    for row in &table.rows {
        // A row that began with a bracket would be an option of the line before it.
        let cells: Vec<String> = row.iter().map(|cell| escaped(&cell.text)).collect();
        let guard = if cells.first().is_some_and(|cell| cell.starts_with(['[', '*'])) { "{}" } else { "" };
        text.push_str(&format!("{guard}{}", line(cells)));
    }
    text.push_str("\\bottomrule\n\\end{tabular}\n");
    text
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// A text that LaTeX sets as it is.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', letter]),
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' => out.push_str("$<$"),
            '>' => out.push_str("$>$"),
            '|' => out.push_str("\\textbar{}"),
            '"' => out.push_str("\\textquotedbl{}"),
            '±' => out.push_str("$\\pm$"),
            '–' => out.push_str("--"),
            '\n' | '\r' => out.push(' '),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn text_stays_text() {
        assert_eq!(
            escaped("a_b & 50 % of $x^2$ {#1} ~ \\input"),
            "a\\_b \\& 50 \\% of \\$x\\textasciicircum{}2\\$ \\{\\#1\\} \\textasciitilde{} \\textbackslash{}input"
        );
        assert_eq!(escaped("44.46 ± 1.13, <0.001, –"), "44.46 $\\pm$ 1.13, $<$0.001, --");
    }
}
