//! A chart as inline SVG: lines over steps, ticks, and a title on each point that a pointer meets. No script, no style of its own.

use super::{
    across::Across,
    axis::Axis,
    frame::Frame,
    text::number,
    thin::{Point, moving_mean, picked, running_mean, thinned},
};
use maud::{Markup, html};

const FRAME: Frame = Frame { width: 560.0, height: 260.0, left: 62.0, right: 14.0, top: 12.0, bottom: 38.0 };
/// Of a chart that stands among many.
const SMALL: Frame = Frame { width: 350.0, height: 180.0, ..FRAME };

/// Colours that the style sheet has.
const COLOURS: usize = 7;
/// Kinds of dashes that it has, the whole line among them.
const DASHES: usize = 4;
/// Stretches that a long curve is thinned to.
const STRETCHES: usize = 180;
/// Longer curves are drawn pale, with a running mean over them.
const SMOOTHED_FROM: usize = 150;
/// Shorter curves have a dot at each point.
const DOTTED_BELOW: usize = 40;
/// Points of a curve that say their value.
const SPEAKING: usize = 60;
/// Steps without a finite value that are marked.
const MARKED: usize = 60;
/// Curves torn into more pieces are drawn in one.
const PIECES: usize = 100;

/// How a chart is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawing {
    pub scale: Scale,
    /// How much of the mean so far each further point keeps, from 0 to below 1; a running mean over long curves where not given.
    pub smoothing: Option<f64>,
    /// Whether curves are named below.
    pub has_legends: bool,
    /// What the points of the curves are given over.
    pub across: Across,
}

impl Default for Drawing {
    fn default() -> Self {
        Self { scale: Scale::default(), smoothing: None, has_legends: true, across: Across::default() }
    }
}

/// What equal heights mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Equal ratios where positive values differ by orders of magnitude, else equal differences.
    #[default]
    Fitting,
    Linear,
    /// Equal ratios, where all values are positive.
    Logarithmic,
}

/// Curves that share a unit.
#[derive(Clone, Debug)]
pub struct Chart {
    pub title: String,
    /// Empty for numbers without one.
    pub unit: String,
    pub series: Vec<Series>,
    /// Dashed lines.
    pub levels: Vec<Level>,
    /// The last step, or what else the chart is drawn over, alike in all charts.
    pub last: u64,
}

/// A curve.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    /// By step, or by what else the chart is drawn over; values need not be finite.
    pub points: Vec<Point>,
}

/// What the untrained encoder gives, in the colour of the curve of this name.
#[derive(Clone, Debug)]
pub struct Level {
    pub name: String,
    pub value: f64,
}

impl Chart {
    /// The chart with its title and legend.
    pub fn drawn(&self, drawing: &Drawing) -> Markup {
        self.within(FRAME, drawing)
    }

    /// The same for a place among many.
    pub fn drawn_small(&self, drawing: &Drawing) -> Markup {
        self.within(SMALL, drawing)
    }

    fn within(&self, frame: Frame, drawing: &Drawing) -> Markup {
        let finite = self.series.iter().flat_map(|series| series.points.iter().map(|&(_, y)| y));
        let levels = self.levels.iter().map(|level| level.value);
        let y = Axis::scaled(drawing.scale, finite.chain(levels).filter(|y| y.is_finite()));
        let frame = frame.fitting(&y);
        let (x, name) = drawing.across.axis(self.last, frame.letters());
        let scale = if y.is_logarithmic() { "logarithmic" } else { "" };
        let unit =
            [self.unit.as_str(), scale].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        let has_legend = drawing.has_legends && (self.series.len() > 1 || !self.levels.is_empty());
        html! {
            figure.chart {
                figcaption {
                    span.what { (self.title) }
                    span.unit { (unit) }
                }
                svg viewBox=(frame.view_box()) role="img" aria-label=(format!("{} {}", self.title, drawing.across.word())) {
                    (frame.grid(&x, &y, name))
                    @for level in &self.levels { (self.level(level, &y, &frame)) }
                    @for (index, series) in self.series.iter().enumerate() { (curve(series, index, ([&x, &y], &frame), drawing)) }
                }
                @if has_legend {
                    ul.legend {
                        @for (index, series) in self.series.iter().enumerate() {
                            li { span class=(format!("swatch {}", look(index))) {} (series.name) }
                        }
                        @if !self.levels.is_empty() { li { span.swatch.dashed {} "untrained encoder" } }
                    }
                }
            }
        }
    }

