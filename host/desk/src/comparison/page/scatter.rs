//! The main metric against wall time: what a group costs and what it gives. Seeds are small, their mean is large.

use super::{
    curves::legend,
    emphasis::Emphasis,
    sizes::{Size, both},
};
use crate::{
    comparison::{Comparison, table::with_unit},
    record::duration,
    report::{Axis, result},
};
use maud::{Markup, html};

/// Of more groups only those in colour show their seeds.
const CROWD: usize = 24;

struct Mark {
    group: usize,
    name: String,
    seconds: f64,
    value: f64,
    is_mean: bool,
}

/// The chart with its heading; nothing where fewer than two groups have both.
pub fn section(comparison: &Comparison, emphasis: &Emphasis) -> Markup {
    let marks = marks(comparison, emphasis);
    if marks.iter().filter(|mark| mark.is_mean).count() < 2 {
        return html! {};
    }
    let longest = marks.iter().map(|mark| mark.seconds).fold(0.0, f64::max);
    let (unit, name) = match longest {
        ..300.0 => (1.0, "wall time in seconds"),
        300.0..18_000.0 => (60.0, "wall time in minutes"),
        _ => (3600.0, "wall time in hours"),
    };
    let x = Axis::around(marks.iter().map(|mark| mark.seconds / unit));
    let y = Axis::around(marks.iter().map(|mark| mark.value));
    let drawn = |size: Size| {
        let frame = size.frame();
        html! {
            (frame.grid(&x, &y, name))
            @for mark in &marks {
                @let (cx, cy) = (frame.at_x(&x, mark.seconds / unit), frame.at_y(&y, mark.value));
                g class=(emphasis.class(mark.group)) data-group=(mark.group) {
                    circle class=(if mark.is_mean { "mark" } else { "mark seed" })
                        cx=(format!("{cx:.1}")) cy=(format!("{cy:.1}")) r=(if mark.is_mean { 6.5 } else { 3.0 }) {
                        title { (mark.name) ": " (result(&comparison.metric, mark.value)) ", " (duration(mark.seconds)) }
                    }
                }
            }
        }
    };
    let title = format!("{} against wall time", comparison.metric);
    html! {
        section {
            h2 { "Results against time" }
            figure.chart.broad {
                figcaption {
                    span.what { (with_unit(&comparison.metric)) }
                    span.unit { "by " (name) ", tests included; large: mean over seeds, small: a seed" }
                }
                div.wide tabindex="0" role="region" aria-label="Results against time" {
                    (both("scatter", &title, &told(comparison, &marks), Size::frame, drawn))
                }
                (legend(comparison, emphasis))
            }
        }
    }
}

/// Seeds before means, pale groups before coloured ones: what comes later lies above.
fn marks(comparison: &Comparison, emphasis: &Emphasis) -> Vec<Mark> {
    let mut marks = Vec::new();
    for group in emphasis.in_order() {
        let row = &comparison.groups[group];
        let done = comparison.members_of(row).filter_map(|member| Some((member, member.outcome.done()?)));
        let seeds = done.filter_map(|(member, figures)| {
            let (seconds, value) = (figures.wall_seconds?, figures.last(&comparison.metric)?);
            Some(Mark { group, name: format!("{}, {}", row.label, member.name), seconds, value, is_mean: false })
        });
        let seeds: Vec<Mark> = seeds.collect();
        let is_crowded = comparison.groups.len() > CROWD && !emphasis.is_coloured(group);
        if row.counts.done > 1 && !is_crowded {
            marks.extend(seeds);
        }
        if let (Some(seconds), Some(value)) = (row.wall_seconds, row.last) {
            let name = row.label.clone();
            marks.push(Mark { group, name, seconds: seconds.mean, value: value.mean, is_mean: true });
        }
    }
    marks.sort_by_key(|mark| mark.is_mean);
    marks
}

/// What the picture shows, for those who don't see it.
fn told(comparison: &Comparison, marks: &[Mark]) -> String {
    let means = marks.iter().filter(|mark| mark.is_mean);
    let word = |mark: &Mark| {
        format!("{}: {} in {}", mark.name, result(&comparison.metric, mark.value), duration(mark.seconds))
    };
    means.map(word).collect::<Vec<_>>().join("; ")
}
