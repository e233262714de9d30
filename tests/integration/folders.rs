//! Folders of images as people have them: what is found, what is passed over, and that it is told.

use crate::support::{
    ended::{Ended, infomax},
    image_tree::{ImageTree, fixture},
    workspace::root,
};
use infomax::dataset::Source;
use serde_json::{Value, json};
use std::fs;

/// A tree with one image under each name.
fn tree(files: &[&str]) -> ImageTree {
    let tree = ImageTree::empty();
    files.iter().for_each(|file| tree.put(file, &fixture("baseline.jpg")));
    tree
}

/// Splits by name and length, and which serve pretraining, classifiers and tests.
fn found(source: &Source) -> (Vec<(String, u64)>, [Vec<usize>; 3]) {
    let facts = source.facts();
    let splits = facts.splits.iter().map(|split| (split.name.clone(), split.length)).collect();
    (splits, [facts.roles.pretrain.clone(), facts.roles.train.clone(), facts.roles.test.clone()])
}

fn opened(files: &[&str], config: Value) -> (ImageTree, Source) {
    let tree = tree(files);
    let source = tree.open(json!({"config": config})).unwrap_or_else(|error| panic!("{files:?}: {error}"));
    (tree, source)
}

fn scanned(tree: &ImageTree, more: &[&str]) -> Ended {
    tree.run(&["data", "scan"], more)
}

#[test]
fn what_systems_leave_behind_and_what_is_no_image_is_passed_over_and_told() {
    let tree = ImageTree::sound(8);
    let image = fixture("baseline.jpg");
    for junk in [
        "train/a/@eaDir/00.jpg/SYNOPHOTO_THUMB_M.jpg",
        "train/@eaDir/x.jpg",
        "train/a/.ipynb_checkpoints/00-checkpoint.jpg",
        "train/.thumbnails/1.jpg",
        "train/b/__MACOSX/1.jpg",
        "train/b/._01.jpg",
        "train/loose.jpg",
        "train/b/x.avif",
        "train/b/y.avif",
        "train/b/notes.txt",
        "__MACOSX/train/a/1.jpg",
    ] {
        tree.put(junk, &image);
    }
    let ended = scanned(&tree, &[]);
    assert!(ended.code == 0 && ended.out.starts_with("8 images, 0 bad"), "{}", ended.seen());
    for told in [
        "data: train 8 images (pretraining, classifiers); 2 classes",
        "1 (an image beside the class folders, of no class), first `tree/train/loose.jpg`",
        "5 (a system's or program's own folder), first `tree/train/.thumbnails`",
        "1 (hidden, or a program's own), first `tree/train/b/._01.jpg`",
        "2 (`.avif`, which is not read: convert them",
        "1 (no image by its name: `.txt`)",
    ] {
        assert!(ended.err.contains(told), "{told}\n{}", ended.seen());
    }
    let training = tree.run(&["train"], &[]);
    assert!(training.code == 0 && training.err.contains("first `tree/train/loose.jpg`"), "{}", training.seen());
}

