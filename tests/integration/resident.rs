//! Images that stay in memory: views made in batch are those made one by one, whatever the batch; a run that keeps its images
//! gives the numbers of one that doesn't; what can't stay is refused in words.

use crate::{
    support::{
        image_tree::{ImageTree, open},
        workspace::{component, registry},
    },
    training::{assert_ok, assert_same, train},
};
use infomax::{
    augmentation::{ForeignAugmentation, ForeignBatch, describe},
    config::Experiment,
    dataset::{BatchMaker, Drawn, Order, Resident, ResidentReading, Room, Source, TrainBatch, Views},
    distributed::Group,
    plugin::{Component, Kind},
    train::{Model, Setup, Stepper},
};
use infomax_sdk::{AugmentationDescription, ImageRef, Key, ViewMut, requests::Request};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tch::{Device, Tensor};

struct Subject {
    augmentation: ForeignAugmentation,
    description: AugmentationDescription,
}

impl Subject {
    fn new(name: &str, config: Value) -> Self {
        let component: Component = component(Kind::Augmentation, name);
        let request = Request { config, ..Request::default() };
        let description = describe(&component, &request).unwrap_or_else(|error| panic!("{}", error.fault()));
        let augmentation = ForeignAugmentation::create(&component, &request);
        Self { augmentation: augmentation.unwrap_or_else(|error| panic!("{}", error.fault())), description }
    }

    fn batch(&self, size: [u32; 2]) -> Option<ForeignBatch> {
        ForeignBatch::new(&self.augmentation, &self.description, size)
            .unwrap_or_else(|error| panic!("{}", error.fault()))
    }

    /// Each view of an image.
    fn one_by_one(&self, [width, height]: [u32; 2], pixels: &[u8], key: Key) -> Vec<Vec<u8>> {
        let sizes = || self.description.views.iter().map(|view| [view.width, view.height]);
        let mut buffers: Vec<Vec<u8>> = sizes().map(|[w, h]| vec![0; (w * h * 3) as usize]).collect();
        let places = sizes().zip(&mut buffers);
        let mut views: Vec<_> = places.map(|([width, height], pixels)| ViewMut { width, height, pixels }).collect();
        self.augmentation.train_views(ImageRef { width, height, pixels }, key, &mut views).unwrap();
        buffers
    }
}

/// Noise of different reach over different colours, gray, black and white.
fn images([width, height]: [u32; 2], count: u64) -> Vec<Vec<u8>> {
    let image = |number: u64| {
        let mut rng = Key::new(21).fold(number).rng();
        let (reach, colour) = (1 + number * 37 % 250, [0; 3].map(|_| rng.below(256)));
        let pixel = |rng: &mut infomax_sdk::KeyedRng| colour.map(|level| (level + rng.below(reach)).min(255) as u8);
        match number {
            0 => vec![0; (width * height * 3) as usize],
            1 => vec![255; (width * height * 3) as usize],
            2 => (0..width * height).flat_map(|at| [(at * 7 % 256) as u8; 3]).collect(),
            _ => (0..width * height).flat_map(|_| pixel(&mut rng)).collect(),
        }
    };
    (0..count).map(image).collect()
}

/// Views in batch against views one by one: the number of bytes that differ, of how many.
fn differences(subject: &Subject, size: [u32; 2], count: u64) -> (usize, usize) {
    let batch = subject.batch(size).expect("it makes views in batch");
    let images = images(size, count);
    let keys: Vec<Key> = (0..count).map(|at| Key::new(5).fold(at)).collect();
    let mut numbers = vec![f32::NAN; batch.numbers() * count as usize];
    for (numbers, &key) in numbers.chunks_exact_mut(batch.numbers()).zip(&keys) {
        batch.draw(key, numbers).unwrap();
    }
    let pixels = Tensor::from_slice(&images.concat()).view([count as i64, size[1].into(), size[0].into(), 3]);
    let views = batch.views(&pixels, &Tensor::from_slice(&numbers).view([count as i64, -1]));
    let views: Vec<Vec<u8>> = views
        .unwrap_or_else(|error| panic!("{}", error.fault()))
        .iter()
        .map(|view| Vec::try_from(view.reshape([-1])).unwrap())
        .collect();
    let (mut differ, mut bytes) = (0, 0);
    for (at, (image, &key)) in images.iter().zip(&keys).enumerate() {
        for (view, alone) in subject.one_by_one(size, image, key).iter().enumerate() {
            let together = &views[view][at * alone.len()..(at + 1) * alone.len()];
            differ += together.iter().zip(alone).filter(|(a, b)| a != b).count();
            bytes += alone.len();
        }
    }
    (differ, bytes)
}

