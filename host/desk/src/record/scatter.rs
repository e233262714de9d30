//! Points in a plane, one colour a class, as a PNG of 900 × 700 pixels.

use super::{
    canvas::{self, GRID, INK, OVERSAMPLING},
    error::RecordError,
};
use plotters::{
    chart::ChartBuilder,
    drawing::IntoDrawingArea,
    element::Circle,
    prelude::{BitMapBackend, Rectangle},
    style::{Color, HSLColor, IntoFont, RGBColor},
};

const WIDTH: u32 = 900;
const HEIGHT: u32 = 700;
/// More classes have colours, but no names beside the picture.
const MOST_NAMES: usize = 24;
/// Paul Tol, "Colour schemes", 2021: bright and muted, told apart by colour-blind readers.
const PALETTE: [RGBColor; 10] = [
    RGBColor(68, 119, 170),
    RGBColor(238, 102, 119),
    RGBColor(34, 136, 51),
    RGBColor(204, 187, 68),
    RGBColor(102, 204, 238),
    RGBColor(170, 51, 119),
    RGBColor(136, 136, 136),
    RGBColor(51, 34, 136),
    RGBColor(221, 130, 50),
    RGBColor(17, 119, 100),
];

/// What the picture shows.
#[derive(Clone, Debug)]
pub struct Scatter<'a> {
    pub title: &'a str,
    /// Names of the horizontal and the vertical axis.
    pub axes: [String; 2],
    /// x, y and class.
    pub points: Vec<(f64, f64, usize)>,
    pub class_names: &'a [String],
}

impl Scatter<'_> {
    /// Draws the picture and encodes it as PNG.
    ///
    /// # Errors
    /// A picture that can't be drawn.
    pub fn to_png(&self) -> Result<Vec<u8>, RecordError> {
        canvas::drawn([WIDTH, HEIGHT], "the map", |pixels, size| self.draw(pixels, size))
    }

    fn draw(&self, pixels: &mut [u8], size: (u32, u32)) -> Result<(), String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let root = BitMapBackend::with_buffer(pixels, size).into_drawing_area();
        let names = if self.class_names.len() > MOST_NAMES { &[] } else { self.class_names };
        let legend = if names.is_empty() { 10 } else { px(150) };
        let (plot, side) = root.split_horizontally(size.0 as i32 - legend);
        let text = |points: i32| (canvas::FAMILY, px(points)).into_font().color(&INK);
        let range = |axis: fn(&(f64, f64, usize)) -> f64| {
            let values = || self.points.iter().map(axis).filter(|value| value.is_finite());
            let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
            let margin = if high > low { 0.05 * (high - low) } else { 1.0 };
            if low <= high { low - margin..high + margin } else { -1.0..1.0 }
        };
        let room = plot.dim_in_pixel().0 - px(24) as u32;
        let title = canvas::fitting(&plot, self.title, &text(18), room).map_err(|error| told(&error))?;
        let mut chart = ChartBuilder::on(&plot)
            .caption(title, text(18))
            .margin(px(12))
            .x_label_area_size(px(44))
            .y_label_area_size(px(64))
            .build_cartesian_2d(range(|p| p.0), range(|p| p.1))
            .map_err(|error| told(&error))?;
        let mesh = chart
            .configure_mesh()
            .light_line_style(RGBColor(255, 255, 255))
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_desc(&self.axes[0])
            .y_desc(&self.axes[1])
            .label_style(text(12))
            .axis_desc_style(text(13))
            .draw();
        mesh.map_err(|error| told(&error))?;
        let radius = if self.points.len() > 3000 { 2 } else { 3 };
        let circles = self.points.iter().filter(|p| p.0.is_finite() && p.1.is_finite());
        let circles =
            circles.map(|&(x, y, class)| Circle::new((x, y), px(radius), self.color(class).mix(0.65).filled()));
        chart.draw_series(circles).map_err(|error| told(&error))?;
        for (class, name) in names.iter().enumerate() {
            let y = px(40 + 22 * class as i32);
            let mark = Rectangle::new([(px(4), y), (px(16), y + px(12))], self.color(class).filled());
            side.draw(&mark).map_err(|error| told(&error))?;
            let style = text(13);
            let short = canvas::fitting(&side, name, &style, px(150 - 26) as u32).map_err(|error| told(&error))?;
            side.draw_text(&short, &style, (px(22), y - px(1))).map_err(|error| told(&error))?;
        }
        root.present().map_err(|error| told(&error))
    }

    fn color(&self, class: usize) -> RGBColor {
        if self.class_names.len() <= PALETTE.len() {
            return PALETTE[class % PALETTE.len()];
        }
        use plotters::style::Color as _;
        let hue = class as f64 / self.class_names.len() as f64;
        let (r, g, b) = HSLColor(hue, 0.6, if class.is_multiple_of(2) { 0.42 } else { 0.6 }).to_backend_color().rgb;
        RGBColor(r, g, b)
    }
}

fn px(points: i32) -> i32 {
    points * OVERSAMPLING as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_end_within_the_picture() {
        let names: Vec<String> =
            (0..MOST_NAMES).map(|i| format!("{i} {}", "long name of a class ".repeat(4))).collect();
        let points = (0..MOST_NAMES).map(|i| (i as f64, (i * i) as f64, i)).collect();
        let (title, axes) = ("a run of a long name, ".repeat(9), ["t-SNE".to_owned(), String::new()]);
        let png = Scatter { title: &title, axes, points, class_names: &names }.to_png().unwrap();
        let picture = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (WIDTH, HEIGHT));
        assert!((0..HEIGHT).all(|y| picture.get_pixel(WIDTH - 1, y).0 == [255; 3]), "something is cut at the right");
        if let Ok(folder) = std::env::var("INFOMAX_SHOW_PICTURES") {
            std::fs::write(format!("{folder}/map.png"), &png).unwrap();
        }
    }
}
