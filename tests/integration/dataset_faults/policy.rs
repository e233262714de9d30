//! What happens to bad images, and to datasets that change or don't fit.

use crate::support::figures::figure;
use crate::support::{
    ended::infomax,
    image_tree::{ImageTree, fixture, losses},
};
use infomax::dataset::OrderedWorkers;
use insta::assert_snapshot;
use serde_json::json;
use std::{fs, sync::Arc, thread, time::Duration};

#[test]
fn d04_skipping_gives_the_same_losses_for_any_number_of_workers() {
    for bad in [1, 5] {
        let mut all = Vec::new();
        for workers in [0, 1, 4] {
            let tree = ImageTree::sound(100);
            (0..bad).for_each(|n| tree.put(ImageTree::name(n * 19 + 3), b"no image"));
            let workers = format!("train.workers={workers}");
            let more = ["dataset.on_bad=skip", "dataset.max_bad_fraction=0.05", "train.steps=25", &workers];
            let ended = tree.run(&["train"], &more.map(|set| ["--set", set]).concat());
            assert_eq!(ended.code, 0, "{}", ended.seen());
            assert!(ended.out.contains(&format!("bad images skipped: {bad};")), "{}", ended.seen());
            assert_eq!(ended.err.matches("bad image skipped").count(), bad, "{}", ended.seen());
            all.push(losses(&tree.path("runs/run")));
        }
        assert!(all[0].len() == 25 && all.iter().all(|losses| *losses == all[0]), "{all:?}");
        figure("D04", "bad images reported, losses equal for any workers", bad, bad);
    }
}

#[test]
fn d04_too_many_bad_images_end_the_run() {
    let tree = ImageTree::sound(20);
    (0..20).for_each(|image| tree.put(ImageTree::name(image), b"no image"));
    let stop = tree.run(&["train"], &["--set", "train.workers=0"]);
    assert_snapshot!("d04_stop", stop.seen());
    let more = ["--set", "dataset.on_bad=skip", "--set", "train.workers=0", "--set", "record.name=second"];
    let skip = tree.run(&["train"], &more);
    assert_snapshot!("d04_too_many", skip.seen());
}

#[test]
fn d04_bad_images_count_against_their_own_split() {
    let tree = ImageTree::sound(40);
    (0..40).filter(|n| n % 10 == 0).for_each(|image| tree.put(ImageTree::name(image), b"no image"));
    for image in 0..4 {
        let sound = fs::read(tree.at(ImageTree::name(image + 1))).unwrap();
        tree.put(ImageTree::name(image).replace("train", "test"), &sound);
    }
    let bad = tree.at("test/a/00.jpg");
    let sound = fs::read(&bad).unwrap();
    fs::write(&bad, b"no image").unwrap();
    // 4 of 40 and 1 of 4: neither exceeds a quarter, 5 of 4 would.
    let source = tree.open(json!({"on_bad": "skip", "max_bad_fraction": 0.25})).unwrap();
    for splits in [[0], [1]] {
        let stage = source.stage(&splits);
        (0..stage.len() as u64).for_each(|position| drop(source.sample(&stage, position).unwrap()));
    }
    assert_eq!(source.quarantine().count(), 5);
    fs::write(&bad, sound).unwrap();
}

#[test]
fn d17_a_changed_dataset_is_refused_on_resume_unless_accepted() {
    for name in ["removed", "replaced", "appended"] {
        let tree = ImageTree::sound(12);
        let started = tree.run(&["train"], &["--set", "checkpoint.every_steps=1"]);
        assert_eq!(started.code, 0, "{}", started.seen());
        let uninterrupted = losses(&tree.path("runs/run"));
        // As if it had been killed before the last step.
        fs::remove_dir_all(tree.path("runs/run/checkpoints/step-000000003")).unwrap();
        match name {
            "removed" => fs::remove_file(tree.at(ImageTree::name(2))).unwrap(),
            "replaced" => tree.put(ImageTree::name(2), &fixture("lossy.webp")),
            _ => tree.put("train/b/new.jpg", &fixture("baseline.jpg")),
        }
        let resume = |more: &[&str]| infomax(&tree.path(""), &[&["train", "--resume", "runs/run"], more].concat());
        let refused = resume(&[]);
        assert_eq!(refused.code, 5, "{}", refused.seen());
        assert_snapshot!(format!("d17_{name}"), refused.seen());
        let accepted = resume(&["--accept-dataset-change"]);
        assert_eq!(accepted.code, 0, "{}", accepted.seen());
        assert_eq!(losses(&tree.path("runs/run")).len(), uninterrupted.len(), "{}", accepted.seen());
    }
}

#[test]
fn d18_a_failing_read_is_repeated_then_reported() {
    let tree = ImageTree::sound(4);
    let source = tree.open(json!({})).unwrap();
    let path = tree.at("train/a/00.jpg");
    let aside = tree.path("aside.jpg");
    fs::rename(&path, &aside).unwrap();
    let bad = source.read(0, 0).unwrap().unwrap_err();
    assert_eq!(source.quarantine().retries(), 2);
    assert_snapshot!("d18_gone", tree.without_path(&format!("{}\n{}\n{}", bad.place, bad.reason, bad.hint)));

    let back = thread::spawn(move || {
        thread::sleep(Duration::from_millis(40)); // after the first repetition, before the second
        fs::rename(&aside, &path).unwrap();
    });
    assert!(source.read(0, 0).unwrap().is_ok(), "a file that comes back is read");
    back.join().unwrap();
    assert!((3..=4).contains(&source.quarantine().retries()), "{}", source.quarantine().retries());
}

#[test]
fn d19_a_dataset_smaller_than_a_batch_is_refused_before_training() {
    let tree = ImageTree::sound(3);
    let ended = tree.run(&["train"], &["--set", "train.batch_size=256"]);
    assert_snapshot!("d19", ended.seen());
}

#[test]
fn d20_a_loader_that_panics_or_hangs_names_the_sample() {
    let tree = ImageTree::sound(8);
    let source = tree.open(json!({})).unwrap();
    for (name, panics) in [("d20_panics", true), ("d20_hangs", false)] {
        let source = source.clone();
        let make = move |number: u64| {
            let read = source.read(0, number)?;
            match (number, panics) {
                (5, true) => panic!("as asked"),
                (5, false) => thread::sleep(Duration::from_secs(600)),
                _ => {}
            }
            Ok(read.is_ok())
        };
        let loader = OrderedWorkers::start(Arc::new(make), 0..8, 2, 4, Duration::from_secs(1));
        let mut results: Vec<_> = loader.collect();
        let error = results.pop().unwrap().unwrap_err();
        assert!(results.len() == 5 && results.into_iter().all(|result| result.unwrap()));
        assert_snapshot!(name, tree.without_path(&error.to_string()));
    }
}
