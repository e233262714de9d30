//! A sheet of images with their views, as a PNG: one row an image, the original first, labelled with its class.

use super::{
    canvas::{self, INK, OVERSAMPLING},
    error::RecordError,
};
use image::RgbImage;
use plotters::{
    drawing::IntoDrawingArea,
    prelude::BitMapBackend,
    style::text_anchor::{HPos, VPos},
};

const WHAT: &str = "the contact sheet";
/// Side of the square that each picture is fitted into.
pub(super) const CELL: u32 = 128;
pub(super) const GAP: u32 = 8;
const HEADER: u32 = 34;
const LABELS: u32 = 132;

/// A picture in 8-bit RGB, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// height × width × 3 bytes, row by row, red green blue.
    pub pixels: &'a [u8],
}

/// One image with its views.
#[derive(Clone, Debug)]
pub struct SheetRow<'a> {
    /// The name of its class.
    pub label: &'a str,
    /// The original, then the views, in the order of the columns.
    pub pictures: Vec<Picture<'a>>,
}

/// A sheet of images with their views.
#[derive(Clone, Debug)]
pub struct ContactSheet<'a> {
    /// Names above the columns: `original`, then the views'.
    pub columns: Vec<&'a str>,
    /// One row an image.
    pub rows: Vec<SheetRow<'a>>,
}

impl ContactSheet<'_> {
    /// Draws the sheet and encodes it as PNG.
    ///
    /// # Errors
    /// A picture whose bytes don't fit its size.
    pub fn to_png(&self) -> Result<Vec<u8>, RecordError> {
        canvas::register()?;
        let columns = self.rows.iter().map(|row| row.pictures.len()).max().unwrap_or(0).max(self.columns.len()) as u32;
        let width = LABELS + columns * (CELL + GAP) + GAP;
        let height = HEADER + self.rows.len() as u32 * (CELL + GAP) + GAP;
        let large = (width * OVERSAMPLING, height * OVERSAMPLING);
        let mut pixels = vec![255; large.0 as usize * large.1 as usize * 3];
        self.write_names(&mut pixels, large).map_err(|reason| RecordError::drawing(WHAT, reason))?;
        let names = RgbImage::from_raw(large.0, large.1, pixels).expect("the buffer has the sheet's size");
        let mut sheet = canvas::resized(names, width, height);

        for (y, row) in self.rows.iter().enumerate() {
            for (x, picture) in row.pictures.iter().enumerate() {
                let fitted = fit(picture)?;
                let left = LABELS + x as u32 * (CELL + GAP) + (CELL - fitted.width()) / 2;
                let top = HEADER + y as u32 * (CELL + GAP) + (CELL - fitted.height()) / 2;
                canvas::paste(&mut sheet, &fitted, left, top);
            }
        }
        canvas::encode_png(sheet.into_raw(), width, height, WHAT)
    }

    fn write_names(&self, pixels: &mut [u8], size: (u32, u32)) -> Result<(), String> {
        let root = BitMapBackend::with_buffer(pixels, size).into_drawing_area();
        let write = |name: &str, side: HPos, x: u32, y: u32| {
            let style = canvas::set(17, &INK, side, VPos::Center);
            let place = ((x * OVERSAMPLING) as i32, (y * OVERSAMPLING) as i32);
            root.draw_text(&shortened(name), &style, place).map_err(|error| error.to_string())
        };
        for (x, name) in self.columns.iter().enumerate() {
            write(name, HPos::Center, LABELS + x as u32 * (CELL + GAP) + CELL / 2, HEADER / 2)?;
        }
        for (y, row) in self.rows.iter().enumerate() {
            write(row.label, HPos::Right, LABELS - GAP, HEADER + y as u32 * (CELL + GAP) + CELL / 2)?;
        }
        root.present().map_err(|error| error.to_string())
    }
}

/// The first rows of an encoded sheet, made smaller until they take no more than so many bytes as PNG.
///
/// # Errors
/// Bytes that are no picture.
pub fn excerpt(png: &[u8], rows: u32, most_bytes: usize) -> Result<Vec<u8>, RecordError> {
    let sheet = image::load_from_memory_with_format(png, image::ImageFormat::Png);
    let sheet = sheet.map_err(|error| RecordError::drawing(WHAT, error))?;
    let height = sheet.height().min(HEADER + rows * (CELL + GAP));
    let mut part = sheet.crop_imm(0, 0, sheet.width(), height).into_rgb8();
    loop {
        let (width, height) = part.dimensions();
        let bytes = canvas::encode_png(part.as_raw().clone(), width, height, WHAT)?;
        if bytes.len() <= most_bytes || width < 2 || height < 2 {
            return Ok(bytes);
        }
        part = canvas::resized(part, width * 2 / 3, height * 2 / 3);
    }
}

