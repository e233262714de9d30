//! A curve as small as a word.

use crate::report::Point;
use maud::{Markup, html};
use std::fmt::Write;

const WIDTH: f64 = 100.0;
const HEIGHT: f64 = 24.0;

/// The curve from its lowest to its highest value; nothing for fewer than two points.
pub fn spark(points: &[Point], what: &str, class: &str) -> Markup {
    let finite: Vec<Point> = points.iter().copied().filter(|point| point.1.is_finite()).collect();
    let (Some(first), Some(last)) = (finite.first(), finite.last()) else { return html! {} };
    if finite.len() < 2 || last.0 <= first.0 {
        return html! {};
    }
    let low = finite.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let high = finite.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
    let mut line = String::new();
    for (index, (step, value)) in finite.iter().enumerate() {
        let x = (step - first.0) / (last.0 - first.0) * (WIDTH - 2.0) + 1.0;
        // Half of each, since their difference may be beyond what a number can hold.
        let share = if high > low { (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0) } else { 0.5 };
        let y = HEIGHT - 2.0 - share * (HEIGHT - 4.0);
        let _ = write!(line, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
    html! {
        svg class=(format!("spark {class}")) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img" aria-label=(what) {
            path.line d=(line) vector-effect="non-scaling-stroke" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_curve_is_drawn_within_its_place() {
        for points in [
            vec![],
            vec![(1.0, 2.0)],
            vec![(0.0, f64::NAN), (1.0, 1.0), (2.0, f64::INFINITY), (3.0, 1.0)],
            vec![(0.0, f64::MAX), (1.0, f64::MIN)],
        ] {
            let text = spark(&points, "loss", "c0").into_string();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            assert_eq!(text.is_empty(), points.len() < 2, "{text}");
        }
    }
}