#[test]
fn each_operation_in_batch_is_the_one_of_an_image_to_the_byte() {
    let still = || {
        json!({ "size": 24, "flip": "off", "crop": false, "jitter_probability": 0.0, "grayscale_probability": 0.0,
                "jitter_strength": 1.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0 })
    };
    let alone = [
        ("nothing", json!({})),
        ("flip", json!({ "flip": "independent" })),
        ("flip, both views alike", json!({ "flip": "shared" })),
        ("crop", json!({ "crop": true })),
        ("crop and flip", json!({ "crop": true, "flip": "independent" })),
        ("brightness", json!({ "jitter_probability": 1.0, "brightness": 0.8 })),
        ("contrast", json!({ "jitter_probability": 1.0, "contrast": 0.8 })),
        ("saturation", json!({ "jitter_probability": 1.0, "saturation": 0.8 })),
        ("hue", json!({ "jitter_probability": 1.0, "hue": 0.5 })),
        (
            "three in any order",
            json!({ "jitter_probability": 1.0, "brightness": 0.8, "contrast": 0.8, "saturation": 0.8 }),
        ),
        (
            "four in any order",
            json!({ "jitter_probability": 0.8, "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2 }),
        ),
        ("grayscale", json!({ "grayscale_probability": 0.5 })),
        ("blur", json!({ "blur_probability": 0.8, "blur_sigma": [0.0, 3.0] })),
        ("a blur wider than the view", json!({ "blur_probability": 1.0, "blur_sigma": [15.0, 30.0] })),
        ("solarise", json!({ "solarise_probability": 0.5 })),
    ];
    for (operation, change) in alone {
        let mut config = still();
        config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let subject = Subject::new("simclr", config);
        for size in [[24, 24], [32, 32], [40, 56], [17, 9]] {
            assert_eq!(differences(&subject, size, 40).0, 0, "{operation}, images of {size:?}");
        }
    }
}

#[test]
fn published_views_in_batch_are_those_of_an_image_to_the_byte() {
    for (name, config, sizes) in [
        ("amdim", json!({ "size": 32 }), vec![[32, 32], [48, 40]]),
        ("amdim", json!({ "size": 32, "crop": false, "flip": "independent" }), vec![[32, 32]]),
        ("amdim", json!({ "size": 64 }), vec![[96, 96], [50, 90]]),
        ("amdim", json!({ "size": 64, "crop": false }), vec![[64, 64], [96, 80]]),
        ("simclr", json!({ "size": 32 }), vec![[32, 32]]),
        ("simclr", json!({ "size": 64 }), vec![[96, 96], [64, 64], [30, 200]]),
        ("simclr", json!({ "size": 72 }), vec![[72, 72], [100, 80]]),
        ("asymmetric", json!({ "size": 48 }), vec![[64, 64]]),
        ("multi-crop", json!({ "size": 48, "local_size": 24 }), vec![[64, 64]]),
        ("none", json!({ "size": 20, "views": 3 }), vec![[20, 20], [33, 21]]),
    ] {
        let subject = Subject::new(name, config.clone());
        for size in sizes {
            let (differ, bytes) = differences(&subject, size, 60);
            assert_eq!(differ, 0, "of {bytes}: {name} {config}, images of {size:?}");
        }
    }
}

#[test]
fn an_augmentation_with_an_operation_that_is_not_for_batches_says_so() {
    assert!(Subject::new("randaugment", json!({})).batch([32, 32]).is_none());
    let large = Subject::new("simclr", json!({}));
    let refused = ForeignBatch::new(&large.augmentation, &large.description, [32, 257]).map(drop).unwrap_err();
    assert_eq!(
        refused.fault().message,
        "augmentation `simclr` failed in `numbers`: images of 32×257 pixels are not for batches"
    );
}

fn shapes() -> Source {
    open("shapes", json!({ "name": "shapes", "config": { "train_length": 90, "test_length": 20 } })).unwrap()
}

fn reading(source: &Source, subject: &Subject, room: Room) -> Result<Resident, String> {
    let stage = source.stage(&source.facts().roles.pretrain);
    let deadline = Duration::from_secs(60);
    let reading = ResidentReading { source, stage: &stage, workers: 2, deadline, stop: &|| false };
    Resident::read(&reading, &subject.augmentation, &subject.description, room)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn room(in_batch: bool) -> Room {
    Room { device: Device::Cpu, bytes: None, in_batch }
}

/// A batch's views as bytes.
fn bytes(batch: &TrainBatch) -> Vec<Vec<u8>> {
    let read = |view: &Tensor| Vec::<u8>::try_from(view.reshape([-1])).unwrap();
    match &batch.views {
        Views::Bytes(views) => views.clone(),
        Views::Drawn(drawn) => drawn.views(&batch.indices).unwrap().iter().map(read).collect(),
    }
}

#[test]
fn batches_of_images_in_memory_are_those_of_images_that_are_read() {
    let (source, subject) = (shapes(), Subject::new("amdim", json!({ "size": 32 })));
    let stage = source.stage(&source.facts().roles.pretrain);
    let description = Arc::new(subject.description.clone());
    let maker = BatchMaker::new(source.clone(), stage, subject.augmentation.clone(), description);
    let order = Order::new(Key::new(1), 90, 20);
    let residents = [false, true].map(|in_batch| reading(&source, &subject, room(in_batch)).unwrap());
    assert_eq!(residents.each_ref().map(|resident| (resident.count(), resident.bytes())), [(90, 90 * 3072); 2]);
    for (step, rows) in [(0, 0..20), (3, 0..20), (5, 7..13)] {
        let expected = maker.train(&order, Key::new(2), step, rows.clone()).unwrap();
        for resident in &residents {
            let batch = maker.train_from(resident, &order, Key::new(2), step, rows.clone()).unwrap();
            assert!(bytes(&batch) == bytes(&expected), "step {step}, rows {rows:?}");
            assert_eq!((batch.labels, batch.indices), (expected.labels.clone(), expected.indices.clone()));
        }
    }
    let batch = maker.train_from(&residents[1], &order, Key::new(2), 0, 0..20).unwrap();
    let Views::Drawn(Drawn { numbers, images }) = batch.views else { panic!("views of images on a device are drawn") };
    assert_eq!(numbers.len(), 20 * images.numbers());
}

#[test]
fn a_step_on_images_that_stay_on_the_device_is_one_on_those_that_are_read() {
    let experiment: Experiment = serde_json::from_value(json!({
        "dataset": { "name": "shapes", "config": { "train_length": 90, "test_length": 20 } },
        "augmentation": { "name": "amdim", "config": { "size": 32 } },
        "encoder": { "name": "amdim", "config": { "size": 32, "ndf": 4, "n_rkhs": 16, "depth": 1 } },
        "loss": { "name": "amdim", "config": {} },
        "train": { "batch_size": 10, "steps": 3 },
    }))
    .unwrap();
    infomax::native::set_threads(1);
    let (source, subject) = (shapes(), Subject::new("amdim", json!({ "size": 32 })));
    let stage = source.stage(&source.facts().roles.pretrain);
    let description = Arc::new(subject.description.clone());
    let maker = BatchMaker::new(source.clone(), stage, subject.augmentation.clone(), description);
    let order = Order::new(Key::new(1), 90, 10);
    let resident = reading(&source, &subject, room(true)).unwrap();
    let values = |make: &dyn Fn(u64) -> TrainBatch| {
        let setup = Setup::new(&experiment, &registry(), "cpu").unwrap_or_else(|error| panic!("{error}"));
        let mut model = Model::new(&setup, &experiment, Some(10)).unwrap_or_else(|error| panic!("{error}"));
        let views = &setup.augmentation_description;
        let stepper = Stepper::new(&model, views, &experiment, &Group::alone(), 3).unwrap();
        let step = |step| stepper.step(&mut model, &make(step), 1e-2).unwrap_or_else(|error| panic!("{error}")).values;
        (0..3).map(step).collect::<Vec<_>>()
    };
    let read = values(&|step| maker.train(&order, Key::new(2), step, 0..10).unwrap());
    let kept = values(&|step| maker.train_from(&resident, &order, Key::new(2), step, 0..10).unwrap());
    assert_eq!(read, kept);
    assert!(read.iter().flatten().all(|(_, value)| value.is_finite()), "{read:?}");
}

#[test]
fn what_can_t_stay_in_memory_is_refused_in_words() {
    let (source, subject) = (shapes(), Subject::new("amdim", json!({ "size": 32 })));
    let refusal = |subject: &Subject, room: Room| reading(&source, subject, room).map(drop).unwrap_err();
    let small = Room { bytes: Some(200_000), ..room(false) };
    assert_eq!(refusal(&subject, small), "they take 1 MiB, and there is room for 0 MiB");
    let without = refusal(&Subject::new("randaugment", json!({})), room(true));
    assert_eq!(without, "the augmentation `randaugment` with this config makes no views in batch");

    let tree = mixed_tree();
    let source = tree.open(json!({})).unwrap();
    for in_batch in [false, true] {
        let refused = reading(&source, &subject, room(in_batch)).map(drop).unwrap_err();
        let expected =
            "they differ in size: the first has 20×16 pixels, FOLDER/tree/train/b/9.ppm (`train`, image 5) has 21×16";
        assert_eq!(tree.without_path(&refused), expected);
    }
    let refused = tree.run(&["train"], &["--set", "dataset.on_device=always"]);
    let expected = "error: `dataset.on_device` is `always`, but the images can't stay in memory: they differ in size";
    assert!(refused.code == 2 && refused.err.contains(expected), "{}", refused.seen());
    assert_eq!(tree.run(&["train"], &["--set", "dataset.on_device=auto"]).code, 0, "a CPU reads them as they are used");
}

/// Images of 20×16 pixels, the last one a pixel wider.
fn mixed_tree() -> ImageTree {
    let tree = ImageTree::empty();
    for (number, class) in [(1, "a"), (2, "a"), (3, "a"), (7, "b"), (8, "b"), (9, "b")] {
        let width = if number == 9 { 21 } else { 20 };
        let pixels: Vec<u8> = (0..width * 16 * 3).map(|at| (at * number % 251) as u8).collect();
        let header = format!("P6 {width} 16 255\n");
        tree.put(format!("train/{class}/{number}.ppm"), &[header.as_bytes(), &pixels].concat());
    }
    tree
}

#[test]
fn a_run_that_keeps_its_images_gives_the_numbers_of_one_that_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    assert_ok(&train(folder.path(), "read", &["dataset.on_device=never"]));
    let kept = train(folder.path(), "kept", &["dataset.on_device=always"]);
    assert_ok(&kept);
    let told = String::from_utf8_lossy(&kept.stderr);
    assert!(told.contains("96 images of training stay in memory (1 MiB)"), "{told}");
    assert_same(&runs.join("read"), &runs.join("kept"));
}
