//! Sets of images as real packages write them (`tests/fixtures/datasets/record_datasets.py`): WebDataset's shards, Parquet files,
//! MedMNIST's archives, CIFAR's Python version.

use crate::support::{
    binary::{errors, infomax, run},
    image_tree::open,
    workspace::root,
};
use infomax::dataset::Source;
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command, thread};

fn recorded(name: &str) -> PathBuf {
    root().join("tests/fixtures/datasets").join(name)
}

fn opened(component: &str, config: Value) -> Source {
    open(component, json!({"name": component, "config": config})).unwrap_or_else(|error| panic!("{component}: {error}"))
}

fn refused(component: &str, config: Value) -> String {
    let result = open(component, json!({"name": component, "config": config}));
    result.err().map(|error| error.to_string()).expect("refused")
}

/// Splits with their lengths, their roles, and the names of classes.
type Found = (Vec<(String, u64)>, [Vec<usize>; 3], Vec<String>);

/// Splits by name and length; splits for pretraining, classifiers, tests; names of classes.
fn found(source: &Source) -> Found {
    let facts = source.facts();
    let splits = facts.splits.iter().map(|split| (split.name.clone(), split.length)).collect();
    let roles = [facts.roles.pretrain.clone(), facts.roles.train.clone(), facts.roles.test.clone()];
    (splits, roles, facts.class_names.clone())
}

/// Image i of the recorded ones has one channel of 10·i + 5: red for even, green for odd numbers.
fn is_image(source: &Source, split: usize, index: u64, number: u8, label: i64) {
    let pixels = source.read(split, index).unwrap().unwrap_or_else(|bad| panic!("{}: {}", bad.place, bad.reason));
    let channel = usize::from(number % 2);
    let own = pixels.pixels[channel];
    assert!(own.abs_diff(10 * number + 5) <= 3, "image {number} has {own} at {}", source.locate(split, index));
    assert_eq!(pixels.label, label, "image {number}");
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

fn splits(list: &[(&str, u64)]) -> Vec<(String, u64)> {
    list.iter().map(|&(name, length)| (name.to_owned(), length)).collect()
}

#[test]
fn webdatasets_shards_are_read_where_they_lie_in_any_order() {
    let source = opened("webdataset", json!({"root": recorded("webdataset")}));
    let (parts, roles, classes) = found(&source);
    assert_eq!(parts, splits(&[("train", 5), ("val", 2)]));
    assert_eq!((roles, classes), ([vec![0], vec![0], vec![1]], names(&["0", "1"])));
    for number in [4u8, 0, 3, 1, 2] {
        is_image(&source, 0, u64::from(number), number, i64::from(number % 2));
    }
    (5..7u8).for_each(|number| is_image(&source, 1, u64::from(number - 5), number, i64::from(number % 2)));
    assert!(source.locate(0, 4).ends_with("/0004") && source.locate(0, 4).contains("train-000001.tar/a-folder-whose"));
    // The label in the name; one shard as the root.
    for place in ["webdataset-names", "webdataset-names/shard.tar"] {
        let source = opened("webdataset", json!({"root": recorded(place)}));
        assert_eq!(found(&source).2, names(&["green", "red"]));
        is_image(&source, 0, 1, 1, 0);
        is_image(&source, 0, 2, 2, 1);
    }
    let named = opened("webdataset", json!({"root": recorded("webdataset"), "train": "val"}));
    assert_eq!(found(&named).0, splits(&[("train", 2)]));
}

#[test]
fn a_cut_shard_and_what_is_no_shard_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(recorded("webdataset/train-000000.tar")).unwrap();
    let shard = folder.path().join("train-0.tar");
    let config = json!({"root": folder.path()});
    for length in [0, 100, 512, 1700, 2048, 4096, whole.len() / 2] {
        fs::write(&shard, &whole[..length]).unwrap();
        if whole[length.saturating_sub(1024)..length].iter().all(|&byte| byte == 0) && length > 1024 {
            continue; // behind the end mark, where writers fill up
        }
        let message = refused("webdataset", config.clone());
        assert!(message.contains("train-0.tar` can't be read as a tar archive"), "{length}: {message}");
    }
    fs::write(&shard, b"no tar archive at all, but a text").unwrap();
    assert!(refused("webdataset", config.clone()).contains("can't be read as a tar archive"));
    fs::remove_file(&shard).unwrap();
    // Compressed shards have no places to read at: they are named with the line that unpacks them, also beside others.
    for (name, line) in [
        ("train-0.tar.gz", "gunzip -k"),
        ("train-0.tgz", "gunzip -k"),
        ("train-0.tar.zst", "zstd -dk"),
        ("train-0.tar.xz", "unxz -k"),
    ] {
        let packed = folder.path().join(name);
        fs::write(&packed, b"").unwrap();
        for beside in [None, Some("train-1.tar")] {
            beside.inspect(|beside| fs::write(folder.path().join(beside), &whole).unwrap());
            for root in [folder.path().to_owned(), packed.clone()] {
                let message = refused("webdataset", json!({"root": root}));
                assert!(message.contains("are compressed") && message.contains(line), "{name}: {message}");
            }
        }
        fs::remove_file(folder.path().join("train-1.tar")).unwrap();
        fs::remove_file(&packed).unwrap();
    }
    // What was unpacked beside its archive counts once.
    fs::write(&shard, &whole).unwrap();
    fs::write(folder.path().join("train-0.tar.gz"), b"").unwrap();
    assert_eq!(found(&opened("webdataset", config)).0, splits(&[("train", 3)]));
}

