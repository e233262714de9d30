//! Views of a batch of images that lie in memory: AMDIM's set and SimCLR's, through the loaded libraries, one thread.
//!
//! `cargo bench --bench views`, after `cargo build --release --workspace`. An element is an image with its two views.

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use infomax::{
    augmentation::ForeignAugmentation,
    plugin::{Component, Kind, Registry},
};
use infomax_sdk::{ImageRef, Key, ViewMut, requests::Request};
use serde_json::{Value, json};
use std::{hint::black_box, path::PathBuf, time::Duration};

const IMAGES: u64 = 200;

fn augmentation(name: &str, config: Value) -> ForeignAugmentation {
    let exe = std::env::current_exe().expect("a benchmark has an executable");
    let folder: PathBuf = exe.ancestors().nth(2).expect("benchmarks lie in target/release/deps").to_owned();
    let registry = Registry::search(vec![folder], &[], None);
    let loaded = registry.load(Kind::Augmentation, name, None);
    let (library, name) = loaded.expect("run `cargo build --release --workspace` first");
    let component = Component::new(library, Kind::Augmentation, name);
    ForeignAugmentation::create(&component, &Request { config, ..Request::default() }).expect("it is made")
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
    let augmentation = augmentation(name, json!({ "size": size }));
    let mut buffers = [vec![0; (size * size * 3) as usize], vec![0; (size * size * 3) as usize]];
    group.throughput(Throughput::Elements(IMAGES));
    group.bench_function(format!("{name}/{side}_to_{size}/one_by_one"), |b| {
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
}

fn views(c: &mut Criterion) {
    let mut group = c.benchmark_group("views");
    group.sample_size(20).measurement_time(Duration::from_secs(4));
    compare(&mut group, "amdim", 32, 32);
    compare(&mut group, "simclr", 32, 32);
    compare(&mut group, "amdim", 96, 64);
    group.finish();
}

criterion_group!(benches, views);
criterion_main!(benches);
