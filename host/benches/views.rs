//! Views of a batch of images that stay in memory: AMDIM's set and SimCLR's, through the loaded libraries, one thread.
//!
//! `cargo bench --bench views`, after `cargo build --release --workspace`. An element is an image with its two views. `in_memory`
//! is what a run on the CPU does with `dataset.on_device = "always"`; `drawn` what the processor does of it for a GPU, and
//! `in_batch` what it would cost on a CPU to do the rest in tensors, as a GPU does.

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use infomax::{
    augmentation::{ForeignAugmentation, ForeignBatch, describe},
    native,
    plugin::{Component, Kind, LoadComponent, Registry},
};
use infomax_sdk::{ImageRef, Key, ViewMut, requests::Request};
use serde_json::{Value, json};
use std::{hint::black_box, path::PathBuf, time::Duration};
use tch::Tensor;

const IMAGES: u64 = 200;

fn augmentation(name: &str, config: Value, size: [u32; 2]) -> (ForeignAugmentation, ForeignBatch) {
    let exe = std::env::current_exe().expect("a benchmark has an executable");
    let folder: PathBuf = exe.ancestors().nth(2).expect("benchmarks lie in target/release/deps").to_owned();
    let registry = Registry::search(vec![folder], &[], None);
    let loaded = registry.load(Kind::Augmentation, name, None);
    let (library, name) = loaded.expect("run `cargo build --release --workspace` first");
    let component = Component::new(library, Kind::Augmentation, name);
    let request = Request { config, ..Request::default() };
    let augmentation = ForeignAugmentation::create(&component, &request).expect("it is made");
    let description = describe(&component, &request).expect("it is described");
    let batch = ForeignBatch::new(&augmentation, &description, size).expect("images of any size");
    (augmentation, batch.expect("it makes views in batch"))
}

/// Blocks of colour with noise on them: neither flat nor without structure.
fn images(side: u32) -> Vec<u8> {
    let mut rng = Key::new(3).rng();
    let mut pixels = Vec::new();
    for _ in 0..IMAGES {
        let colours: Vec<[u8; 3]> = (0..16).map(|_| [0; 3].map(|_| rng.below(256) as u8)).collect();
        for y in 0..side {
            for x in 0..side {
                let colour = colours[(4 * y / side * 4 + 4 * x / side) as usize];
                pixels.extend(colour.map(|value| value.saturating_add(rng.below(24) as u8)));
            }
        }
    }
    pixels
}

fn compare(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, side: u32, size: u32) {
    let (pixels, bytes) = (images(side), (side * side * 3) as usize);
    let (augmentation, batch) = augmentation(name, json!({ "size": size }), [side, side]);
    let mut buffers = [vec![0; (size * size * 3) as usize], vec![0; (size * size * 3) as usize]];
    group.throughput(Throughput::Elements(IMAGES));
    group.bench_function(format!("{name}/{side}_to_{size}/in_memory"), |b| {
        let mut epoch = 0;
        b.iter(|| {
            epoch += 1;
            for (position, pixels) in pixels.chunks_exact(bytes).enumerate() {
                let image = ImageRef { width: side, height: side, pixels };
                let mut views = buffers.each_mut().map(|pixels| ViewMut { width: size, height: size, pixels });
                let key = Key::new(1).fold(epoch).fold(position as u64);
                augmentation.train_views(image, key, &mut views).expect("views of any image");
            }
            black_box(&buffers);
        });
    });
    let count = batch.numbers();
    let mut numbers = vec![0.0; count * IMAGES as usize];
    let mut draw = |epoch: u64| {
        for (position, numbers) in numbers.chunks_exact_mut(count).enumerate() {
            batch.draw(Key::new(1).fold(epoch).fold(position as u64), numbers).expect("draws for any image");
        }
        Tensor::from_slice(&numbers).view([IMAGES as i64, -1])
    };
    let mut epoch = 0;
    group.bench_function(format!("{name}/{side}_to_{size}/drawn"), |b| {
        b.iter(|| {
            epoch += 1;
            draw(epoch)
        });
    });
    let drawn = draw(0);
    let images = Tensor::from_slice(&pixels).view([IMAGES as i64, side.into(), side.into(), 3]);
    group.bench_function(format!("{name}/{side}_to_{size}/in_batch"), |b| {
        b.iter(|| batch.views(&images, &drawn).expect("views of any image"));
    });
}

fn views(c: &mut Criterion) {
    native::set_threads(1);
    let mut group = c.benchmark_group("views");
    group.sample_size(20).measurement_time(Duration::from_secs(4));
    compare(&mut group, "amdim", 32, 32);
    compare(&mut group, "simclr", 32, 32);
    compare(&mut group, "amdim", 96, 64);
    group.finish();
}

criterion_group!(benches, views);
criterion_main!(benches);
