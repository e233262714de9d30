use super::{picture, views};
use crate::{
    config,
    randaugment::{Operation, RandAugment},
    views::Views,
};
use infomax_image::Rgb8;
use infomax_sdk::Key;
use safetensors::SafeTensors;

#[test]
fn recorded_randaugment_is_equal() {
    let bytes = include_bytes!("../../tests/fixtures/randaugment.safetensors");
    let tensors = SafeTensors::deserialize(bytes).expect("a safetensors file");
    let pixels = |name: &str| tensors.tensor(name).expect("recorded").data().to_vec();
    let mut compared = 0;
    for name in tensors.names().into_iter().filter(|name| *name != "image") {
        let parts: Vec<&str> = name.split('/').collect();
        let operation = Operation::ALL.into_iter().find(|operation| format!("{operation:?}") == parts[1]);
        let magnitude = parts[0].parse().expect("a magnitude");
        let policy = RandAugment { operations: 1, magnitude, fill: [0; 3] };
        let mut image = Rgb8 { width: 32, height: 32, pixels: pixels("image") };
        policy.apply_one(operation.expect("a known operation"), parts[2] == "-1", &mut image.as_mut());
        let different = image.pixels.iter().zip(pixels(name)).filter(|(a, b)| **a != *b).count();
        assert_eq!(different, 0, "{name}: bytes that differ");
        compared += 1;
    }
    assert_eq!(compared, 3 * (14 + 9), "fourteen operations, nine of them both ways, at three magnitudes");
}

#[test]
fn no_operation_leaves_the_image_and_more_change_more() {
    let image = picture(32, 32);
    let changed = |operations| {
        let flip = config::Flip::Off;
        let config = config::RandAugment { operations, crop: false, flip, ..Default::default() };
        (0..500)
            .filter(|&key| views::<Views<config::RandAugment>>(&config, &image, Key::new(key))[0] != image.pixels)
            .count()
    };
    assert_eq!(changed(0), 0);
    let [one, two] = [changed(1), changed(2)];
    // Of fourteen operations the identity leaves the image, and this image is equalised and stretched almost fully already.
    assert!((380..=480).contains(&one) && two > one, "{one} and {two} of 500");
}