#[test]
fn parquet_files_are_read_by_row_with_the_names_of_their_classes() {
    let source = opened("parquet", json!({"root": recorded("parquet")}));
    let (parts, roles, classes) = found(&source);
    assert_eq!(parts, splits(&[("train", 5), ("test", 2)]));
    assert_eq!((roles, classes), ([vec![0], vec![0], vec![1]], names(&["red", "green"])));
    // Many threads at once, as loaders read.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    for number in [4u8, 0, 3, 1, 2] {
                        is_image(&source, 0, u64::from(number), number, i64::from(number % 2));
                    }
                }
            });
        }
    });
    (5..7u8).for_each(|number| is_image(&source, 1, u64::from(number - 5), number, i64::from(number % 2)));
    let plain = opened("parquet", json!({"root": recorded("parquet-plain")}));
    assert_eq!(found(&plain).2, names(&["green", "red"]), "texts stand bytewise");
    (0..4u8).for_each(|number| is_image(&plain, 0, u64::from(number), number, i64::from(1 - number % 2)));
    for (config, told) in [
        (
            json!({"root": recorded("parquet"), "image": "photo"}),
            "has no images in a column `photo`; its columns: `image.bytes`",
        ),
        (json!({"root": recorded("parquet"), "label": "name"}), "has no labels in a column `name`"),
        (json!({"root": recorded("webdataset")}), "holds no file `*.parquet`; it holds 3 .tar"),
    ] {
        let message = refused("parquet", config);
        assert!(message.contains(told), "{told}: {message}");
    }
    for compression in ["zstd", "gzip", "brotli", "lz4"] {
        let file = recorded(&format!("parquet-packed/{compression}.parquet"));
        let packed = opened("parquet", json!({"root": file}));
        (0..4u8).for_each(|number| is_image(&packed, 0, u64::from(number), number, i64::from(1 - number % 2)));
    }
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(recorded("parquet/test-00000-of-00001.parquet")).unwrap();
    for length in [0, 3, 8, whole.len() / 2, whole.len() - 1] {
        fs::write(folder.path().join("x.parquet"), &whole[..length]).unwrap();
        let message = refused("parquet", json!({"root": folder.path()}));
        assert!(message.contains("can't be read as a Parquet file"), "{length}: {message}");
    }
}

#[test]
fn medmnists_archives_are_read_in_gray_and_rgb() {
    for (file, rgb) in [("graymnist.npz", false), ("rgbmnist.npz", true)] {
        let source = opened("medmnist", json!({"root": recorded("medmnist"), "file": file}));
        let (parts, roles, classes) = found(&source);
        assert_eq!(parts, splits(&[("train", 5), ("val", 3), ("test", 3)]));
        assert_eq!((roles, classes), ([vec![0], vec![0], vec![2]], names(&["0", "1", "2"])));
        let image = source.read(0, 2).unwrap().unwrap();
        assert_eq!((image.width, image.height, image.label), (6, 6, 2), "{rgb}");
        assert_eq!(image.pixels[..6], [72, 72, 72, 73, 73, 73]);
    }
    let several = opened("medmnist", json!({"root": recorded("medmnist/chestmnist.npz")}));
    assert_eq!(found(&several).1, [vec![0], vec![], vec![]]);
    assert!(several.facts().notes[0].contains("are several an image"), "{:?}", several.facts().notes);
    assert!(
        refused("medmnist", json!({"root": recorded("medmnist")})).contains("holds several sets: `chestmnist.npz`")
    );
}

