//! A part of the labels: `dataset.label_fraction` and `dataset.label_list` in training, and the same choice in `infomax evaluate`.

use crate::{
    support::{
        binary::{errors, run},
        image_tree::{ImageTree, open},
    },
    training::{assert_ok, metrics, train},
};
use infomax::dataset::share;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path, time::Duration};

const IMAGES: [&str; 1] = ["dataset.config.train_length=400"];
const TENTH: &str = "dataset.label_fraction=0.1";

fn identity(run: &Path) -> Value {
    serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap()
}

fn evaluated(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    assert_ok(&run(folder, &[&["evaluate", "runs/run", "--out", "out"], arguments].concat()));
    serde_json::from_slice(&fs::read(folder.join("out/evaluation.json")).unwrap()).unwrap()
}

/// The names of the tenth of the training images whose labels are chosen, as the dataset says them.
fn names_of_tenth() -> Vec<String> {
    let config = json!({"train_length": 400, "test_length": 40});
    let source = open("shapes", json!({"name": "shapes", "config": config})).unwrap();
    let stage = source.stage(&[0]);
    let labels = source.labels(&stage, 2, Duration::from_secs(60)).unwrap();
    assert_eq!(labels[..12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    share(&labels, 0.1).into_iter().map(|position| source.locate(0, position as u64)).collect()
}

#[test]
fn classifiers_learn_from_the_chosen_labels_alone() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    for stage in ["classifiers", "finetune"] {
        let settings = [IMAGES[0], &format!("train.stage={stage}")];
        assert_ok(&train(folder.path(), &format!("{stage}-all"), &settings));
        assert_ok(&train(folder.path(), &format!("{stage}-tenth"), &[&settings[..], &[TENTH]].concat()));
        let [all, tenth] = ["all", "tenth"].map(|name| runs.join(format!("{stage}-{name}")));
        assert!(identity(&all).get("labels").is_none());
        assert_eq!(identity(&tenth)["labels"]["count"], 40);
        let epochs = |run: &Path| metrics(run).iter().map(|row| row["epoch"].as_u64().unwrap()).max();
        // 14 updates of 16 images: within the first pass over 400, in the seventh over 40.
        assert_eq!((epochs(&all), epochs(&tenth)), (Some(0), Some(6)), "{stage}");
        assert_ne!(metrics(&all), metrics(&tenth));
    }
}

#[test]
fn pretraining_sees_all_images_and_evaluation_chooses_the_same_labels() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let knn = ["evaluation.knn=true", "evaluation.knn_k=7"];
    assert_ok(&train(folder.path(), "run", &[&IMAGES[..], &knn, &[TENTH]].concat()));
    assert_ok(&train(folder.path(), "all", &[&IMAGES[..], &knn].concat()));
    let [own, all] = ["run", "all"].map(|name| metrics(&runs.join(name)));
    let loss = |rows: &[Value], name: &str| rows.iter().filter_map(|row| row.get(name)?.as_f64()).collect::<Vec<_>>();
    assert_eq!(loss(&own, "loss"), loss(&all, "loss"), "the loss sees every image");
    assert!(loss(&own, "loss/linear").len() <= 14 && loss(&own, "loss/linear") != loss(&all, "loss/linear"));
    assert_eq!(own.iter().map(|row| row["epoch"].as_u64().unwrap()).max(), Some(0));

    // The run's own share is measured too; the neighbours are those that the run itself asked.
    let rows = evaluated(folder.path(), &["--label-fraction", "0.1", "--label-fraction", "0.05"]);
    let labels: Vec<_> = rows.iter().map(|row| row["labels"].as_str().unwrap()).collect();
    assert_eq!(labels, ["all", "0.1", "0.05"]);
    assert_eq!(rows.iter().map(|row| row["train_images"].as_u64().unwrap()).collect::<Vec<_>>(), [400, 40, 20]);
    let last = |rows: &[Value]| rows.iter().filter_map(|row| row.get("knn_top1")?.as_f64()).next_back().unwrap();
    assert_eq!(rows[1]["knn_top1"].as_f64(), Some(last(&own)));

    // The same images by name are the same choice.
    fs::write(folder.path().join("names.txt"), names_of_tenth().join("\n")).unwrap();
    let listed = [&IMAGES[..], &knn, &["dataset.label_list=names.txt"]].concat();
    assert_ok(&train(folder.path(), "listed", &listed));
    assert_eq!(identity(&runs.join("listed"))["labels"], identity(&runs.join("run"))["labels"]);
    assert_eq!(metrics(&runs.join("listed")), own);
    let rows = evaluated(folder.path(), &["--label-list", "names.txt"]);
    let without_name = |row: &Value| {
        let mut row = row.clone();
        row.as_object_mut().unwrap().remove("labels");
        row
    };
    assert_eq!((rows.len(), &rows[2]["labels"]), (3, &json!("names.txt")));
    assert_eq!(without_name(&rows[1]), without_name(&rows[2]));
}