#[test]
fn splits_are_found_under_the_names_that_people_give_them() {
    let classes = |split: &str| [format!("{split}/a/1.jpg"), format!("{split}/b/1.jpg")];
    for (train, test, name) in [
        ("Train", "Test", "test"),
        ("training", "testing", "test"),
        ("TRAIN", "VALID", "val"),
        ("train", "validation", "val"),
        ("train_256", "val_256", "val"),
        ("data_train", "data_eval", "test"),
        ("imagenet-train", "imagenet-val", "val"),
        ("train", "dev", "val"),
    ] {
        let files = [classes(train), classes(test)].concat();
        let (_tree, source) = opened(&files.iter().map(String::as_str).collect::<Vec<_>>(), json!({}));
        let (splits, roles) = found(&source);
        assert_eq!(splits, [("train".to_owned(), 2), (name.to_owned(), 2)], "{train}, {test}");
        assert_eq!(roles, [vec![0], vec![0], vec![1]], "{train}, {test}");
        assert_eq!(source.facts().class_names, ["a", "b"]);
    }
    // Several training folders, each with classes of its own, and one in two.
    let files = [
        "train.X1/a/1.jpg",
        "train.X2/b/1.jpg",
        "train.X3/c/1.jpg",
        "train.X3/a/2.jpg",
        "val.X/a/1.jpg",
        "val.X/b/1.jpg",
        "val.X/c/1.jpg",
    ];
    let (_tree, source) = opened(&files, json!({}));
    assert_eq!(found(&source).0, [("train".to_owned(), 4), ("val".to_owned(), 3)]);
    assert_eq!(source.facts().class_names, ["a", "b", "c"]);
    let places: Vec<String> = (0..4).map(|index| source.locate(0, index)).collect();
    assert!(places[0].ends_with("train.X1/a/1.jpg") && places[1].ends_with("train.X3/a/2.jpg"), "{places:?}");
    // Names that only contain such a word are classes, and so is a class of trains.
    for files in [
        ["bullet_train/1.jpg", "car/1.jpg", "test_tube/1.jpg"].as_slice(),
        &["train/1.jpg", "car/1.jpg", "plane/1.jpg"],
    ] {
        let result = tree(files).open(json!({}));
        match result {
            Ok(source) => assert_eq!(source.facts().class_names.len(), 3, "{files:?}"),
            Err(error) => assert!(error.to_string().contains("look like splits"), "{files:?}: {error}"),
        }
    }
}

#[test]
fn of_val_and_test_the_one_with_labels_tests_and_it_is_told() {
    let both = ["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/b/1.jpg"];
    let tree = tree(&[&both[..], &["test/a/1.jpg", "test/b/1.jpg"]].concat());
    let ended = scanned(&tree, &[]);
    assert!(ended.code == 0, "{}", ended.seen());
    assert!(ended.err.contains("test 2 images (tests); val 2 images without labels (not used)"), "{}", ended.seen());
    assert!(ended.err.contains("`val` is kept apart; `dataset.config.test = \"val\"` tests on it"), "{}", ended.seen());
    let named = tree.open(json!({"config": {"test": "val"}})).unwrap();
    assert_eq!(found(&named).1[2], [1]);
    // A flat test split has no labels, whatever else there is.
    for flat in [["test/1.jpg", "test/2.jpg"], ["test/test/1.jpg", "test/test/2.jpg"]] {
        let (_tree, source) = opened(&[&both[..], &flat].concat(), json!({}));
        let (splits, roles) = found(&source);
        assert_eq!(splits, [("train".to_owned(), 2), ("test".to_owned(), 2), ("val".to_owned(), 2)]);
        assert_eq!(roles, [vec![0], vec![0], vec![2]], "{flat:?}");
    }
    let (_tree, source) = opened(&["train/a/1.jpg", "train/b/1.jpg", "test/1.jpg"], json!({}));
    assert_eq!(found(&source).1, [vec![0], vec![0], vec![]]);
}

#[test]
fn class_folders_that_look_like_splits_are_refused_with_the_settings() {
    let tree = tree(&["train_images/1.jpg", "test_images/1.jpg"]);
    let ended = scanned(&tree, &[]);
    assert_eq!(ended.code, 4, "{}", ended.seen());
    assert!(
        ended.err.contains("class folders in `tree` look like splits: `train_images`, `test_images`"),
        "{}",
        ended.seen()
    );
    assert!(ended.err.contains("`dataset.config.layout = \"classes\"`"), "{}", ended.seen());
    let classes = tree.open(json!({"config": {"layout": "classes"}})).unwrap();
    assert_eq!(classes.facts().class_names, ["test_images", "train_images"]);
    let named = tree.open(json!({"config": {"train": "train_images"}})).unwrap();
    assert_eq!(found(&named).1, [vec![0], vec![], vec![]]);
    // Splits inside what would be classes.
    let inside = self::tree(&["images/train/1.jpg", "images/val/1.jpg", "masks/train/1.png", "masks/val/1.png"]);
    let ended = scanned(&inside, &[]);
    assert!(
        ended.code == 4 && ended.err.contains("`tree/images` would be a class, but it holds splits: `train`, `val`"),
        "{}",
        ended.seen()
    );
    // One level too high: the hint says how deep.
    let deep = self::tree(&["archive/train/a/1.jpg", "archive/test/a/1.jpg"]);
    let ended = scanned(&deep, &[]);
    assert!(ended.code == 4 && ended.err.contains("set `root` to `tree/archive`"), "{}", ended.seen());
}

