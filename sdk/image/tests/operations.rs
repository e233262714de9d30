//! Pillow's and torchvision's recorded outputs, equal to the byte; `record_operations.py` wrote them.

use infomax_image::{Rgb8, operations as ops};
use safetensors::SafeTensors;
use std::{fs, path::PathBuf};

const BLACK: ops::Fill = [0; 3]; // torchvision's `fill=None`

/// Applies an operation to every image with every recorded value (0 where it has none).
fn each(operation: &str, apply: impl Fn(&mut Rgb8, f64)) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", "operations.safetensors"].iter().collect();
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let image = |name: &str| {
        let tensor = tensors.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let &[height, width, 3] = tensor.shape() else { panic!("{name}: shape {:?}", tensor.shape()) };
        Rgb8 { width: width as u32, height: height as u32, pixels: tensor.data().to_vec() }
    };
    let mut compared = 0;
    for name in tensors.names() {
        let parts: Vec<&str> = name.split('/').collect();
        let [of, value, source] = parts[..] else { continue };
        if of != operation {
            continue;
        }
        let mut ours = image(&format!("image/{source}"));
        apply(&mut ours, value.parse().unwrap_or(0.0));
        let theirs = image(name);
        let different = ours.pixels.iter().zip(&theirs.pixels).filter(|(a, b)| a != b).count();
        assert!(ours == theirs, "{name}: {different} of {} bytes differ", theirs.pixels.len());
        compared += 1;
    }
    assert!(compared >= 7, "`{operation}` was recorded {compared} times");
}

fn each_move(operation: &str, apply: impl Fn(infomax_image::Rgb8Ref<'_>, f64, &mut infomax_image::Rgb8Mut<'_>)) {
    each(operation, |image, value| {
        let from = image.clone();
        apply(from.as_ref(), value, &mut image.as_mut());
    });
}

#[test]
fn recorded_gaussian_blur_is_equal() {
    each("gaussian_blur", |image, sigma| ops::gaussian_blur(&mut image.as_mut(), sigma as f32));
}

#[test]
fn recorded_tables_are_equal() {
    each("autocontrast", |image, _| ops::autocontrast(&mut image.pixels));
    each("equalise", |image, _| ops::equalise(&mut image.pixels));
    each("invert", |image, _| ops::invert(&mut image.pixels));
    each("solarise", |image, threshold| ops::solarise(&mut image.pixels, threshold));
    each("posterise", |image, bits| ops::posterise(&mut image.pixels, bits as u32));
}

#[test]
fn recorded_sharpness_is_equal() {
    each("sharpness", |image, factor| ops::sharpness(&mut image.as_mut(), factor as f32));
}

#[test]
fn recorded_movements_are_equal() {
    each_move("rotate", |from, degrees, to| ops::rotate(from, degrees, BLACK, to));
    each_move("shear_x", |from, level, to| ops::shear_x(from, level, BLACK, to));
    each_move("shear_y", |from, level, to| ops::shear_y(from, level, BLACK, to));
    each_move("translate_x", |from, x, to| ops::translate(from, x as i32, 0, BLACK, to));
    each_move("translate_y", |from, y, to| ops::translate(from, 0, y as i32, BLACK, to));
}
