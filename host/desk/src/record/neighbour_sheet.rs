//! A sheet of images beside those that are nearest to them, as a PNG: one row an image, each picture with two lines below it.

use super::{
    canvas::{self, INK, OVERSAMPLING, fitting},
    contact_sheet::{CELL, GAP, Picture, fit},
    error::RecordError,
};
use image::RgbImage;
use plotters::{
    drawing::IntoDrawingArea,
    element::Rectangle,
    prelude::BitMapBackend,
    style::{
        Color, RGBColor, TextStyle,
        text_anchor::{HPos, VPos},
    },
};

const WHAT: &str = "the sheet of neighbours";
const HEADER: u32 = 34;
/// Below a picture, for its two lines.
const CAPTION: u32 = 38;
/// Between an image and its neighbours.
const APART: u32 = 24;
/// Width of the frame around a neighbour.
const FRAME: u32 = 3;
/// Okabe and Ito, "Color universal design", 2008: of the same class, and of another.
const ALIKE: RGBColor = RGBColor(0, 158, 115);
const UNLIKE: RGBColor = RGBColor(213, 94, 0);

/// A picture with what is written below it.
#[derive(Clone, Debug)]
pub struct Captioned<'a> {
    pub picture: Picture<'a>,
    /// Two lines, cut where they are wider than the picture.
    pub caption: [String; 2],
    /// Whether it is of the class of the row's image: framed in green, otherwise in red with a `≠`.
    pub is_alike: bool,
}

/// An image and its neighbours.
#[derive(Clone, Debug)]
pub struct NeighbourRow<'a> {
    pub query: Captioned<'a>,
    /// The nearest first.
    pub near: Vec<Captioned<'a>>,
}

/// A sheet of images with their neighbours.
#[derive(Clone, Debug)]
pub struct NeighbourSheet<'a> {
    /// Above the neighbours.
    pub heading: &'a str,
    pub rows: Vec<NeighbourRow<'a>>,
}

/// Where the picture of a column (0: the row's image) begins.
fn left(column: usize) -> u32 {
    GAP + column as u32 * (CELL + GAP) + if column > 0 { APART } else { 0 }
}

fn top(row: usize) -> u32 {
    HEADER + row as u32 * (CELL + CAPTION + GAP)
}

impl NeighbourSheet<'_> {
    /// Draws the sheet and encodes it as PNG.
    ///
    /// # Errors
    /// A picture whose bytes don't fit its size.
    pub fn to_png(&self) -> Result<Vec<u8>, RecordError> {
        let columns = self.rows.iter().map(|row| row.near.len()).max().unwrap_or(0).max(3) + 1;
        let (width, height) = (left(columns), top(self.rows.len()));
        let png = canvas::drawn([width, height], WHAT, |pixels, size| self.write(pixels, size, width))?;
        let sheet = image::load_from_memory_with_format(&png, image::ImageFormat::Png);
        let mut sheet = sheet.map_err(|error| RecordError::drawing(WHAT, error))?.to_rgb8();
        for (row, column, captioned) in self.places() {
            put(&mut sheet, &captioned.picture, left(column), top(row))?;
        }
        canvas::encode_png(sheet.into_raw(), width, height, WHAT)
    }

    /// Every picture with its row and its column.
    fn places(&self) -> Vec<(usize, usize, &Captioned<'_>)> {
        let mut places = Vec::new();
        for (row, NeighbourRow { query, near }) in self.rows.iter().enumerate() {
            places.extend([query].into_iter().chain(near).enumerate().map(|(column, shown)| (row, column, shown)));
        }
        places
    }

    fn write(&self, pixels: &mut [u8], size: (u32, u32), width: u32) -> Result<(), String> {
        let root = BitMapBackend::with_buffer(pixels, size).into_drawing_area();
        let style = |points: u32, color: &'static RGBColor, side| canvas::set(points, color, side, VPos::Center);
        let at = |x: u32, y: u32| ((x * OVERSAMPLING) as i32, (y * OVERSAMPLING) as i32);
        let write = |text: &str, style: &TextStyle<'_>, room: u32, x: u32, y: u32| {
            let text = fitting(&root, text, style, room * OVERSAMPLING).map_err(|error| error.to_string())?;
            root.draw_text(&text, style, at(x, y)).map_err(|error| error.to_string())
        };
        write("image", &style(16, &INK, HPos::Center), CELL, left(0) + CELL / 2, HEADER / 2)?;
        write(self.heading, &style(16, &INK, HPos::Left), width - left(1) - GAP, left(1), HEADER / 2)?;
        for (row, column, Captioned { caption: [first, second], is_alike, .. }) in self.places() {
            let (x, y) = (left(column), top(row));
            let color = if *is_alike { &ALIKE } else { &UNLIKE };
            if column > 0 {
                let around =
                    Rectangle::new([at(x - FRAME, y - FRAME), at(x + CELL + FRAME, y + CELL + FRAME)], color.filled());
                root.draw(&around).map_err(|error| error.to_string())?;
            }
            let color = if column > 0 { color } else { &INK };
            let first = if *is_alike { first.clone() } else { format!("≠ {first}") };
            write(&first, &style(15, color, HPos::Center), CELL, x + CELL / 2, y + CELL + 13)?;
            write(second, &style(14, &INK, HPos::Center), CELL, x + CELL / 2, y + CELL + 28)?;
        }
        root.present().map_err(|error| error.to_string())
    }
}