#[test]
fn images_without_labels_are_found_by_themselves_and_train_an_encoder() {
    for (files, config, count) in [
        (&["1.jpg", "2.jpg", "3.jpg", "4.jpg"][..], json!({}), 4),
        (&["2024/01/1.jpg", "2024/02/2.jpg", "2025/3.jpg", "4.jpg"], json!({"layout": "unlabelled"}), 4),
        (&["train/1.jpg", "train/2.jpg", "test/1.jpg"], json!({}), 2),
        (&["train/x/1.jpg", "train/y/2.jpg", "test/1.jpg"], json!({"layout": "unlabelled"}), 2),
    ] {
        let (_tree, source) = opened(files, config.clone());
        let facts = source.facts();
        assert_eq!((facts.splits[0].length, facts.splits[0].labelled), (count, false), "{files:?}");
        assert_eq!(found(&source).1, [vec![0], vec![], vec![]], "{files:?} {config}");
        assert!(facts.class_names.is_empty());
        assert_eq!(source.read(0, 0).unwrap().unwrap().label, -1);
    }
    let tree = tree(&["1.jpg", "2.jpg", "3.jpg", "4.jpg"]);
    let ended = tree.run(&["train"], &[]);
    assert_eq!(ended.code, 0, "{}", ended.seen());
    for told in [
        "`tree` holds images and no class folders: they have no labels",
        "train 4 images without labels",
        "no labelled images to test on",
    ] {
        assert!(ended.err.contains(told), "{told}: {}", ended.seen());
    }
    // Their features are taken all the same, where they are asked for.
    let none = infomax(&tree.path(""), &["embed", "runs/run"]);
    assert!(none.code == 4 && none.err.contains("`--split pretrain`"), "{}", none.seen());
    let all = infomax(&tree.path(""), &["embed", "runs/run", "--split", "pretrain", "--map", "map.png"]);
    assert!(all.code == 0 && all.out.contains("4 features of"), "{}", all.seen());
    let table = fs::read_to_string(tree.path("runs/run/embedding-pretrain.csv")).unwrap();
    assert!(table.contains("0,train,0,1.jpg,-1,,"), "{table}");
}

#[test]
fn labels_for_classifiers_may_come_from_another_folder() {
    let tree = ImageTree::empty();
    let image = fixture("baseline.jpg");
    (0..6).for_each(|n| tree.put(format!("photos/{n}.jpg"), &image));
    for split in ["train", "test"] {
        for n in 0..4 {
            tree.put(format!("known/{split}/{}/{n}.jpg", ["a", "b"][n % 2]), &image);
        }
    }
    let config = json!({"root": tree.at("photos"), "labelled": tree.at("known")});
    let source = tree.open(json!({"config": config})).unwrap();
    let (splits, roles) = found(&source);
    assert_eq!(splits, [("train".to_owned(), 4), ("test".to_owned(), 4), ("unlabelled".to_owned(), 6)]);
    assert_eq!(roles, [vec![0, 2], vec![0], vec![1]]);
    tree.experiment("tree/photos");
    let ended = tree.run(
        &["train"],
        &[
            "--set",
            "dataset.config.labelled=tree/known",
            "--set",
            "evaluation.linear=true",
            "--set",
            "evaluation.knn=true",
        ],
    );
    assert!(ended.code == 0 && ended.out.contains("knn_top1"), "{}", ended.seen());
}

