//! Names of classes, paths and numbers of images travel with features, classifiers, reports and evaluations; features that
//! are kept are used again only while the files stay as they are.

use crate::support::{
    ended::{Ended, infomax},
    image_tree::{ImageTree, PHOTOGRAPHS, fixture},
};
use infomax::checkpoint::read_tensors;
use serde_json::Value;
use std::{fs, path::Path};

/// Folders called 0 to 11, of which label 2 is `10`, with two images each to train and one to test on; and a run on them.
fn numbered() -> ImageTree {
    let tree = ImageTree::empty();
    for class in 0..12 {
        for image in 0..2 {
            tree.put(format!("train/{class}/{image}.jpg"), &fixture(PHOTOGRAPHS[(class + image) % 4]));
        }
        tree.put(format!("test/{class}/t.jpg"), &fixture(PHOTOGRAPHS[class % 4]));
    }
    let ended = tree.run(&["train"], &["--set", "evaluation.linear=true", "--set", "evaluation.every_steps=3"]);
    assert_eq!(ended.code, 0, "{}", ended.seen());
    assert!(ended.err.contains("label 2 is class `10`"), "{}", ended.seen());
    tree
}

fn run(tree: &ImageTree, arguments: &[&str]) -> Ended {
    let ended = infomax(&tree.path(""), arguments);
    assert_eq!(ended.code, 0, "{}", ended.seen());
    ended
}

fn list(file: &Path, key: &str) -> Vec<String> {
    let metadata = read_tensors(&fs::read(file).unwrap()).unwrap().metadata;
    serde_json::from_str(&metadata[key]).unwrap_or_else(|error| panic!("{}: {key}: {error}", file.display()))
}

#[test]
fn names_paths_and_numbers_travel_with_features_classifiers_and_reports() {
    let tree = numbered();
    run(&tree, &["embed", "runs/run"]);
    let file = tree.path("runs/run/embedding-test.safetensors");
    let tensors = read_tensors(&fs::read(&file).unwrap()).unwrap().tensors;
    let numbers = |name: &str| Vec::<i64>::try_from(&tensors[name]).unwrap();
    let (names, paths) = (list(&file, "class_names"), list(&file, "paths"));
    assert_eq!((names.len(), names[2].as_str(), paths[2].as_str()), (12, "10", "test/10/t.jpg"));
    for (row, (label, index)) in numbers("labels").into_iter().zip(numbers("indices")).enumerate() {
        assert_eq!(paths[row], format!("test/{}/t.jpg", names[label as usize]));
        assert_eq!(index, row as i64);
    }
    let table = fs::read_to_string(file.with_extension("csv")).unwrap();
    assert!(table.starts_with("row,split,index,path,label,class\r\n"), "{table}");
    assert!(table.contains("\r\n2,test,2,test/10/t.jpg,2,10\r\n"), "{table}");

    // The features that an evaluation keeps, and what it says of every class and every test image.
    run(&tree, &["evaluate", "runs/run"]);
    for kept in fs::read_dir(tree.path("runs/run/features")).unwrap() {
        let kept = kept.unwrap().path();
        assert_eq!(list(&kept, "class_names"), names);
        assert!(list(&kept, "paths").iter().any(|path| path.contains("/10/")));
    }
    let rows: Value = serde_json::from_slice(&fs::read(tree.path("runs/run/evaluation.json")).unwrap()).unwrap();
    let classes = rows[0]["classes"].as_array().unwrap();
    assert_eq!((classes.len(), &classes[2]["class"], &classes[2]["test_images"]), (12, &"10".into(), &1.into()));
    let mean = classes.iter().map(|class| class["linear_top1"].as_f64().unwrap()).sum::<f64>() / 12.0;
    assert!((mean - rows[0]["linear_top1"].as_f64().unwrap()).abs() < 1e-9, "classes of one size average to the whole");
    let images = fs::read_to_string(tree.path("runs/run/evaluation-images.csv")).unwrap();
    let lines: Vec<Vec<&str>> = images.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((lines.len(), &lines[3][4..7]), (13, &["test/10/t.jpg", "2", "10"][..]));
    let right = lines[1..].iter().filter(|line| line[6] == line[7]).count() as f64;
    assert!((100.0 * right / 12.0 - rows[0]["linear_top1"].as_f64().unwrap()).abs() < 1e-9);

    // Classifiers, alone and in a file, and the page.
    for layout in ["infomax", "published"] {
        let out = format!("{layout}.safetensors");
        run(&tree, &["checkpoint", "export", "runs/run", "--layout", layout, "--out", &out]);
        assert_eq!(list(&tree.path(&out), "class_names"), names);
    }
    let page = fs::read_to_string(tree.path("runs/run/report.html")).unwrap();
    assert!(page.contains("0 0, 1 1, 2 10, 3 11, 4 2"), "labels stand beside the names");
}

#[test]
fn kept_features_are_told_and_taken_anew_when_files_of_the_same_names_and_sizes_change() {
    let tree = numbered();
    let evaluate = |more: &[&str]| {
        let ended = run(&tree, &[&["evaluate", "runs/run", "--out", "out"], more].concat());
        let rows: Value = serde_json::from_slice(&fs::read(tree.path("out/evaluation.json")).unwrap()).unwrap();
        (ended.err.matches("features kept before are used").count(), rows[0]["rankme"].as_f64().unwrap())
    };
    let (kept, first) = evaluate(&[]);
    assert_eq!((kept, evaluate(&[])), (0, (2, first)));
    assert_eq!(evaluate(&["--fresh"]), (0, first));
    // A file that was written anew with the same bytes is the same; other bytes of the same number are not.
    let path = tree.at("test/0/t.jpg");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes).unwrap();
    assert_eq!(evaluate(&[]), (2, first));
    let mut other = fixture("gray.jpg");
    other.resize(bytes.len().max(other.len()), 0); // behind the end of the image
    fs::write(&path, &bytes[..]).unwrap();
    let padded = |bytes: &[u8], length: usize| [bytes, &vec![0; length - bytes.len()]].concat();
    let length = bytes.len().max(other.len());
    fs::write(&path, padded(&bytes, length)).unwrap();
    let (_, before) = evaluate(&[]);
    fs::write(&path, padded(&fixture("gray.jpg"), length)).unwrap();
    let (kept, after) = evaluate(&[]);
    assert!(kept == 0 && before != after, "{kept} kept; {before} then, {after} now");
    // As pixels are read otherwise, so are features.
    assert_eq!(evaluate(&["--set", "dataset.gray16=saturate"]).0, 0);
}

#[test]
fn a_list_of_labels_that_lacks_a_class_is_told() {
    let tree = numbered();
    fs::write(tree.path("names.txt"), "0/0.jpg\n0/1.jpg\n1/0.jpg\n10/0.jpg\n").unwrap();
    let told = "names.txt: no label of 9 of 12 classes is listed: `11`, `2`, `3`";
    let ended = run(&tree, &["evaluate", "runs/run", "--label-list", "names.txt", "--out", "out"]);
    assert!(ended.err.contains(told), "{}", ended.seen());
    let list = ["--set", "dataset.label_list=names.txt", "--set", "evaluation.linear=true", "--set", "record.name=few"];
    let ended = tree.run(&["train"], &[&list[..], &["--set", "train.stage=classifiers"]].concat());
    assert!(ended.code == 0 && ended.err.matches(told).count() == 1, "{}", ended.seen());
}