#[test]
fn images_held_out_to_choose_by_are_among_the_chosen_labels() {
    let folder = tempfile::tempdir().unwrap();
    let held = "evaluation.holdout_fraction=0.25";
    assert_ok(&train(folder.path(), "run", &[IMAGES[0], TENTH, held, "train.stage=classifiers"]));
    let epochs = metrics(&folder.path().join("runs/run")).iter().map(|row| row["epoch"].as_u64().unwrap()).max();
    assert_eq!(epochs, Some(13), "30 labels are left to train on: one update a pass");
    let none = train(folder.path(), "none", &[IMAGES[0], TENTH, "evaluation.holdout_fraction=0.01"]);
    assert_eq!(none.status.code(), Some(4));
    let few = train(folder.path(), "few", &[IMAGES[0], "dataset.label_fraction=0.01", "train.stage=finetune"]);
    assert_eq!(few.status.code(), Some(4));
    let nothing = ["evaluation.linear=false", "evaluation.mlp=false", "evaluation.collapse=true", TENTH];
    let pointless = train(folder.path(), "pointless", &nothing);
    assert_eq!(pointless.status.code(), Some(2));
    insta::assert_snapshot!([none, few, pointless].map(|output| errors(&output, folder.path())).join("\n"));
}

#[test]
fn a_run_goes_on_with_the_labels_that_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    let names = names_of_tenth();
    fs::write(folder.path().join("names.txt"), names.join("\n")).unwrap();
    assert_ok(&train(folder.path(), "run", &[IMAGES[0], "dataset.label_list=names.txt"]));
    let resume = |more: &[&str]| run(folder.path(), &[&["train", "--resume", "runs/run"], more].concat());
    let other = resume(&["--set", "dataset.label_list=other.txt"]);
    assert_eq!(other.status.code(), Some(5));
    fs::write(folder.path().join("names.txt"), names[1..].join("\n")).unwrap();
    let edited = resume(&[]);
    assert_eq!(edited.status.code(), Some(5));
    insta::assert_snapshot!([other, edited].map(|output| errors(&output, folder.path())).join("\n"));
    assert_ok(&resume(&["--set", "train.steps=15", "--override", "dataset.label_list"]));
    fs::remove_file(folder.path().join("names.txt")).unwrap();
    let gone = run(folder.path(), &["evaluate", "runs/run", "--out", "out"]);
    assert_eq!(gone.status.code(), Some(4));
    insta::assert_snapshot!("a list that is gone", errors(&gone, folder.path()));
}

/// Two classes of photographs to train and to test on, and an experiment with classifiers.
fn photographs() -> ImageTree {
    let tree = ImageTree::sound(40);
    for image in 0..8 {
        let sound = fs::read(tree.at(ImageTree::name(image))).unwrap();
        tree.put(ImageTree::name(image).replace("train", "test"), &sound);
    }
    tree
}

const LINEAR: [&str; 4] = ["--set", "evaluation.linear=true", "--set", "train.stage=classifiers"];

#[test]
fn names_that_fit_no_image_or_several_are_told() {
    let tree = photographs();
    tree.put("train/b/00.jpg", &fs::read(tree.at(ImageTree::name(1))).unwrap());
    fs::write(tree.path("names.txt"), "00.jpg\nb/01.jpg\n\n02.jpg\n04.jpg\nmissing.jpg\na/01.jpg\n").unwrap();
    let ended = tree.run(&["train"], &[&LINEAR[..], &["--set", "dataset.label_list=names.txt"]].concat());
    assert_eq!(ended.code, 0, "{}", ended.seen());
    assert_eq!(identity(&tree.path("runs/run"))["labels"]["count"], 5);
    insta::assert_snapshot!(ended.err);
    fs::write(tree.path("names.txt"), "n01440764_10026.JPEG\nmissing.jpg\n").unwrap();
    let ended = tree.run(
        &["train"],
        &["--set", "dataset.label_list=names.txt", "--set", "evaluation.linear=true", "--set", "record.name=none"],
    );
    assert_eq!(ended.code, 4, "{}", ended.seen());
    assert!(ended.err.contains("none of the 2 names is one of the training images, such as `n01440764_10026.JPEG`"));
}

#[test]
fn bad_images_do_not_move_the_choice() {
    let mut chosen = BTreeSet::new();
    for bad in [0, 3] {
        let tree = photographs();
        (0..bad).for_each(|n| tree.put(ImageTree::name(n * 7 + 1), b"no image"));
        let skip = ["dataset.on_bad=skip", "dataset.max_bad_fraction=0.2", "dataset.label_fraction=0.5"];
        let more = [&LINEAR[..], &skip.map(|set| ["--set", set]).concat()].concat();
        let ended = tree.run(&["train"], &more);
        assert_eq!(ended.code, 0, "{}", ended.seen());
        let labels = identity(&tree.path("runs/run"))["labels"].clone();
        assert_eq!(labels["count"], 20);
        chosen.insert(labels["sha256"].to_string());
        // Evaluation leaves bad images out, and puts no other in their place.
        assert_ok(&run(&tree.path(""), &["evaluate", "runs/run", "--out", "out"]));
        let rows: Vec<Value> = serde_json::from_slice(&fs::read(tree.path("out/evaluation.json")).unwrap()).unwrap();
        let used = rows[1]["train_images"].as_u64().unwrap();
        assert!((20 - bad as u64..=20).contains(&used), "{used}");
        assert_eq!(rows[0]["train_images"].as_u64(), Some(40 - bad as u64));
    }
    assert_eq!(chosen.len(), 1);
}