/// Enlarged by a whole factor without smoothing, so that pixels stay visible; reduced with smoothing.
pub(super) fn fit(picture: &Picture<'_>) -> Result<RgbImage, RecordError> {
    let (width, height) = (picture.width, picture.height);
    let wrong =
        || RecordError::drawing(WHAT, format!("{} bytes are no picture of {width} × {height}", picture.pixels.len()));
    if width == 0 || height == 0 {
        return Err(wrong());
    }
    let image = RgbImage::from_raw(width, height, picture.pixels.to_vec()).ok_or_else(wrong)?;
    let longer = width.max(height);
    if longer <= CELL {
        return Ok(canvas::enlarged(image, CELL / longer));
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(CELL) / u64::from(longer)).max(1) as u32;
    Ok(canvas::resized(image, scaled(width), scaled(height)))
}

/// Names longer than a column are cut.
fn shortened(name: &str) -> String {
    const LONGEST: usize = 15; // characters that fit a column at this size
    if name.chars().count() <= LONGEST {
        name.to_owned()
    } else {
        name.chars().take(LONGEST - 1).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(width: u32, height: u32, hue: u8) -> Vec<u8> {
        (0..width * height)
            .flat_map(|i| [(i % width * 255 / width) as u8, (i / width * 255 / height) as u8, hue])
            .collect()
    }

    #[test]
    fn pictures_of_any_size_fit_their_cells() {
        let (a, b, c) = (gradient(32, 32, 90), gradient(300, 100, 10), gradient(1, 500, 200));
        let pictures = |list: &[(u32, u32)]| -> Vec<Picture<'_>> {
            let pixels = [&a, &b, &c];
            list.iter().zip(pixels).map(|(&(width, height), pixels)| Picture { width, height, pixels }).collect()
        };
        let row = |label| SheetRow { label, pictures: pictures(&[(32, 32), (300, 100), (1, 500)]) };
        let sheet = ContactSheet {
            columns: vec!["original", "one", "two"],
            rows: vec![row("aeroplane"), row("a very long name of a class"), row("été")],
        };
        let png = sheet.to_png().unwrap();
        let picture = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (132 + 3 * 136 + 8, 34 + 3 * 136 + 8));
        assert_eq!(picture.get_pixel(132, 34).0, [0, 0, 90]);
        if let Ok(folder) = std::env::var("INFOMAX_SHOW_PICTURES") {
            std::fs::write(format!("{folder}/sheet.png"), &png).unwrap();
        }
    }

    #[test]
    fn excerpt_keeps_within_its_size() {
        let noise: Vec<u8> = (0..128 * 128 * 3_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let row =
            || SheetRow { label: "noise", pictures: vec![Picture { width: 128, height: 128, pixels: &noise }; 2] };
        let sheet = ContactSheet { columns: vec![], rows: vec![row(), row(), row()] }.to_png().unwrap();
        let size = |png: &[u8]| image::load_from_memory(png).unwrap().to_rgb8().dimensions();
        assert_eq!(size(&excerpt(&sheet, 2, usize::MAX).unwrap()), (size(&sheet).0, 34 + 2 * 136));
        assert_eq!(size(&excerpt(&sheet, 9, usize::MAX).unwrap()), size(&sheet));
        let small = excerpt(&sheet, 3, 40_000).unwrap();
        assert!(small.len() <= 40_000 && size(&small).0 > 50);
        assert!(excerpt(&sheet[..sheet.len() / 2], 3, 40_000).is_err());
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let picture = Picture { width: 2, height: 2, pixels: &[0; 11] };
        let sheet = ContactSheet { columns: vec![], rows: vec![SheetRow { label: "", pictures: vec![picture] }] };
        assert!(matches!(sheet.to_png(), Err(RecordError::Drawing { .. })));
        assert!(ContactSheet { columns: vec![], rows: vec![] }.to_png().is_ok());
    }
}
