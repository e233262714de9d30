//! The area of a chart within its picture: where values lie, the grid with its ticks, a line through points.

use super::{axis::Axis, thin::Point};
use maud::{Markup, html};
use std::fmt::Write;

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
                text.tick x=(self.left - 8.0) y=(format!("{:.1}", height + 4.0)) text-anchor="end" { (say) }
            }
            @for (value, say) in &x.ticks {
                @let place = self.at_x(x, *value);
                path.axis d=(format!("M{place:.1} {floor}v4")) {}
                text.tick x=(format!("{place:.1}")) y=(floor + 17.0) text-anchor="middle" { (say) }
            }
            path.axis d=(format!("M{} {floor}H{end}", self.left)) {}
            text.tick x=(end) y=(self.height - 4.0) text-anchor="end" { (name) }
        }
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
