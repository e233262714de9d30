//! The curves of a run as a PNG: the loss on the left, accuracies on the right, 1200 × 500 pixels; below them each term of the loss
//! on a scale of its own, three in a row of 260 pixels.

use super::{
    Row,
    canvas::{self, FAMILY, GRID, INK, OVERSAMPLING, fitting},
    error::RecordError,
};
use crate::digits::grouped;
use plotters::{
    chart::{ChartBuilder, SeriesLabelPosition},
    coord::{Shift, types::RangedCoordf64},
    drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea},
    element::{Circle, DashedPathElement, PathElement},
    prelude::{BitMapBackend, Cartesian2d, ChartContext, DrawingBackend},
    series::{DashedLineSeries, LineSeries},
    style::{Color, IntoFont, RGBColor, ShapeStyle, TextStyle},
};

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 500;
/// Of a row of terms.
const TERM_HEIGHT: u32 = 260;
const TERMS_IN_A_ROW: usize = 3;
/// More terms are in the report only.
const MOST_TERMS: usize = 30;
const TERM: &str = "loss/";
/// Okabe and Ito, "Color universal design", 2008: told apart by colour-blind readers.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];
/// Shorter curves have a dot at each point.
const DOTTED_BELOW: usize = 40;
/// Longer curves are drawn pale, with a running mean over them.
const SMOOTHED_FROM: usize = 150;

/// What the picture shows.
#[derive(Clone, Copy, Debug)]
pub struct Curves<'a> {
    /// Above the left panel; cut where it is too long.
    pub title: &'a str,
    /// The metrics: `loss` on the left, `…_top1` on the right, `loss/…` below.
    pub rows: &'a [Row],
    /// An untrained encoder's figures by the same names, as dashed lines.
    pub untrained: &'a [(&'a str, f64)],
}

/// Legend entries are drawn at the middle of the line's height, letters a little above.
const LEGEND_LIFT: i32 = 5;

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, BitMapBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Failure = DrawingAreaErrorKind<<BitMapBackend<'static> as DrawingBackend>::ErrorType>;

struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
    color: RGBColor,
}

