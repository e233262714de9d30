use super::*;

fn pixels(shapes: &Shapes, split: usize, index: u64) -> (Vec<u8>, i64) {
    let sample = shapes.read(split, index).expect("an image");
    let Image::Rgb8 { pixels, .. } = sample.image else { panic!("pixels") };
    (pixels, sample.label)
}

#[test]
fn an_image_is_a_function_of_seed_split_and_index() {
    let [one, again, other] =
        [0, 0, 1].map(|seed| Shapes::create(&config::Shapes { seed, ..Default::default() }).expect("a config"));
    assert_eq!(pixels(&one, 0, 7), pixels(&again, 0, 7));
    let images = [(&one, 0, 7), (&one, 1, 7), (&one, 0, 17), (&other, 0, 7)].map(|(s, p, i)| pixels(s, p, i).0);
    assert!((0..4).all(|i| (0..i).all(|j| images[i] != images[j])));
    assert_ne!(one.facts().fingerprint, other.facts().fingerprint);
    assert!(one.read(0, 10_000).is_err() && one.read(2, 0).is_err());
}

#[test]
fn classes_are_balanced_and_images_fill_their_size() {
    let shapes = Shapes::create(&config::Shapes { size: 64, ..Default::default() }).expect("a config");
    let mut counts = [0; 10];
    for index in 0..200 {
        let (pixels, label) = pixels(&shapes, 1, index);
        assert_eq!(pixels.len(), 64 * 64 * 3);
        counts[label as usize] += 1;
    }
    assert_eq!(counts, [20; 10]);
}

/// The nearest neighbour's label by pixels: the classes must not be visible in raw colours.
#[test]
#[ignore = "takes half a minute; run in release with --ignored"]
fn neighbours_in_pixels_tell_little() {
    let shapes = Shapes::create(&config::Shapes::default()).expect("a config");
    let train: Vec<_> = (0..10_000).map(|index| pixels(&shapes, 0, index)).collect();
    let mut right = [0; 2];
    let tests = 500;
    for index in 0..tests {
        let (image, label) = pixels(&shapes, 1, index);
        let mut distances: Vec<(u64, i64)> = train
            .iter()
            .map(|(other, label)| {
                let squares = image.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2));
                (squares.sum(), *label)
            })
            .collect();
        distances.sort_unstable();
        let mut votes = [0; 10];
        distances[..20].iter().for_each(|(_, label)| votes[*label as usize] += 1);
        let winner = (0..10).max_by_key(|&label| votes[label]).expect("ten classes") as i64;
        right[0] += u64::from(distances[0].1 == label);
        right[1] += u64::from(winner == label);
    }
    let [one, twenty] = right.map(|right| right as f64 * 100.0 / tests as f64);
    eprintln!("neighbours in pixels: 1-NN {one:.1} %, 20-NN {twenty:.1} % (10 % is chance)");
    assert!(one < 30.0 && twenty < 30.0);
}

/// Writes rows of one class each, to be looked at, and times the drawing.
#[test]
#[ignore = "writes target/shapes.png"]
fn contact_sheet() {
    for size in [32u32, 64] {
        let shapes = Shapes::create(&config::Shapes { size, ..Default::default() }).expect("a config");
        let start = std::time::Instant::now();
        (0..2000).for_each(|index| drop(std::hint::black_box(pixels(&shapes, 0, index))));
        eprintln!("{size} pixels: {:.0} images a second", 2000.0 / start.elapsed().as_secs_f64());
        let (columns, gap) = (16, 2);
        let mut sheet = image::RgbImage::new((size + gap) * columns, (size + gap) * 10);
        for index in 0..u64::from(10 * columns) {
            let (pixels, label) = pixels(&shapes, 0, index);
            let tile = image::RgbImage::from_raw(size, size, pixels).expect("a full image");
            let (x, y) = ((index as u32 / 10) * (size + gap), label as u32 * (size + gap));
            image::imageops::replace(&mut sheet, &tile, i64::from(x), i64::from(y));
        }
        let zoom = 64 / size;
        let (width, height) = (sheet.width() * zoom, sheet.height() * zoom);
        let sheet = image::imageops::resize(&sheet, width, height, image::imageops::FilterType::Nearest);
        let target: std::path::PathBuf =
            [env!("CARGO_MANIFEST_DIR"), "..", "..", "target", &format!("shapes{size}.png")].iter().collect();
        sheet.save(&target).expect("written");
    }
}