/// Puts a picture into the middle of its square, on white.
fn put(sheet: &mut RgbImage, picture: &Picture<'_>, x: u32, y: u32) -> Result<(), RecordError> {
    let mut square = RgbImage::from_pixel(CELL, CELL, image::Rgb([255; 3]));
    let fitted = fit(picture)?;
    canvas::paste(&mut square, &fitted, (CELL - fitted.width()) / 2, (CELL - fitted.height()) / 2);
    canvas::paste(sheet, &square, x, y);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_any_size_and_long_names_fit() {
        let pixels: Vec<u8> = (0..40 * 30 * 3_u32).map(|i| (i % 251) as u8).collect();
        let captioned = |class: &str, is_alike| Captioned {
            picture: Picture { width: 40, height: 30, pixels: &pixels },
            caption: [class.to_owned(), "0.034 · 123456789012345678901234567890".to_owned()],
            is_alike,
        };
        let long = "a class with a very long name, longer than any picture";
        let row = NeighbourRow {
            query: captioned("horse", true),
            near: vec![
                captioned("horse", true),
                captioned(long, false),
                captioned("deer", false),
                captioned("été", true),
            ],
        };
        let alone = NeighbourRow { query: captioned("cat", true), near: Vec::new() };
        let png = NeighbourSheet { heading: &long.repeat(5), rows: vec![row, alone] }.to_png().unwrap();
        let picture = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (left(5), top(2)));
        // The frames say which are of the class: more green than red, or the other way round.
        let is_green = |column| {
            let [red, green, _] = picture.get_pixel(left(column) + CELL / 2, top(0) - 2).0;
            (green > 120 && red < 60) || (red <= 180 && panic!("no frame around {column}: {red}, {green}"))
        };
        assert_eq!([1, 2, 3, 4].map(is_green), [true, false, false, true]);
        // Between two captions nothing is written.
        for column in 1..=4 {
            let between = (top(0) + CELL + FRAME + 2..top(1) - FRAME - 1)
                .flat_map(|y| (left(column) - GAP + 2..left(column) - 2).map(move |x| (x, y)));
            assert!(between.clone().count() > 20);
            for (x, y) in between {
                assert_eq!(picture.get_pixel(x, y).0, [255; 3], "at {x}, {y}");
            }
        }
        if let Ok(folder) = std::env::var("INFOMAX_SHOW_PICTURES") {
            std::fs::write(format!("{folder}/neighbours.png"), &png).unwrap();
        }
    }
}