impl Curves<'_> {
    /// Draws the picture and encodes it as PNG.
    ///
    /// # Errors
    /// A picture that can't be drawn.
    pub fn to_png(&self) -> Result<Vec<u8>, RecordError> {
        let terms = self.curves(|name| name.starts_with(TERM));
        let rows = terms.len().min(MOST_TERMS).div_ceil(TERMS_IN_A_ROW) as u32;
        canvas::drawn([WIDTH, HEIGHT + rows * TERM_HEIGHT], "the curves", |pixels, size| {
            let root = BitMapBackend::with_buffer(pixels, size).into_drawing_area();
            let (top, below) = root.split_vertically(self::size(HEIGHT));
            self.draw(&top)?;
            if rows > 0 {
                self.draw_terms(&below.split_evenly((rows as usize, TERMS_IN_A_ROW)), &terms)?;
            }
            root.present().map_err(|error| error.to_string())
        })
    }

    fn draw_terms(&self, places: &[Area<'_>], terms: &[Curve]) -> Result<(), String> {
        let last = self.last();
        for (index, (term, place)) in terms.iter().take(MOST_TERMS).zip(places).enumerate() {
            let more = terms.len() - MOST_TERMS.min(terms.len());
            let more = if more > 0 && index + 1 == MOST_TERMS {
                format!("({more} more are in the report) ")
            } else {
                String::new()
            };
            let title = format!("{more}{}", &term.name[TERM.len()..]);
            let panel = Panel {
                title: &title,
                y_name: "",
                curves: std::slice::from_ref(term),
                lines: &[],
                last,
                scale: Scale::SMALL,
                rises: false,
            };
            panel.draw(place, "").map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn last(&self) -> f64 {
        self.rows.iter().map(|row| row.step as f64).fold(1.0, f64::max)
    }

    fn draw(&self, root: &Area<'_>) -> Result<(), String> {
        let (left, right) = root.split_horizontally(root.dim_in_pixel().0 / 2);
        let losses = self.curves(|name| name == "loss");
        let accuracies = self.curves(|name| name.ends_with("_top1"));
        let told = |error: Failure| error.to_string();
        let (last, scale) = (self.last(), Scale::LARGE);
        let losses =
            Panel { title: self.title, y_name: "loss", curves: &losses, lines: &[], last, scale, rises: false };
        losses.draw(&left, "no losses yet").map_err(told)?;
        let title = "classifiers on the frozen representation";
        let lines = self.untrained;
        let accuracies =
            Panel { title, y_name: "top-1 accuracy in %", curves: &accuracies, lines, last, scale, rises: true };
        accuracies.draw(&right, "no accuracies yet").map_err(told)
    }

    fn curves(&self, wanted: impl Fn(&str) -> bool) -> Vec<Curve> {
        let mut curves: Vec<Curve> = Vec::new();
        for row in self.rows {
            for (name, value) in row.values.iter().filter(|(name, value)| wanted(name) && value.is_finite()) {
                let index = curves.iter().position(|curve| curve.name == *name).unwrap_or_else(|| {
                    let color = PALETTE[curves.len() % PALETTE.len()];
                    curves.push(Curve { name: name.clone(), points: Vec::new(), color });
                    curves.len() - 1
                });
                curves[index].points.push((row.step as f64, *value));
            }
        }
        curves
    }
}

fn size(pixels: u32) -> i32 {
    (pixels * OVERSAMPLING) as i32
}

fn text(pixels: u32) -> TextStyle<'static> {
    (FAMILY, size(pixels)).into_font().color(&INK)
}

fn stroke(color: RGBColor, opacity: f64, width: f64) -> ShapeStyle {
    color.mix(opacity).stroke_width((width * f64::from(OVERSAMPLING)) as u32)
}

/// How large the writing of a panel is, in pixels.
#[derive(Clone, Copy)]
struct Scale {
    title: u32,
    label: u32,
    x_area: u32,
    y_area: u32,
    y_labels: usize,
}

impl Scale {
    const LARGE: Self = Self { title: 19, label: 15, x_area: 44, y_area: 62, y_labels: 7 };
    const SMALL: Self = Self { title: 16, label: 13, x_area: 26, y_area: 50, y_labels: 4 };
}

struct Panel<'a> {
    title: &'a str,
    y_name: &'a str,
    curves: &'a [Curve],
    /// Dashed, by the name of the curve that they belong to.
    lines: &'a [(&'a str, f64)],
    /// The last step, alike in all panels.
    last: f64,
    scale: Scale,
    /// As accuracies do; losses fall.
    rises: bool,
}

