//! The differences to the baseline as a PNG for a README: a line a group, the largest first, means and intervals in words beside it.

use super::{
    Comparison,
    effects::{axis, is_clear, order, shortened, value_text},
    table::{summary_text, with_unit},
};
use crate::{
    record::{
        RecordError,
        canvas::{self, GRID, INK, OVERSAMPLING},
    },
    report::Axis,
};
use plotters::{
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{Circle, PathElement},
    prelude::BitMapBackend,
    style::{
        Color, RGBColor, ShapeStyle,
        text_anchor::{HPos, VPos},
    },
};

const WIDTH: u32 = 1200;
const TOP: f64 = 84.0;
const ROW: f64 = 27.0;
const BOTTOM: f64 = 46.0;
/// Between the parts of a row, and at the sides.
const GAP: f64 = 24.0;
/// A letter's width at most, on average.
const LETTER: f64 = 7.9;
/// The words at the right.
const WORDS: f64 = 240.0;
/// Letters of a label that fit.
const LETTERS: usize = 42;
/// Groups that are drawn; of more, those with the largest differences, up and down.
const MOST: usize = 60;
const QUIET: RGBColor = RGBColor(110, 110, 110);
/// Okabe and Ito, "Color universal design", 2008: their blue.
const BLUE: RGBColor = RGBColor(0, 114, 178);

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// The picture, 1200 pixels wide.
///
/// # Errors
/// A picture that can't be drawn.
pub fn to_png(comparison: &Comparison) -> Result<Vec<u8>, RecordError> {
    let order = shown(comparison);
    let height = (TOP + ROW * order.len() as f64 + BOTTOM) as u32;
    canvas::drawn([WIDTH, height], "the comparison", |pixels, size| {
        let root = BitMapBackend::with_buffer(pixels, size).into_drawing_area();
        let letters = |text: String| text.chars().count();
        let labels = comparison.groups.iter().map(|group| letters(shortened(&group.label, LETTERS)));
        let values = comparison.groups.iter().map(|group| letters(summary_text(&comparison.metric, group.last)));
        let heading = letters(with_unit(&comparison.metric));
        let label = GAP + LETTER * labels.max().unwrap_or(0) as f64;
        let value = label + GAP + LETTER * values.max().unwrap_or(0).max(heading) as f64;
        let (floor, axis) = (TOP + ROW * order.len() as f64, axis(comparison));
        let picture = Picture { comparison, root, axis, floor, label, value, from: value + GAP };
        picture.draw(&order).map_err(|error| error.to_string())
    })
}

/// The groups in their order; of too many those in the middle are left out, never the baseline.
fn shown(comparison: &Comparison) -> Vec<usize> {
    let order = order(comparison);
    let half = MOST / 2;
    let is_shown = |(place, index): &(usize, &usize)| {
        order.len() <= MOST || *place < half || *place >= order.len() - half || **index == comparison.baseline
    };
    order.iter().enumerate().filter(is_shown).map(|(_, index)| *index).collect()
}

struct Picture<'a, 'b> {
    comparison: &'a Comparison,
    root: Area<'b>,
    axis: Axis,
    floor: f64,
    /// Where labels end.
    label: f64,
    /// Where values end.
    value: f64,
    /// Where the axis begins.
    from: f64,
}

/// Where the axis ends.
const TO: f64 = WIDTH as f64 - WORDS - GAP;

type Failure = Box<dyn std::error::Error>;