#[test]
fn cifars_python_version_is_read_with_its_names_and_nothing_in_it_is_executed() {
    let source = opened("cifar10", json!({"root": recorded(""), "allow_subset": true}));
    let (parts, roles, classes) = found(&source);
    assert_eq!(parts, splits(&[("train", 10), ("test", 2)]));
    assert_eq!((roles, classes[9].as_str()), ([vec![0], vec![0], vec![1]], "truck"));
    for batch in 0..5u8 {
        let first = source.read(0, 2 * u64::from(batch)).unwrap().unwrap();
        assert_eq!((first.label, &first.pixels[..3]), (i64::from(batch), &[10 * batch + 1, 0, 0][..]), "batch {batch}");
        let second = source.read(0, 2 * u64::from(batch) + 1).unwrap().unwrap();
        assert_eq!((second.label, &second.pixels[..3]), (9, &[0, 10 * batch + 2, 0][..]), "batch {batch}");
    }
    for (labels, label, name) in [("fine", 93, "fine 93"), ("coarse", 7, "coarse 7")] {
        let source = opened("cifar100", json!({"root": recorded(""), "allow_subset": true, "labels": labels}));
        assert_eq!(source.read(0, 0).unwrap().unwrap().label, label);
        assert_eq!(found(&source).2[label as usize], name);
    }
    // The archive that torchvision fetches, not yet unpacked.
    let archive = tempfile::tempdir().unwrap();
    let file = archive.path().join("cifar-10-python.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("czf").arg(&file).arg("-C").arg(recorded("")).arg("cifar-10-batches-py");
    assert!(tar.status().unwrap().success());
    let unpacked = opened("cifar10", json!({"root": archive.path(), "allow_subset": true}));
    assert_eq!(unpacked.facts().fingerprint, source.facts().fingerprint);
    let whole = refused("cifar10", json!({"root": recorded("")}));
    assert!(
        whole.contains("data_batch_1` can't be read: 2 labels and an array of [2, 3072], expected 10000"),
        "{whole}"
    );
    // A pickle that calls something is refused by what it names; a cut one at every length.
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(recorded("cifar-10-batches-py")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let config = json!({"root": folder.path(), "allow_subset": true});
    let batch = folder.path().join("data_batch_2");
    let bytes = fs::read(&batch).unwrap();
    for length in (0..bytes.len()).step_by(97) {
        fs::write(&batch, &bytes[..length]).unwrap();
        assert!(refused("cifar10", config.clone()).contains("data_batch_2` can't be read"), "{length}");
    }
    let told = folder.path().join("told");
    let call = format!("\x02cposix\nsystem\n(U{}touch {}tR.", '\x20', told.display());
    fs::write(&batch, [b"\x80".as_slice(), call.as_bytes()].concat()).unwrap();
    assert!(refused("cifar10", config).contains("it names `posix.system`, which is no data"));
    assert!(!told.exists());
}

#[test]
fn runs_on_shards_and_tables_go_on_to_the_same_bytes() {
    for component in ["webdataset", "parquet"] {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[dataset]\nname = {component:?}\nconfig = {{ root = {:?} }}\n[augmentation]\nname = \"amdim\"\nconfig = {{ size = 32 }}\n\
             [encoder]\nname = \"amdim\"\nconfig = {{ size = 32, ndf = 4, n_rkhs = 16, depth = 1 }}\n[loss]\nname = \"amdim\"\n\
             [train]\nbatch_size = 2\nthreads = 1\ndevice = \"cpu\"\n[optimizer]\nwarmup_steps = 0\nmilestones = []\n\
             [record]\nplot = false\ncontact_sheet = false\nreport = false\n",
            recorded(component)
        );
        fs::write(folder.path().join("x.toml"), text).unwrap();
        let train = |name: &str, steps: &str, workers: &str| {
            let sets =
                [format!("record.name={name}"), format!("train.steps={steps}"), format!("train.workers={workers}")];
            let sets = sets.iter().flat_map(|set| ["--set", set]);
            let arguments: Vec<&str> = ["train", "x.toml"].into_iter().chain(sets).collect();
            let output = infomax(folder.path(), &arguments).output().unwrap();
            assert!(output.status.success(), "{}", errors(&output, folder.path()));
        };
        train("whole", "6", "0");
        train("parts", "3", "3");
        let resumed = run(folder.path(), &["train", "--resume", "runs/parts", "--set", "train.steps=6"]);
        assert!(resumed.status.success(), "{}", errors(&resumed, folder.path()));
        let encoder = |name: &str| fs::read(folder.path().join(format!("runs/{name}/encoder.safetensors"))).unwrap();
        assert!(encoder("whole") == encoder("parts"), "{component}");
        let out = String::from_utf8(run(folder.path(), &["data", "scan", "x.toml"]).stdout).unwrap();
        assert!(out.starts_with("7 images, 0 bad"), "{out}");
    }
}
