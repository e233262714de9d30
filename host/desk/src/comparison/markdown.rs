//! The table as Markdown, for a README or an issue.

use super::{Comparison, Table};

/// The table, what did not come to its end, and notes.
pub fn to_markdown(comparison: &Comparison) -> String {
    let table = Table::of(comparison);
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(table.headings.iter().map(|heading| escaped(&heading.text)).collect());
    text.push_str(&line(
        table.headings.iter().map(|heading| if heading.is_word { "---" } else { "---:" }.to_owned()).collect(),
    ));
    for (index, row) in table.rows.iter().enumerate() {
        let cells = row.iter().map(|cell| {
            let text = escaped(&cell.text);
            if table.baselines.contains(&index) && text == "baseline" { format!("*{text}*") } else { text }
        });
        text.push_str(&line(cells.collect()));
    }
    let mut list = |items: Vec<String>| {
        if !items.is_empty() {
            text.push('\n');
            items.iter().for_each(|item| text.push_str(&format!("- {}\n", spans(item))));
        }
    };
    list(comparison.shortfalls().collect());
    list(comparison.notes.clone());
    text
}

/// A message whose values stand in backticks.
fn spans(text: &str) -> String {
    let mut out = String::new();
    for (index, part) in text.split('`').enumerate() {
        let part = part.replace(['\n', '\r'], " ");
        match (index % 2 == 1, part.is_empty()) {
            (true, false) => out.push_str(&format!("`{part}`")),
            (false, false) => out.push_str(&escaped(&part)),
            // Two backticks beside one another would begin something else.
            (_, true) if index > 0 => out.push(' '),
            _ => {}
        }
    }
    out.trim_end().to_owned()
}

/// A text that Markdown shows as it is: no cell ends in it, nothing becomes a link, a tag or a style.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        // Within a word `_` is only that; a bracket is a link only where something in round ones follows.
        let is_inner = letter == '_' && before.is_alphanumeric() && letters.peek().is_some_and(|c| c.is_alphanumeric());
        match letter {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '|' | '`' | '*' | '~' | '!' | '$' => out.extend(['\\', letter]),
            '_' if !is_inner => out.extend(['\\', letter]),
            ']' if letters.peek().is_some_and(|c| matches!(c, '(' | '[' | ':')) => out.extend(['\\', letter]),
            _ => out.push(letter),
        }
        before = letter;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{escaped, spans};

    #[test]
    fn text_stays_text() {
        assert_eq!(escaped("linear_top1 (%)"), "linear_top1 (%)");
        assert_eq!(escaped("+1.00 [+0.50, +1.50]"), "+1.00 [+0.50, +1.50]");
        assert_eq!(escaped("a|b\nc <img> *x* _y_"), r"a\|b c &lt;img> \*x\* \_y\_");
        assert_eq!(spans("the `a_<b>` of <c>"), "the `a_<b>` of &lt;c>");
        assert_eq!(spans("``<b>` `a``b`"), " &lt;b>` `a b");
        assert_eq!(escaped("[x](http://y) `z`"), r"[x\](http://y) \`z\`");
    }
}
