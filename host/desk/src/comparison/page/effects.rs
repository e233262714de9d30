//! How far each group lies from the baseline, with its confidence interval: one line a group, the largest effect first.

use crate::{
    comparison::{
        Comparison, Group,
        effects::{axis, is_clear, order, shortened, value_text},
        statistics::Inference,
        table::with_unit,
    },
    report::{Axis, Frame},
};
use maud::{Markup, html};

const WIDTH: f64 = 1100.0;
const LEFT: f64 = 300.0;
const RIGHT: f64 = 330.0;
const ROW: f64 = 28.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 40.0;
/// Letters of a label that fit at the left.
const LABEL: usize = 42;

/// The chart with its heading; nothing where there is nothing beside the baseline.
pub fn section(comparison: &Comparison) -> Markup {
    let order = order(comparison);
    if order.len() < 2 || comparison.groups.iter().all(|group| group.difference.is_none()) {
        return html! {};
    }
    let frame = Frame {
        width: WIDTH,
        height: TOP + ROW * order.len() as f64 + BOTTOM,
        left: LEFT,
        right: RIGHT,
        top: TOP,
        bottom: BOTTOM,
    };
    let x = axis(comparison);
    let zero = frame.at_x(&x, 0.0);
    let metric = with_unit(&comparison.metric);
    html! {
        section {
            h2 { "Effects" }
            figure.chart.broad {
                figcaption {
                    span.what { "Difference of " (metric) " to the baseline" }
                    span.unit { "line: 95 % confidence interval; hollow: the interval holds zero, or there is none" }
                }
                div.wide tabindex="0" role="region" aria-label="Effects" {
                    svg.effects viewBox=(frame.view_box()) role="img" aria-labelledby="effects-title effects-text" {
                        title id="effects-title" { "Difference of " (comparison.metric) " to the baseline" }
                        desc id="effects-text" { (told(comparison, &order)) }
                        @for (value, say) in &x.ticks {
                            @let place = frame.at_x(&x, *value);
                            path.grid d=(format!("M{place:.1} {TOP}V{}", frame.floor())) {}
                            text.tick x=(format!("{place:.1}")) y=(frame.floor() + 18.0) text-anchor="middle" { (say) }
                        }
                        path.zero d=(format!("M{zero:.1} {}V{}", TOP - 8.0, frame.floor())) {}
                        text.tick x=(format!("{zero:.1}")) y=(TOP - 12.0) text-anchor="middle" { "baseline" }
                        @for (place, &index) in order.iter().enumerate() {
                            (row(comparison, index, TOP + ROW * (place as f64 + 0.5), &frame, &x))
                        }
                    }
                }
            }
        }
    }
}

fn row(comparison: &Comparison, index: usize, y: f64, frame: &Frame, x: &Axis) -> Markup {
    let group = &comparison.groups[index];
    let is_baseline = index == comparison.baseline;
    let mean = group.difference.map(|difference| difference.mean);
    let test = group.difference.and_then(|difference| difference.inference.ok());
    let end = frame.right_end() + 14.0;
    html! {
        g.effect data-group=(index) {
            title { (group.label) ": " (value_text(comparison, index)) }
            rect.ground x="0" y=(y - ROW / 2.0) width=(WIDTH) height=(ROW) {}
            text.label x=(LEFT - 14.0) y=(y + 4.5) text-anchor="end" { (shortened(&group.label, LABEL)) }
            @if is_baseline {
                (spread(group, y, frame, x))
                text.value x=(end) y=(y + 4.5) { (value_text(comparison, index)) }
            } @else {
                @if let Some(Inference { interval: [low, high], .. }) = test {
                    @let (from, to) = (frame.at_x(x, low), frame.at_x(x, high));
                    path.interval d=(format!("M{from:.1} {y}H{to:.1}")) {}
                    @for (at, is_cut, side) in [(from, x.is_beyond(low), 6.0), (to, x.is_beyond(high), -6.0)] {
                        // An arrow where the interval goes on beyond the picture.
                        @if is_cut { path.interval d=(format!("M{:.1} {}l{} 5l{side} 5", at + side, y - 5.0, -side)) {} }
                        @else { path.interval d=(format!("M{at:.1} {}v8", y - 4.0)) {} }
                    }
                }
                @if let Some(mean) = mean {
                    circle.mean.hollow[!is_clear(group)] cx=(format!("{:.1}", frame.at_x(x, mean))) cy=(y) r="5" {}
                }
                text.value x=(end) y=(y + 4.5) { (value_text(comparison, index)) }
            }
        }
    }
}

/// The baseline's own seeds, as ticks about its mean.
fn spread(group: &Group, y: f64, frame: &Frame, x: &Axis) -> Markup {
    let mean = group.last.map_or(0.0, |summary| summary.mean);
    html! {
        @for (_, value) in &group.values {
            @let at = frame.at_x(x, value - mean);
            path.seed d=(format!("M{at:.1} {}v10", y - 5.0)) {}
        }
    }
}

/// What the picture shows, for those who don't see it.
fn told(comparison: &Comparison, order: &[usize]) -> String {
    let told = order.iter().filter(|&&index| index != comparison.baseline);
    let told = told.map(|&index| format!("{}: {}", comparison.groups[index].label, value_text(comparison, index)));
    told.collect::<Vec<_>>().join("; ")
}