    fn level(&self, level: &Level, y: &Axis, frame: &Frame) -> Markup {
        let colour = self.series.iter().position(|series| series.name == level.name).unwrap_or(COLOURS - 1);
        let height = frame.at_y(y, level.value);
        html! {
            path class=(format!("level c{}", colour % COLOURS))
                d=(format!("M{} {height:.1}H{}", frame.left, frame.right_end())) {
                title { (level.name) ", untrained encoder: " (number(level.value)) }
            }
        }
    }
}

fn curve(series: &Series, index: usize, ([x, y], frame): ([&Axis; 2], &Frame), drawing: &Drawing) -> Markup {
    let Drawing { smoothing, across, .. } = *drawing;
    let colour = look(index);
    let pieces = pieces(&series.points);
    let finite: Vec<Point> = series.points.iter().copied().filter(|point| point.1.is_finite()).collect();
    let missing: Vec<Point> = series.points.iter().copied().filter(|point| !point.1.is_finite()).collect();
    let is_smoothed = smoothing.map_or(finite.len() >= SMOOTHED_FROM, |share| share > 0.0 && finite.len() > 2);
    let raw = pieces.iter().map(|piece| {
        let stretches = (STRETCHES * piece.len() / finite.len().max(1)).max(1);
        frame.path(&thinned(piece, stretches), x, y)
    });
    let raw: String = raw.collect();
    let mean = match smoothing {
        Some(share) if is_smoothed => thinned(&moving_mean(&finite, share), STRETCHES),
        _ if is_smoothed => running_mean(&finite, STRETCHES * 2),
        _ => finite.clone(),
    };
    let radius = if finite.len() < DOTTED_BELOW { "2.4" } else { "0" };
    html! {
        g class=(colour) {
            path class=(if is_smoothed { "line pale" } else { "line" }) d=(raw) { title { (series.name) } }
            @if is_smoothed {
                path.line d=(frame.path(&mean, x, y)) { title { (series.name) ", smoothed" } }
            }
            @for (step, value) in picked(&finite, SPEAKING) {
                @let (cx, cy) = (format!("{:.1}", frame.at_x(x, step)), format!("{:.1}", frame.at_y(y, value)));
                @if radius != "0" { circle.dot cx=(cx) cy=(cy) r=(radius) {} }
                circle.point cx=(cx) cy=(cy) r="7" {
                    title { (series.name) " " (number(value)) " " (across.told(step)) }
                }
            }
            @for (step, _) in picked(&missing, MARKED) {
                path.bad d=(format!("M{:.1} {}v-10", frame.at_x(x, step), frame.floor())) {
                    title { (series.name) " is not finite " (across.told(step)) }
                }
            }
        }
    }
}

/// The classes of a curve: its colour, and once all are taken its dashes.
pub fn look(index: usize) -> String {
    format!("c{} d{}", index % COLOURS, index / COLOURS % DASHES)
}

/// The stretches between values that are not finite.
fn pieces(points: &[Point]) -> Vec<Vec<Point>> {
    let parts = points.split(|point| !point.1.is_finite()).filter(|piece| !piece.is_empty());
    let parts: Vec<Vec<Point>> = parts.map(<[Point]>::to_vec).collect();
    if parts.len() > PIECES { vec![parts.concat()] } else { parts }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(points: Vec<Point>) -> String {
        let last = points.last().map_or(0.0, |point| point.0) as u64;
        let series = vec![Series { name: "loss".to_owned(), points }];
        let (title, unit) = ("Loss".to_owned(), "loss".to_owned());
        Chart { title, unit, series, levels: Vec::new(), last }.drawn(&Drawing::default()).into_string()
    }

    #[test]
    fn any_curve_is_drawn_within_the_chart_and_stays_small() {
        let long: Vec<Point> = (0..200_000).map(|x| (f64::from(x), f64::from(x % 1000))).collect();
        let torn: Vec<Point> = (0..5000).map(|x| (f64::from(x), if x % 2 == 0 { 1.0 } else { f64::NAN })).collect();
        let odd = vec![(0.0, f64::INFINITY), (1.0, 1e300), (2.0, -1e300)];
        for points in [Vec::new(), vec![(0.0, 1.0)], vec![(5.0, f64::NAN)], odd, long, torn] {
            let text = drawn(points);
            assert!(text.len() < 40_000, "{} bytes", text.len());
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }

    #[test]
    fn what_is_not_finite_tears_the_line_and_is_marked() {
        let text = drawn(vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 2.0), (4.0, 1.0)]);
        assert!(text.contains("loss is not finite at step 2"));
        let line = text.split("class=\"line\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(line.matches('M').count(), 2, "{line}");
    }
}