impl Panel<'_> {
    fn draw(&self, area: &Area<'_>, empty: &str) -> Result<(), Failure> {
        let Scale { title, label, x_area, y_area, y_labels } = self.scale;
        let caption = fitting(area, self.title, &text(title), area.dim_in_pixel().0 - size(40) as u32)?;
        let (floor, ceiling) = self.range();
        let top = ceiling - 0.03 * (ceiling - floor);
        let mut chart = ChartBuilder::on(area)
            .margin(size(12))
            .margin_right(size(22))
            .caption(caption, text(title))
            .x_label_area_size(size(x_area))
            .y_label_area_size(size(y_area))
            .build_cartesian_2d(0.0..self.last, floor..ceiling)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(GRID.mix(0.0))
            .bold_line_style(GRID.stroke_width(OVERSAMPLING))
            .axis_style(INK.stroke_width(OVERSAMPLING))
            .x_desc(if self.y_name.is_empty() { "" } else { "step" })
            .y_desc(self.y_name)
            .x_labels((self.last as usize + 1).min(6))
            .y_labels(y_labels)
            .x_label_formatter(&|x| grouped(x.round() as u64))
            // Beside the title there is no room.
            .y_label_formatter(&|y| if *y > top { String::new() } else { short(*y, ceiling - floor) })
            .label_style(text(label))
            .axis_desc_style(text(label + 1))
            .draw()?;
        if self.curves.is_empty() && self.lines.is_empty() {
            let (width, height) = area.dim_in_pixel();
            return area.draw_text(empty, &text(16), (width as i32 / 2 - size(50), height as i32 / 2));
        }
        for &(name, y) in self.lines {
            let color = self.curves.iter().find(|curve| curve.name == name).map_or(INK, |curve| curve.color);
            let style = stroke(color, 0.9, 1.5);
            let dashes = DashedLineSeries::new([(0.0, y), (self.last, y)], size(7), size(5), style);
            let entry = chart.draw_series(dashes)?.label(format!("{name}, untrained encoder"));
            entry.legend(move |(x, y)| {
                let y = y - LEGEND_LIFT;
                DashedPathElement::new(vec![(x, y), (x + size(20), y)], size(5), size(4), style)
            });
        }
        for curve in self.curves {
            draw_curve(&mut chart, curve)?;
        }
        if self.y_name.is_empty() {
            return Ok(());
        }
        // Losses fall and accuracies rise: the corner that stays free.
        let position = if self.rises { SeriesLabelPosition::LowerRight } else { SeriesLabelPosition::UpperRight };
        chart
            .configure_series_labels()
            .position(position)
            .margin(size(10))
            .legend_area_size(size(26))
            .background_style(RGBColor(255, 255, 255).mix(0.88))
            .border_style(GRID.stroke_width(OVERSAMPLING))
            .label_font(text(15))
            .draw()
    }

    /// The range of the vertical axis, with room for the legend below rising accuracies.
    fn range(&self) -> (f64, f64) {
        let points = self.curves.iter().flat_map(|curve| curve.points.iter().map(|&(_, y)| y));
        let all = points.chain(self.lines.iter().map(|&(_, y)| y));
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
        if low > high {
            return (0.0, 1.0);
        }
        let room = ((high - low) * 0.06).max(high.abs() * 0.01).max(1e-6);
        let below = if self.rises { (high - low) * 0.35 + room } else { room };
        (if low >= 0.0 { (low - below).max(0.0) } else { low - below }, high + room)
    }
}

fn draw_curve(chart: &mut Chart<'_, '_>, curve: &Curve) -> Result<(), Failure> {
    let is_long = curve.points.len() >= SMOOTHED_FROM;
    let style = stroke(curve.color, 1.0, 2.0);
    if is_long {
        chart.draw_series(LineSeries::new(curve.points.iter().copied(), stroke(curve.color, 0.22, 1.0)))?;
    }
    let points = if is_long { running_mean(&curve.points) } else { curve.points.clone() };
    if points.len() < DOTTED_BELOW {
        chart.draw_series(points.iter().map(|&point| Circle::new(point, size(3), curve.color.filled())))?;
    }
    let entry = chart.draw_series(LineSeries::new(points, style))?.label(curve.name.clone());
    entry.legend(move |(x, y)| {
        let y = y - LEGEND_LIFT;
        PathElement::new(vec![(x, y), (x + size(20), y)], style)
    });
    Ok(())
}

/// Mean over a window of about a fiftieth of the curve, smaller at its ends.
fn running_mean(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let half = (points.len() / 100).max(2);
    let mean = |index: usize| {
        let reach = half.min(index).min(points.len() - 1 - index);
        let window = &points[index - reach..=index + reach];
        window.iter().map(|&(_, y)| y).sum::<f64>() / window.len() as f64
    };
    points.iter().enumerate().map(|(index, &(x, _))| (x, mean(index))).collect()
}