#[test]
fn lists_name_images_with_and_without_labels() {
    let images = ["x/1.jpg", "x/2 of two.jpg", "y/3.jpg", "y/4.jpg", "z/5.png"];
    for (list, names, labels) in [
        ("x/1.jpg\nx/2 of two.jpg\ny/3.jpg\n", vec![], vec![-1, -1, -1]),
        ("x/1.jpg 10\nx/2 of two.jpg 2\ny/3.jpg 0\n", vec!["0", "2", "10"], vec![2, 1, 0]),
        ("path,label\nx/1.jpg,cat\n\"x/2 of two.jpg\",dog\ny/3.jpg,cat\n", vec!["cat", "dog"], vec![0, 1, 0]),
        ("\u{feff}x/1.jpg\tcat\ny/3.jpg\tdog\n", vec!["cat", "dog"], vec![0, 1]),
        ("id,breed\nx/1,pug\ny/4,basset\nz/5,pug\n", vec!["basset", "pug"], vec![1, 0, 1]),
        ("filename,width,class\r\ny/3.jpg,20,b\r\ny/4.jpg,20,a\r\n", vec!["a", "b"], vec![1, 0]),
    ] {
        let tree = tree(&images);
        tree.put("train.list", list.as_bytes());
        let source = tree.open(json!({"config": {"train_list": tree.at("train.list")}})).unwrap();
        assert_eq!(source.facts().class_names, names, "{list}");
        let read: Vec<i64> =
            (0..source.facts().splits[0].length).map(|i| source.read(0, i).unwrap().unwrap().label).collect();
        assert_eq!(read, labels, "{list}");
    }
    let tree = tree(&images);
    tree.put("train.csv", b"path,label\nx/1.jpg,a\ny/3.jpg,b\nx/gone.jpg,a\nx/1.jpg,a\n");
    tree.put("test.csv", b"path,label\ny/4.jpg,b\nx/2 of two.jpg,a\n");
    let lists =
        ["--set", "dataset.config.train_list=tree/train.csv", "--set", "dataset.config.test_list=tree/test.csv"];
    let ended = scanned(&tree, &lists);
    assert!(ended.code == 0 && ended.out.starts_with("4 images"), "{}", ended.seen());
    for told in [
        "1 (named in the list, but not there), first `x/gone.jpg`",
        "1 (named in the list once more)",
        "test 2 images (tests); 2 classes",
    ] {
        assert!(ended.err.contains(told), "{told}: {}", ended.seen());
    }
    for (text, told) in [
        ("path,label\nx/1.jpg,a\ny/3.jpg,\n", "tree/train.csv:3: `y/3.jpg` has no label, 1 others have one"),
        ("nowhere.jpg\n", "none of the 1 images that `tree/train.csv` names is there"),
        ("", "the list `tree/train.csv` is empty"),
        ("path,weight\nx/1.jpg,1\n", "has no column of labels"),
    ] {
        tree.put("train.csv", text.as_bytes());
        let ended = scanned(&tree, &lists[..2]);
        assert!(ended.code == 4 && ended.err.contains(told), "{told}: {}", ended.seen());
    }
}

