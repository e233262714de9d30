//! The main metric over the steps: each group's mean, and a band of one standard deviation about it.

use super::{
    emphasis::Emphasis,
    sizes::{Size, both},
};
use crate::{
    comparison::{
        At, Comparison, Group, Outcome,
        bands::{BandPoint, band},
        table::with_unit,
    },
    report::{Axis, Frame, number, picked, thinned},
};
use maud::{Markup, html};

/// Stretches that a long curve is thinned to.
const STRETCHES: usize = 120;
/// Points of a curve that say their value.
const SPEAKING: usize = 25;

/// The chart with its heading; nothing where no group was tested more than once.
pub fn section(comparison: &Comparison, emphasis: &Emphasis) -> Markup {
    let bands: Vec<Vec<BandPoint>> = comparison.groups.iter().map(|group| band_of(comparison, group)).collect();
    if bands.iter().all(|band| band.len() < 2) {
        return html! {};
    }
    let last = bands.iter().flatten().map(|point| point.step).fold(0.0, f64::max);
    let ends = bands.iter().flatten().flat_map(|point| [point.mean - point.deviation, point.mean + point.deviation]);
    let y = Axis::around(ends.filter(|value| value.is_finite()));
    let drawn = |size: Size| {
        let frame = size.frame();
        let x = Axis::of_steps(last as u64, frame.letters());
        html! {
            (frame.grid(&x, &y, "step"))
            @for index in emphasis.in_order() {
                (curve(&comparison.groups[index].label, &bands[index], (index, emphasis), (&frame, &x, &y)))
            }
        }
    };
    let title = format!("{} by step", comparison.metric);
    let metric = with_unit(&comparison.metric);
    let has_band = bands.iter().flatten().any(|point| point.deviation > 0.0);
    html! {
        section {
            h2 { "Curves" }
            figure.chart.broad {
                figcaption {
                    span.what { (metric) }
                    span.unit { "mean over seeds" @if has_band { ", band: ± standard deviation" } }
                }
                div.wide tabindex="0" role="region" aria-label="Curves" {
                    (both("curves", &title, &told(comparison), Size::frame, drawn))
                }
                (legend(comparison, emphasis))
            }
        }
    }
}

/// Of the runs that came to their end; of those under way where none has.
fn band_of(comparison: &Comparison, group: &Group) -> Vec<BandPoint> {
    let curves = |is_done: bool| -> Vec<&[At]> {
        let members = comparison.members_of(group).map(|member| &member.outcome);
        let members = members.filter(|outcome| matches!(outcome, Outcome::Done(_)) == is_done);
        let metrics = members.filter_map(|outcome| outcome.figures()?.metrics.get(&comparison.metric));
        metrics.map(|metric| metric.curve.as_slice()).collect()
    };
    let done = band(&curves(true));
    if done.is_empty() { band(&curves(false)) } else { done }
}

/// What the picture shows, for those who don't see it.
fn told(comparison: &Comparison) -> String {
    let group = |group: &Group| {
        let value = crate::comparison::table::summary_text(&comparison.metric, group.last);
        format!("{} ends at {value}", group.label)
    };
    comparison.groups.iter().filter(|group| group.last.is_some()).map(group).collect::<Vec<_>>().join("; ")
}

fn curve(
    label: &str,
    points: &[BandPoint],
    (index, emphasis): (usize, &Emphasis),
    (frame, x, y): (&Frame, &Axis, &Axis),
) -> Markup {
    let mean: Vec<(f64, f64)> = points.iter().map(|point| (point.step, point.mean)).collect();
    let mean = thinned(&mean, STRETCHES);
    let is_coloured = emphasis.is_coloured(index);
    let has_band = is_coloured && points.len() > 1 && points.iter().any(|point| point.deviation > 0.0);
    let speaking = if is_coloured { picked(&mean, SPEAKING) } else { Vec::new() };
    html! {
        g class=(emphasis.class(index)) data-group=(index) {
            title { (label) }
            @if has_band { path.band d=(area(points, frame, x, y)) {} }
            path.line d=(frame.path(&mean, x, y)) {}
            @if mean.len() == 1 { circle.dot cx=(frame.at_x(x, mean[0].0)) cy=(frame.at_y(y, mean[0].1)) r="3" {} }
            @for (step, value) in speaking {
                circle.point cx=(format!("{:.1}", frame.at_x(x, step))) cy=(format!("{:.1}", frame.at_y(y, value))) r="6" {
                    title { (label) ": " (number(value)) " at step " (step.round()) }
                }
            }
        }
    }
}

/// The band's outline: its upper end from left to right, its lower one back.
fn area(points: &[BandPoint], frame: &Frame, x: &Axis, y: &Axis) -> String {
    let picked = picked(points, STRETCHES);
    let upper = picked.iter().map(|point| (point.step, point.mean + point.deviation));
    let lower = picked.iter().rev().map(|point| (point.step, point.mean - point.deviation));
    frame.path(&upper.chain(lower).collect::<Vec<_>>(), x, y) + "Z"
}

/// Which colour is which group.
pub fn legend(comparison: &Comparison, emphasis: &Emphasis) -> Markup {
    let (coloured, rest) = emphasis.legend();
    html! {
        ul.legend {
            @for index in coloured {
                li {
                    span class=(format!("swatch {}", emphasis.class(index))) {}
                    (comparison.groups[index].label)
                    @if comparison.is_baseline(index) && comparison.has_differences() { " (baseline)" }
                }
            }
            @if rest > 0 { li { span.swatch.other {} (rest) " others" } }
        }
    }
}