/// With as many digits as tell ticks apart that lie within so much.
fn short(y: f64, span: f64) -> String {
    if y != 0.0 && (y.abs() >= 1e5 || span < 8e-4) {
        let digits = (y.abs() / span).log10().ceil().clamp(0.0, 6.0) as usize + 1;
        return format!("{y:.digits$e}");
    }
    let decimals = if span >= 8.0 {
        0
    } else if span >= 0.8 {
        1
    } else if span >= 0.08 {
        2
    } else {
        4
    };
    format!("{y:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u64) -> Vec<Row> {
        let noise = |step: u64, k: u64| ((step * 7919 + k * 104_729) % 1000) as f64 / 1000.0 - 0.5;
        let row = |i: u64| {
            let step = i * 10;
            let t = i as f64 / count as f64;
            let term = |k: u64, end: f64| end + (4.2 - end) * (-4.0 * t).exp() + noise(step, k) * 0.25;
            let terms = [
                ("loss/g2l_1t5", term(1, 2.1)),
                ("loss/g2l_1t7", term(2, 2.6)),
                ("loss/l2l_5t5", term(3, 3.0)),
                ("loss/regulariser", 0.3 + 0.2 * t),
            ];
            let mut values = vec![("loss".to_owned(), terms.iter().map(|(_, v)| v).sum::<f64>())];
            values.extend(terms.iter().map(|&(name, value)| (name.to_owned(), value)));
            if i.is_multiple_of(20) {
                values.push(("linear_top1".to_owned(), 58.0 - 40.0 * (-3.0 * t).exp() + noise(step, 5)));
                values.push(("mlp_top1".to_owned(), 63.0 - 43.0 * (-3.0 * t).exp() + noise(step, 6)));
            }
            Row { step, epoch: 0, seconds: step as f64, values }
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn curves_of_any_length_are_drawn() {
        let untrained = [("linear_top1", 24.6), ("mlp_top1", 31.2)];
        for count in [0, 1, 2, 400] {
            let rows = rows(count);
            for untrained in [&untrained[..], &[]] {
                let png = Curves { title: "cifar10-jpeg-small, seed 1", rows: &rows, untrained }.to_png().unwrap();
                let picture = image::load_from_memory(&png).unwrap().to_rgb8();
                let rows = if count == 0 { 0 } else { 2 };
                assert_eq!(picture.dimensions(), (WIDTH, HEIGHT + rows * TERM_HEIGHT));
                assert!(picture.pixels().any(|pixel| pixel.0 != [255; 3]));
                if let Ok(folder) = std::env::var("INFOMAX_SHOW_PICTURES") {
                    std::fs::write(format!("{folder}/curves-{count}-{}.png", untrained.len()), &png).unwrap();
                }
            }
        }
    }

    #[test]
    fn many_terms_with_long_names_are_drawn_as_far_as_there_is_room() {
        let name = |n: u32| (format!("loss/{n} {}", "of_a_very_long_name".repeat(9)), 1e7 * f64::from(n));
        let rows = [1, 2].map(|step| Row { step, values: (0..40).map(name).collect(), ..Row::default() });
        let title = "a run with a name that is longer than its panel, ".repeat(3);
        let png = Curves { title: &title, rows: &rows, untrained: &[] }.to_png().unwrap();
        let picture = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (WIDTH, HEIGHT + 10 * TERM_HEIGHT));
        if let Ok(folder) = std::env::var("INFOMAX_SHOW_PICTURES") {
            std::fs::write(format!("{folder}/curves-terms.png"), &png).unwrap();
        }
    }

    #[test]
    fn values_that_are_not_finite_leave_gaps() {
        let values = vec![("loss".to_owned(), f64::NAN)];
        let rows = [Row { values, ..Row::default() }];
        assert!(Curves { title: "nan", rows: &rows, untrained: &[] }.to_png().is_ok());
    }

    #[test]
    fn numbers_are_told_apart() {
        assert_eq!([2.5, 0.25].map(|y| short(y, 3.0)), ["2.5", "0.2"]);
        assert_eq!([1.495e8, 1.505e8].map(|y| short(y, 3e6)), ["1.495e8", "1.505e8"]);
        assert_eq!([5e-7, 0.0].map(|y| short(y, 1e-6)), ["5.0e-7", "0.0000"]);
    }
}
