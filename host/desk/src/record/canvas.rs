//! The font of all pictures, which travels with the program so that they look alike everywhere, and their encoding.

use super::error::RecordError;
use image::{DynamicImage, RgbImage, imageops::FilterType};
use plotters::{
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind},
    prelude::{BitMapBackend, DrawingBackend},
    style::{
        FontStyle, IntoFont, RGBColor, TextStyle, register_font,
        text_anchor::{HPos, Pos, VPos},
    },
};
use std::sync::OnceLock;

/// The name that pictures use.
pub const FAMILY: &str = "sans-serif";

/// How many times as large pictures are drawn before they are shrunk, for smooth lines and letters.
pub const OVERSAMPLING: u32 = 2;
/// Of text and axes.
pub const INK: RGBColor = RGBColor(40, 40, 40);
/// Of the lines behind what is drawn.
pub const GRID: RGBColor = RGBColor(228, 228, 228);

/// Makes the font known to plotters, once.
pub(super) fn register() -> Result<(), RecordError> {
    static DONE: OnceLock<bool> = OnceLock::new();
    let done =
        *DONE.get_or_init(|| register_font(FAMILY, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT).is_ok());
    if done { Ok(()) } else { Err(RecordError::drawing("text", "the font is not one")) }
}

/// Draws on a white ground, several times as large and shrunk, for smooth lines and text, and encodes it as PNG.
pub fn drawn(
    [width, height]: [u32; 2],
    what: &'static str,
    draw: impl FnOnce(&mut [u8], (u32, u32)) -> Result<(), String>,
) -> Result<Vec<u8>, RecordError> {
    register()?;
    let large = (width * OVERSAMPLING, height * OVERSAMPLING);
    let mut pixels = vec![255; (large.0 * large.1 * 3) as usize];
    draw(&mut pixels, large).map_err(|error| RecordError::drawing(what, error))?;
    let large = RgbImage::from_raw(large.0, large.1, pixels).expect("the buffer has the picture's size");
    encode_png(resized(large, width, height).into_raw(), width, height, what)
}

/// Another size, smoothed.
pub(super) fn resized(picture: RgbImage, width: u32, height: u32) -> RgbImage {
    of_size(picture, width, height, FilterType::CatmullRom)
}

/// Enlarged by a whole factor, so that pixels stay visible.
pub(super) fn enlarged(picture: RgbImage, factor: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    of_size(picture, width * factor, height * factor, FilterType::Nearest)
}

/// By a `DynamicImage`, whose code is the library's own and optimised; that of an `RgbImage` would be compiled here.
fn of_size(picture: RgbImage, width: u32, height: u32, filter: FilterType) -> RgbImage {
    DynamicImage::ImageRgb8(picture).resize_exact(width, height, filter).into_rgb8()
}

/// Copies a picture to where it fits wholly, row by row.
pub(super) fn paste(sheet: &mut RgbImage, picture: &RgbImage, left: u32, top: u32) {
    let (row, of_sheet) = (picture.width() as usize * 3, sheet.width() as usize * 3);
    let start = top as usize * of_sheet + left as usize * 3;
    let to = sheet.as_mut()[start..].chunks_mut(of_sheet);
    picture.as_raw().chunks_exact(row).zip(to).for_each(|(from, to)| to[..row].copy_from_slice(from));
}

type Failure = DrawingAreaErrorKind<<BitMapBackend<'static> as DrawingBackend>::ErrorType>;

/// How a text is set: its size in points, its colour, and by which side and at which height it is held.
pub fn set(points: u32, color: &RGBColor, side: HPos, height: VPos) -> TextStyle<'_> {
    let font = (FAMILY, (points * OVERSAMPLING) as i32).into_font();
    TextStyle::from(font).color(color).pos(Pos::new(side, height))
}

/// A text that is not wider than so many pixels, cut where it is.
pub(super) fn fitting(
    area: &DrawingArea<BitMapBackend<'_>, Shift>,
    text: &str,
    style: &TextStyle<'_>,
    room: u32,
) -> Result<String, Failure> {
    let mut length = text.chars().count();
    let mut shown = text.to_owned();
    while area.estimate_text_size(&shown, style)?.0 > room && length > 1 {
        length -= 1;
        shown = text.chars().take(length).chain(['…']).collect();
    }
    Ok(shown)
}

/// Encodes 8-bit RGB as PNG.
pub(super) fn encode_png(pixels: Vec<u8>, width: u32, height: u32, what: &'static str) -> Result<Vec<u8>, RecordError> {
    let picture = RgbImage::from_raw(width, height, pixels).ok_or_else(|| RecordError::drawing(what, "wrong size"))?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).map_err(|error| RecordError::drawing(what, error))?;
    Ok(bytes.into_inner())
}