impl Picture<'_, '_> {
    fn draw(&self, order: &[usize]) -> Result<(), Failure> {
        let metric = with_unit(&self.comparison.metric);
        let hidden = super::effects::order(self.comparison).len() - order.len();
        let rest = if hidden > 0 { format!(", {hidden} groups between these left out") } else { String::new() };
        self.text(&format!("{}{rest}", self.comparison.title), 20, INK, (GAP, 14.0), HPos::Left)?;
        let head = TOP - 26.0;
        self.text(&metric, 14, QUIET, (self.value, head), HPos::Right)?;
        if self.comparison.has_differences() {
            let what = "difference to the baseline, 95 % confidence interval";
            self.text(what, 14, QUIET, (self.from, head), HPos::Left)?;
        }
        for (value, say) in &self.axis.ticks {
            let x = self.at(*value);
            self.line(&[(x, TOP), (x, self.floor)], GRID, 1.0)?;
            self.text(say, 13, QUIET, (x, self.floor + 8.0), HPos::Center)?;
        }
        let zero = self.at(0.0);
        self.line(&[(zero, TOP - 4.0), (zero, self.floor)], QUIET, 1.2)?;
        for (place, &index) in order.iter().enumerate() {
            self.row(index, TOP + ROW * (place as f64 + 0.5))?;
        }
        Ok(self.root.present()?)
    }

    fn row(&self, index: usize, y: f64) -> Result<(), Failure> {
        let group = &self.comparison.groups[index];
        let is_baseline = index == self.comparison.baseline;
        let text_y = y - 5.5;
        self.text(&shortened(&group.label, LETTERS), 15, INK, (self.label, text_y), HPos::Right)?;
        let value = summary_text(&self.comparison.metric, group.last);
        self.text(&value, 15, INK, (self.value, text_y), HPos::Right)?;
        let told = if is_baseline { "baseline".to_owned() } else { value_text(self.comparison, index) };
        self.text(&told, 14, if is_baseline { QUIET } else { INK }, (TO + GAP, text_y), HPos::Left)?;
        if is_baseline {
            let mean = group.last.map_or(0.0, |summary| summary.mean);
            for (_, value) in &group.values {
                let x = self.at(value - mean);
                self.line(&[(x, y - 5.0), (x, y + 5.0)], QUIET, 1.6)?;
            }
            return Ok(());
        }
        let Some(difference) = group.difference else { return Ok(()) };
        if let Ok(test) = difference.inference {
            let [low, high] = test.interval.map(|end| self.at(end));
            self.line(&[(low, y), (high, y)], BLUE, 2.2)?;
            for (x, end, side) in [(low, test.interval[0], 6.0), (high, test.interval[1], -6.0)] {
                // An arrow where the interval goes on beyond the picture.
                let points = if self.axis.is_beyond(end) {
                    vec![(x + side, y - 5.0), (x, y), (x + side, y + 5.0)]
                } else {
                    vec![(x, y - 4.0), (x, y + 4.0)]
                };
                self.line(&points, BLUE, 2.2)?;
            }
        }
        let middle = self.pixel((self.at(difference.mean), y));
        self.root.draw(&Circle::new(middle, (5 * OVERSAMPLING) as i32, BLUE.filled()))?;
        if !is_clear(group) {
            self.root.draw(&Circle::new(middle, (3 * OVERSAMPLING) as i32, RGBColor(255, 255, 255).filled()))?;
        }
        Ok(())
    }

    fn at(&self, value: f64) -> f64 {
        self.from + self.axis.place(value) * (TO - self.from)
    }

    fn pixel(&self, (x, y): (f64, f64)) -> (i32, i32) {
        let scaled = |value: f64| (value * f64::from(OVERSAMPLING)).round() as i32;
        (scaled(x), scaled(y))
    }

    fn line(&self, points: &[(f64, f64)], color: RGBColor, width: f64) -> Result<(), Failure> {
        let style: ShapeStyle = color.stroke_width((width * f64::from(OVERSAMPLING)) as u32);
        let points: Vec<(i32, i32)> = points.iter().map(|&point| self.pixel(point)).collect();
        Ok(self.root.draw(&PathElement::new(points, style))?)
    }

    fn text(&self, text: &str, points: u32, color: RGBColor, at: (f64, f64), side: HPos) -> Result<(), Failure> {
        let style = canvas::set(points, &color, side, VPos::Top);
        Ok(self.root.draw_text(text, &style, self.pixel(at))?)
    }
}
