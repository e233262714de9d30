//! The area of a chart within its picture: where values lie, the grid with its ticks, a line through points.

use super::{axis::Axis, thin::Point};
use maud::{Markup, html};
use std::fmt::Write;

/// Width of a tick's character, in the picture's units, at the largest size that the style sheet has.
const LETTER: f64 = 11.0;
/// Between a tick and the axis.
const GAP: f64 = 8.0;

/// A picture with room for ticks around the area that is drawn on.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub width: f64,
    pub height: f64,
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

impl Frame {
    /// For the attribute of this name.
    pub fn view_box(&self) -> String {
        format!("0 0 {} {}", self.width, self.height)
    }

    /// With as much room at the left as the ticks of the vertical axis need.
    pub fn fitting(self, y: &Axis) -> Self {
        let longest = y.ticks.iter().map(|(_, say)| say.chars().count()).max().unwrap_or(0);
        Self { left: (LETTER * longest as f64 + GAP).max(30.0), ..self }
    }

    /// How many characters fit beside one another along the horizontal axis.
    pub fn letters(&self) -> usize {
        ((self.right_end() - self.left) / LETTER) as usize
    }

    /// Where the area ends at the right.
    pub fn right_end(&self) -> f64 {
        self.width - self.right
    }

    /// Where the area ends at the bottom.
    pub fn floor(&self) -> f64 {
        self.height - self.bottom
    }

    /// Where a value of the horizontal axis lies.
    pub fn at_x(&self, axis: &Axis, value: f64) -> f64 {
        self.left + axis.place(value) * (self.right_end() - self.left)
    }

    /// Where a value of the vertical axis lies.
    pub fn at_y(&self, axis: &Axis, value: f64) -> f64 {
        self.floor() - axis.place(value) * (self.floor() - self.top)
    }

    /// Lines across at the ticks of the vertical axis, and the horizontal one with its ticks and its name.
    pub fn grid(&self, x: &Axis, y: &Axis, name: &str) -> Markup {
        let (floor, end) = (self.floor(), self.right_end());
        html! {
            @for (value, say) in &y.ticks {
                @let height = self.at_y(y, *value);
                path.grid d=(format!("M{} {height:.1}H{end}", self.left)) {}
                text.tick x=(self.left - GAP) y=(format!("{:.1}", height + 4.0)) text-anchor="end" { (say) }
            }
            @for (value, say) in &x.ticks {
                @let place = self.at_x(x, *value);
                @let (at, anchor) = self.within(place, say);
                path.axis d=(format!("M{place:.1} {floor}v4")) {}
                text.tick x=(format!("{at:.1}")) y=(floor + 17.0) text-anchor=(anchor) { (say) }
            }
            path.axis d=(format!("M{} {floor}H{end}", self.left)) {}
            text.tick x=(end) y=(self.height - 4.0) text-anchor="end" { (name) }
        }
    }

    /// Where a tick of the horizontal axis is written, and by which end: within the picture.
    fn within(&self, place: f64, say: &str) -> (f64, &'static str) {
        let is_cut = place + LETTER * say.chars().count() as f64 / 2.0 > self.width;
        if is_cut { (self.width - 1.0, "end") } else { (place, "middle") }
    }

    /// A line through points.
    pub fn path(&self, points: &[Point], x: &Axis, y: &Axis) -> String {
        let mut text = String::new();
        for (index, &(step, value)) in points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let _ = write!(text, "{command}{:.1} {:.1}", self.at_x(x, step), self.at_y(y, value));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame { width: 560.0, height: 260.0, left: 62.0, right: 14.0, top: 12.0, bottom: 38.0 };

    /// Where each tick of an axis begins and ends.
    fn ends(frame: &Frame, x: &Axis) -> Vec<(f64, f64)> {
        let end = |(value, say): &(f64, String)| {
            let width = LETTER * say.chars().count() as f64;
            match frame.within(frame.at_x(x, *value), say) {
                (at, "end") => (at - width, at),
                (at, _) => (at - width / 2.0, at + width / 2.0),
            }
        };
        x.ticks.iter().map(end).collect()
    }

    #[test]
    fn no_tick_is_cut_or_covers_another() {
        let small = Frame { width: 340.0, ..FRAME };
        for frame in [FRAME, small] {
            for values in [[0.0, 1.0], [1e-9, 2e-9], [-123_456.0, 5.0], [1e-5, 1e9], [-1e300, 1e300], [99.99, 100.0]] {
                let y = Axis::around(values.into_iter());
                let frame = frame.fitting(&y);
                let longest = y.ticks.iter().map(|(_, say)| say.chars().count()).max().unwrap_or(0);
                assert!(frame.left >= LETTER * longest as f64, "{:?}", y.ticks);
                for last in [1, 2, 7, 14, 99, 1000, 1001, 99_999, 100_000, 654_321, 1_000_000, 12_345_678, u64::MAX / 2]
                {
                    let x = Axis::of_steps(last, frame.letters());
                    let ends = ends(&frame, &x);
                    assert!(ends.len() >= if last < 1 << 32 { 2 } else { 1 } && ends[0].0 >= 0.0, "{last}: {ends:?}");
                    assert!(ends.iter().all(|(_, end)| *end <= frame.width), "{last}: {ends:?}");
                    assert!(ends.windows(2).all(|pair| pair[0].1 < pair[1].0), "{last}: {ends:?}");
                }
            }
        }
    }
}