#[test]
fn no_image_at_all_is_never_a_success() {
    let allow = ["--set", "dataset.config.allow_empty_classes=true"];
    for (files, told) in [
        (&["train/a/1.avif", "train/b/2.avif"][..], "2 (`.avif`, which is not read: convert them"),
        (&["train/a/notes.txt", "train/b/c.mp4"], "no image by its name: `.mp4`"),
        (&["images.zip"], "archives: `images.zip`"),
        (&["1.heic"], "`.heic`, which is not read"),
    ] {
        let tree = tree(files);
        for more in [&[][..], &allow] {
            for command in [&["data", "scan"][..], &["train"], &["data", "preview"]] {
                let ended = tree.run(command, more);
                assert!(ended.code == 4 && ended.err.contains(told), "{command:?}: {told}: {}", ended.seen());
            }
        }
    }
    for (file, told) in [
        ("shard.tar", "is a tar archive, not a folder"),
        ("train-00000.parquet", "is a Parquet file, not a folder"),
        ("data.zip", "is an archive, not a folder"),
        ("pathmnist.npz", "is a NumPy archive, not a folder"),
        ("list.txt", "is a text file, not a folder"),
    ] {
        let tree = tree(&[file]);
        tree.experiment(&format!("tree/{file}"));
        let ended = scanned(&tree, &[]);
        assert!(ended.code == 4 && ended.err.contains(told) && ended.err.contains("hint:"), "{}", ended.seen());
    }
}

#[test]
fn every_extension_of_a_format_that_is_read_counts() {
    let tree = ImageTree::empty();
    for (n, (from, extension)) in [
        ("baseline.jpg", "jpe"),
        ("baseline.jpg", "JPEG"),
        ("rgb.tif", "tif"),
        ("lzw.tif", "TIFF"),
        ("rgb.ppm", "ppm"),
        ("gray.pgm", "pgm"),
        ("one_bit.pbm", "pbm"),
        ("565.bmp", "dib"),
    ]
    .into_iter()
    .enumerate()
    {
        tree.put(format!("train/{}/{n}.{extension}", ["a", "b"][n % 2]), &fixture(from));
    }
    let ended = scanned(&tree, &[]);
    assert!(ended.code == 0 && ended.out.starts_with("8 images, 0 bad"), "{}", ended.seen());
}

