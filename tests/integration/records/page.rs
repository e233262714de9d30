//! A report as a reader sees it.

use std::{fs, path::Path};

/// A run's page.
pub fn page(run: &Path) -> String {
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"), "the page is whole");
    page
}

/// The text of a page below one of its headings (all of it for none): a line each block, without tags and charts.
pub fn text(page: &str, heading: &str) -> String {
    let part = if heading.is_empty() {
        page.split("<main>").nth(1).unwrap()
    } else {
        page.split(&format!("<h2>{heading}</h2>")).nth(1).unwrap_or_else(|| panic!("no {heading}"))
    };
    let part = part.split("<section").next().unwrap().split("<footer").next().unwrap();
    let mut text = String::new();
    let mut rest = part;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, after) = after.split_once('>').unwrap();
        if ["/th", "/td", "/dt"].contains(&tag) {
            text.push_str(" | ");
        } else if ["/tr", "/p", "/h2", "/dd", "/summary"].contains(&tag) {
            text.push('\n');
        } else if tag.starts_with("span class=\"badge")
            || tag.starts_with("span class=\"meaning")
            || tag.starts_with("span class=\"before")
        {
            text.push_str(" · ");
        }
        rest = after;
    }
    text.push_str(rest);
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    let text = entities.iter().fold(text, |text, (entity, letter)| text.replace(entity, letter));
    let lines = text.lines().map(|line| line.trim().trim_end_matches(" |")).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// Leaves out what differs from machine to machine: numbers with a point, dates, durations.
pub fn without_figures(text: &str) -> String {
    let word = |word: &str| {
        let is_number = word.contains('.') && word.parse::<f64>().is_ok();
        let is_date = word.len() == 10 && word.bytes().filter(|&b| b == b'-').count() == 2;
        let is_time = word.len() == 5 && word.as_bytes()[2] == b':';
        if is_number || is_date || is_time { "[figure]".to_owned() } else { word.to_owned() }
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}
