//! Parts of the input pipeline on one core: `cargo bench -p infomax-image`. Files named by `INFOMAX_BENCH_IMAGES` (a folder
//! of images) take the place of the small fixture.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use infomax_image::{DecodeOptions, Rgb8, decode, operations as ops};
use std::{hint::black_box, path::PathBuf};

/// Every file below the folder, or one small JPEG.
fn files() -> Vec<Vec<u8>> {
    let fixture: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", "baseline.jpg"].iter().collect();
    let mut folders: Vec<PathBuf> = std::env::var_os("INFOMAX_BENCH_IMAGES").into_iter().map(Into::into).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    if files.is_empty() {
        files.push(fixture);
    }
    files.sort();
    files.iter().take(200).map(|path| std::fs::read(path).expect("a readable file")).collect()
}

fn jitter(pixels: &mut [u8]) {
    ops::brightness(pixels, 1.2);
    ops::contrast(pixels, 0.8);
    ops::saturation(pixels, 1.3);
    ops::hue(pixels, 0.07);
}

fn pipeline(criterion: &mut Criterion) {
    let files = files();
    let options = DecodeOptions::default();
    let mut group = criterion.benchmark_group("images");
    group.sample_size(10).throughput(Throughput::Elements(files.len() as u64));
    group.bench_function("decode", |bench| {
        bench.iter(|| files.iter().for_each(|bytes| drop(black_box(decode(bytes, &options)))));
    });
    let mut view = Rgb8::new(128, 128);
    // Scaled: as small as the short side allows.
    for (name, short_side) in [("decode, two views of 128, jitter", None), ("the same, scaled", Some(144))] {
        let options = DecodeOptions { short_side, ..options };
        group.bench_function(name, |bench| {
            bench.iter(|| {
                for bytes in &files {
                    let image = decode(bytes, &options).expect("a sound file");
                    for _ in 0..2 {
                        let (width, height) = (image.width * 4 / 5, image.height * 4 / 5);
                        let region = ops::Region { left: image.width / 10, top: image.height / 10, width, height };
                        ops::resized_crop(image.as_ref(), region, &mut view.as_mut());
                        jitter(&mut view.pixels);
                        black_box(&view);
                    }
                }
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("parts");
    let photo = Rgb8 { width: 500, height: 375, pixels: (0..500 * 375 * 3).map(|i| (i * 7 % 253) as u8).collect() };
    let region = ops::Region { left: 30, top: 20, width: 400, height: 320 };
    group.bench_function("resized crop 400×320 to 128", |bench| {
        bench.iter(|| ops::resized_crop(photo.as_ref(), region, &mut view.as_mut()));
    });
    type Operation = (&'static str, fn(&mut [u8]));
    let operations: [Operation; 5] = [
        ("brightness 128", |pixels| ops::brightness(pixels, 1.2)),
        ("contrast 128", |pixels| ops::contrast(pixels, 0.8)),
        ("saturation 128", |pixels| ops::saturation(pixels, 1.3)),
        ("hue 128", |pixels| ops::hue(pixels, 0.07)),
        ("grayscale 128", ops::grayscale),
    ];
    let noise: Vec<u8> = (0..128 * 128 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut work = noise.clone();
    for (name, operation) in operations {
        group.bench_function(name, |bench| {
            bench.iter(|| {
                work.copy_from_slice(&noise);
                operation(&mut work);
            });
        });
    }
    group.bench_function("gaussian blur 128", |bench| {
        bench.iter(|| {
            view.pixels.copy_from_slice(&noise);
            ops::gaussian_blur(&mut view.as_mut(), 1.0);
        });
    });
    let small = Rgb8 { width: 32, height: 32, pixels: noise[..3072].to_vec() };
    let mut moved = Rgb8::new(32, 32);
    group.throughput(Throughput::Elements(1));
    group.bench_function("two views of 32 with every operation", |bench| {
        bench.iter(|| {
            for x in [-3, 2] {
                ops::translate_reflect(small.as_ref(), x, 1, &mut moved.as_mut());
                ops::flip_horizontal(&mut moved.as_mut());
                jitter(&mut moved.pixels);
                black_box(&moved);
            }
        });
    });
    // SimCLR's views with each operation at its usual strength, all of them on.
    group.bench_function("two views of 32 as SimCLR's", |bench| {
        bench.iter(|| {
            for left in [0, 6] {
                let region = ops::Region { left, top: 4, width: 25, height: 22 };
                ops::resized_crop(small.as_ref(), region, &mut moved.as_mut());
                ops::flip_horizontal(&mut moved.as_mut());
                jitter(&mut moved.pixels);
                ops::grayscale(&mut moved.pixels);
                ops::gaussian_blur(&mut moved.as_mut(), 1.0);
                ops::solarise(&mut moved.pixels, 128.0);
                black_box(&moved);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