#[test]
fn published_layouts_are_known_with_the_labels_of_their_lists() {
    let image = fixture("baseline.jpg");
    let labels = |source: &Source, split: usize| -> Vec<i64> {
        (0..source.facts().splits[split].length).map(|i| source.read(split, i).unwrap().unwrap().label).collect()
    };
    // Tiny-ImageNet-200.
    let tiny = tree(&[
        "train/n01/images/n01_0.JPEG",
        "train/n02/images/n02_0.JPEG",
        "val/images/val_0.JPEG",
        "val/images/val_1.JPEG",
        "test/images/test_0.JPEG",
    ]);
    tiny.put("wnids.txt", b"n01\nn02\n");
    tiny.put("train/n01/n01_boxes.txt", b"n01_0.JPEG\t0\t0\t1\t1\n");
    tiny.put("val/val_annotations.txt", b"val_0.JPEG\tn02\t0\t32\t44\t62\nval_1.JPEG\tn01\t1\t2\t3\t4\n");
    let source = tiny.open(json!({})).unwrap();
    assert_eq!(found(&source).1, [vec![0], vec![0], vec![2]]);
    assert_eq!(
        (source.facts().class_names.clone(), labels(&source, 2)),
        (vec!["n01".to_owned(), "n02".to_owned()], vec![1, 0])
    );
    assert!(source.facts().notes.iter().any(|note| note.contains("val_annotations.txt")), "{:?}", source.facts().notes);

    // Kaggle's ImageNet, from the folder that the archive makes and from the one that holds the splits.
    let below = "ILSVRC/Data/CLS-LOC";
    let kaggle = ImageTree::empty();
    for file in [
        "train/n01440764/n01440764_1.JPEG",
        "train/n01443537/n01443537_1.JPEG",
        "val/ILSVRC2012_val_00000001.JPEG",
        "val/ILSVRC2012_val_00000002.JPEG",
        "test/ILSVRC2012_test_00000001.JPEG",
    ] {
        kaggle.put(format!("{below}/{file}"), &image);
    }
    kaggle.put(
        "LOC_val_solution.csv",
        b"ImageId,PredictionString\nILSVRC2012_val_00000001,n01443537 85 1 499 272 \n\
        ILSVRC2012_val_00000002,n01440764 1 1 2 2 n01440764 5 5 9 9 \n",
    );
    for root in [kaggle.at(""), kaggle.at(below)] {
        let source = kaggle.open(json!({"config": {"root": root}})).unwrap();
        let (splits, roles) = found(&source);
        assert_eq!(splits, [("train".to_owned(), 2), ("test".to_owned(), 1), ("val".to_owned(), 2)]);
        assert_eq!((roles, labels(&source, 2)), ([vec![0], vec![0], vec![2]], vec![1, 0]));
    }

    // ImageNet with its own development kit, unpacked or as its archive, and nothing else that has labels.
    let devkit = |file: &str| fs::read(root().join("tests/fixtures/datasets/devkit").join(file)).unwrap();
    let (meta, truth) = ("meta.mat", "ILSVRC2012_validation_ground_truth.txt");
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for file in [meta, truth] {
        let mut header = tar::Header::new_gnu();
        let bytes = devkit(file);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("ILSVRC2012_devkit_t12/data/{file}"), bytes.as_slice()).unwrap();
    }
    let archive = archive.into_inner().unwrap().finish().unwrap();
    for packed in [false, true] {
        let imagenet = tree(&[
            "train/n01440764/1.JPEG",
            "train/n01443537/1.JPEG",
            "train/n01484850/1.JPEG",
            "val/ILSVRC2012_val_00000001.JPEG",
            "val/ILSVRC2012_val_00000002.JPEG",
            "val/ILSVRC2012_val_00000003.JPEG",
            "val/ILSVRC2012_val_00000004.JPEG",
        ]);
        if packed {
            imagenet.put("ILSVRC2012_devkit_t12.tar.gz", &archive);
        } else {
            for file in [meta, truth] {
                imagenet.put(format!("ILSVRC2012_devkit_t12/data/{file}"), &devkit(file));
            }
        }
        let source = imagenet.open(json!({})).unwrap();
        assert_eq!(found(&source).1, [vec![0], vec![0], vec![1]], "{packed}");
        assert_eq!(labels(&source, 1), [1, 0, 2, 1], "the kit's numbers are not the order of the folders");
        if !packed {
            imagenet.put(format!("ILSVRC2012_devkit_t12/data/{truth}"), b"3\n2\n7\n3\n");
            let message = imagenet.open(json!({})).err().unwrap().to_string();
            assert!(message.contains("line 3: `7` is the number of none of 4 classes"), "{message}");
        }
    }

    // Places365 as torchvision keeps it.
    let places = tree(&[
        "data_256_standard/a/airfield/1.jpg",
        "data_256_standard/b/bar/1.jpg",
        "val_256/Places365_val_1.jpg",
        "val_256/Places365_val_2.jpg",
    ]);
    places.put("categories_places365.txt", b"/a/airfield 0\n/b/bar 1\n");
    places.put("places365_train_standard.txt", b"/a/airfield/1.jpg 0\n/b/bar/1.jpg 1\n");
    places.put("places365_val.txt", b"Places365_val_1.jpg 1\nPlaces365_val_2.jpg 0\n");
    let source = places.open(json!({})).unwrap();
    assert_eq!(source.facts().class_names, ["a/airfield", "b/bar"]);
    assert_eq!((labels(&source, 0), labels(&source, 1)), (vec![0, 1], vec![1, 0]));

    // torchvision's ImageNet, unpacked: archives and its own file beside the splits.
    let torchvision = tree(&[
        "train/n01/1.JPEG",
        "train/n02/1.JPEG",
        "val/n01/1.JPEG",
        "val/n02/1.JPEG",
        "ILSVRC2012_img_val.tar",
        "ILSVRC2012_devkit_t12.tar.gz",
        "meta.bin",
    ]);
    assert_eq!(found(&torchvision.open(json!({})).unwrap()).1, [vec![0], vec![0], vec![1]]);
}
