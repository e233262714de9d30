//! How far each group lies from the baseline, with its confidence interval: one line a group, the largest effect first.

use super::sizes::{Size, both};
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

const TOP: f64 = 26.0;
const BOTTOM: f64 = 40.0;
/// A letter's width at most, on average.
const LETTER: f64 = 7.9;

/// Where the parts of a line are.
#[derive(Clone, Copy)]
struct Layout {
    width: f64,
    left: f64,
    right: f64,
    row: f64,
    /// Where a line's label stands, and how far above the interval its words are.
    label: f64,
    above: f64,
    /// By which end labels and values are held there.
    anchors: [&'static str; 2],
    /// Where a line's value stands.
    value: f64,
}

/// The label at the left of the interval, the value at its right.
const BROAD: Layout = Layout {
    width: 1100.0,
    left: 300.0,
    right: 330.0,
    row: 28.0,
    label: 286.0,
    above: 0.0,
    anchors: ["end", "start"],
    value: 784.0,
};
/// Both above the interval.
const NARROW: Layout = Layout {
    width: 400.0,
    left: 14.0,
    right: 14.0,
    row: 48.0,
    label: 2.0,
    above: 19.0,
    anchors: ["start", "end"],
    value: 398.0,
};

impl Layout {
    fn of(size: Size) -> Self {
        if size == Size::Broad { BROAD } else { NARROW }
    }

    fn frame(&self, rows: usize) -> Frame {
        Frame {
            width: self.width,
            height: TOP + self.row * rows as f64 + BOTTOM,
            left: self.left,
            right: self.right,
            top: TOP,
            bottom: BOTTOM,
        }
    }

    /// Letters of a label that fit, beside a value where both stand on one line.
    fn letters(&self, value: &str) -> usize {
        let room = if self.above > 0.0 { self.width - LETTER * value.chars().count() as f64 } else { self.left };
        (room / LETTER) as usize - 2
    }

    /// The height at which a row's interval lies.
    fn height(&self, place: usize) -> f64 {
        TOP + self.row * (place as f64 + 0.5) + self.above / 2.0
    }
}

/// The chart with its heading; nothing where there is nothing beside the baseline.
pub fn section(comparison: &Comparison) -> Markup {
    let order = order(comparison);
    if order.len() < 2 || comparison.groups.iter().all(|group| group.difference.is_none()) {
        return html! {};
    }
    let x = axis(comparison);
    let drawn = |size: Size| {
        let layout = Layout::of(size);
        let frame = layout.frame(order.len());
        let zero = frame.at_x(&x, 0.0);
        html! {
            @for (value, say) in &x.ticks {
                @let place = frame.at_x(&x, *value);
                path.grid d=(format!("M{place:.1} {TOP}V{}", frame.floor())) {}
                text.tick x=(format!("{place:.1}")) y=(frame.floor() + 18.0) text-anchor="middle" { (say) }
            }
            path.zero d=(format!("M{zero:.1} {}V{}", TOP - 8.0, frame.floor())) {}
            text.tick x=(format!("{zero:.1}")) y=(TOP - 12.0) text-anchor="middle" { "baseline" }
            @for (place, &index) in order.iter().enumerate() {
                (row(comparison, index, layout.height(place), &layout, (&frame, &x)))
            }
        }
    };
    let metric = with_unit(&comparison.metric);
    let title = format!("Difference of {} to the baseline", comparison.metric);
    html! {
        section {
            h2 { "Effects" }
            figure.chart.broad {
                figcaption {
                    span.what { "Difference of " (metric) " to the baseline" }
                    span.unit { "line: 95 % confidence interval; hollow: the interval holds zero, or there is none" }
                }
                div.wide tabindex="0" role="region" aria-label="Effects" {
                    (both("effects", &title, &told(comparison, &order), |size| Layout::of(size).frame(order.len()), drawn))
                }
            }
        }
    }
}

fn row(comparison: &Comparison, index: usize, y: f64, layout: &Layout, (frame, x): (&Frame, &Axis)) -> Markup {
    let group = &comparison.groups[index];
    let is_baseline = index == comparison.baseline;
    let mean = group.difference.map(|difference| difference.mean);
    let test = group.difference.and_then(|difference| difference.inference.ok());
    let value = value_text(comparison, index);
    let words = y - layout.above + 4.5;
    let [at_label, at_value] = layout.anchors;
    html! {
        g.effect data-group=(index) {
            title { (group.label) ": " (value) }
            rect.ground x="0" y=(y - (layout.row + layout.above) / 2.0) width=(layout.width) height=(layout.row) {}
            text.label x=(layout.label) y=(words) text-anchor=(at_label) { (shortened(&group.label, layout.letters(&value))) }
            text.value x=(layout.value) y=(words) text-anchor=(at_value) { (value) }
            @if is_baseline {
                (spread(group, y, frame, x))
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
