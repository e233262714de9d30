//! Looking at finished encoders: `infomax evaluate` and `infomax embed`, through the real binary; and scikit-learn's word on them.

use crate::{
    records::page::{page, text},
    support::{
        binary::{errors, run},
        image_tree::ImageTree,
        python::python_with,
        workspace::root,
    },
    training::{assert_ok, train},
};
use infomax::{
    checkpoint::{read_tensors, write_tensors},
    evaluator::{LogisticRegression, Samples},
};
use serde_json::Value;
use std::{
    collections::HashMap,
    ffi::OsString,
    fs,
    path::Path,
    process::{Command, Output},
};
use tch::{Kind, Tensor};

const SETTINGS: [&str; 3] = ["dataset.config.train_length=200", "dataset.config.test_length=100", "train.device=cpu"];

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn rows(folder: &Path) -> Vec<Value> {
    serde_json::from_slice(&fs::read(folder.join("evaluation.json")).unwrap()).unwrap()
}

#[test]
fn runs_are_measured_with_shares_of_labels_and_written_three_ways() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        let seed = format!("train.seed={}", name.len() + usize::from(name == "two"));
        assert_ok(&train(folder.path(), name, &[SETTINGS.as_slice(), &[&seed]].concat()));
    }
    let list =
        ["evaluate", "runs/one", "runs/two", "--label-fraction", "0.1", "--label-fraction", "0.5", "--out", "out"];
    let output = run(folder.path(), &list);
    assert_ok(&output);
    let rows = rows(&folder.path().join("out"));
    assert_eq!(rows.len(), 6);
    for (row, labels) in rows.iter().zip(["all", "0.1", "0.5", "all", "0.1", "0.5"]) {
        assert_eq!((row["labels"].as_str(), row["step"].as_u64()), (Some(labels), Some(14)));
        let images = match labels {
            "all" => 200,
            "0.1" => 20,
            _ => 100,
        };
        assert_eq!((row["train_images"].as_i64(), row["test_images"].as_i64()), (Some(images), Some(100)));
        for name in ["linear_top1", "knn_top1", "rankme"] {
            let value = row[name].as_f64().unwrap();
            assert!((0.0..=100.0).contains(&value), "{name}: {value}");
        }
    }
    let csv = fs::read_to_string(folder.path().join("out/evaluation.csv")).unwrap();
    assert_eq!(csv.lines().count(), 7);
    assert!(csv.starts_with("run,step,dataset,labels,train_images,"));
    let text = out(&output);
    assert!(text.lines().next().unwrap().starts_with("run       step  dataset  labels"), "{text}");

    // A second time from the features that were kept, to the same numbers; damaged ones are taken anew.
    let features = folder.path().join("runs/one/features");
    let kept: Vec<_> = fs::read_dir(&features).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 2);
    fs::write(&kept[0], b"damaged").unwrap();
    assert_ok(&run(folder.path(), &["evaluate", "runs/one"]));
    // Of several runs each keeps its own, and the working directory none.
    assert_ok(&run(folder.path(), &["evaluate", "runs/one", "runs/two"]));
    for name in ["runs/one", "runs/two"] {
        let own = self::rows(&folder.path().join(name));
        assert!(!own.is_empty() && own.iter().all(|row| row["run"] == name), "{own:?}");
    }
    assert!(!folder.path().join("evaluation.json").exists());
    let again = self::rows(&folder.path().join("runs/one"));
    assert_eq!(again[0], rows[0]);
    assert!(fs::metadata(&kept[0]).unwrap().len() > 100, "they were taken anew");
}

#[test]
fn an_encoder_is_judged_on_other_data_and_at_another_step() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &SETTINGS));
    // Other data: the same component under other settings, in a file of its own.
    let other = "[dataset]\nname = \"shapes\"\nconfig = { train_length = 80, test_length = 40, seed = 9 }\n";
    fs::write(folder.path().join("other.toml"), other).unwrap();
    assert_ok(&run(folder.path(), &["evaluate", "runs/run", "--dataset", "other.toml", "--checkpoint", "8"]));
    let row = &rows(&folder.path().join("runs/run"))[0];
    assert_eq!((row["train_images"].as_i64(), row["step"].as_u64()), (Some(80), Some(8)));

    // A damaged checkpoint is passed over; one that is asked for is refused.
    let newest = folder.path().join("runs/run/checkpoints/step-000000014");
    fs::write(newest.join("encoder.safetensors"), b"damaged").unwrap();
    let output = run(folder.path(), &["evaluate", "runs/run"]);
    assert_ok(&output);
    assert!(errors(&output, folder.path()).contains("checkpoint passed over"));
    assert_eq!(rows(&folder.path().join("runs/run"))[0]["step"], 12);
    for (arguments, code) in [
        (vec!["evaluate", "runs/run", "--checkpoint", "14"], 5),
        (vec!["evaluate", "runs/run", "--checkpoint", "best"], 5),
        (vec!["evaluate", "runs"], 2),
        (vec!["evaluate", "runs/run", "--set", "evaluation.knn=false", "--set", "evaluation.knn_k=20"], 2),
        (vec!["evaluate", "runs/run", "--k", "0"], 2),
        (vec!["evaluate", "runs/run", "--label-fraction", "2"], 2),
        (vec!["evaluate", "runs/run", "--checkpoint", "newest"], 2),
    ] {
        let output = run(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", errors(&output, folder.path()));
    }
    // Of a step that has none those that there are are named.
    let output = run(folder.path(), &["evaluate", "runs/run", "--checkpoint", "5"]);
    let told = errors(&output, folder.path());
    assert_eq!(output.status.code(), Some(5), "{told}");
    let expected =
        "`runs/run` has no checkpoint of step 5\nhint: there are those of steps 4, 8, 12, 14; or say `last` or `best`";
    assert!(told.contains(expected), "{told}");
    // What is wrong with a setting is said, not that other builds lie beside the run's.
    let output = run(folder.path(), &["evaluate", "runs/run", "--set", "optimizer.momentum=0.5"]);
    assert!(errors(&output, folder.path()).contains("`optimizer.momentum` has no effect"));
    // Neighbours vote in any case, so that their number is followed, whatever the run itself measured.
    let mut with_k = Vec::new();
    for k in [
        &["--k", "3"][..],
        &["--set", "evaluation.knn_k=3"],
        &["--set", "evaluation.knn=true", "--set", "evaluation.knn_k=3"],
        &["--k", "200"],
    ] {
        assert_ok(&run(folder.path(), &[&["evaluate", "runs/run"], k].concat()));
        with_k.push(rows(&folder.path().join("runs/run"))[0]["knn_top1"].as_f64().unwrap());
    }
    assert!(with_k[0] == with_k[1] && with_k[1] == with_k[2] && with_k[2] != with_k[3], "{with_k:?}");
    fs::write(folder.path().join("names.txt"), "nothing.png\n").unwrap();
    let output = run(folder.path(), &["evaluate", "runs/run", "--label-list", "names.txt"]);
    assert_eq!(output.status.code(), Some(4));
    // A kept file's name follows from the whole config, also from keys that are new.
    let mut said = errors(&output, folder.path());
    for name in ["features/train-", "features/test-"] {
        let hash = said.find(name).unwrap() + name.len();
        said.replace_range(hash..hash + 16, "[config]");
    }
    insta::assert_snapshot!(said);
}

/// A folder with `run`, and with photographs of which it knows nothing (another component, other sizes, other classes): `other.toml` names
/// them, so many of which are to test on.
fn run_beside_photographs(tests: usize) -> ImageTree {
    let tree = ImageTree::sound(24);
    for image in 0..tests {
        let sound = fs::read(tree.at(ImageTree::name(image))).unwrap();
        tree.put(ImageTree::name(image).replace("train", "test"), &sound);
    }
    assert_ok(&train(&tree.path(""), "run", &SETTINGS));
    let other = "[dataset]\nname = \"image-folder\"\nconfig = { root = \"tree\" }\n";
    fs::write(tree.path("other.toml"), other).unwrap();
    tree
}

#[test]
fn an_encoder_is_judged_on_another_component() {
    let tree = run_beside_photographs(8);
    let folder = tree.path("");
    assert_ok(&run(&folder, &["evaluate", "runs/run", "--dataset", "other.toml", "--label-fraction", "0.25"]));
    let rows = rows(&tree.path("runs/run"));
    let counts = |name: &str| rows.iter().map(|row| row[name].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!((counts("train_images"), counts("test_images")), (vec![24, 6], vec![8, 8]));
    assert!(rows.iter().all(|row| row["dataset"] == "image-folder"));

    // A list of published form, and data that can't be judged on.
    fs::write(tree.path("names.txt"), "00.jpg\nb/01.jpg\na/02.jpg\n03.jpg\n").unwrap();
    let listed = ["evaluate", "runs/run", "--dataset", "other.toml", "--label-list", "names.txt"];
    assert_ok(&run(&folder, &listed));
    assert_eq!(self::rows(&tree.path("runs/run"))[1]["train_images"], 4);
    fs::remove_dir_all(tree.at("test")).unwrap();
    let no_test = run(&folder, &["evaluate", "runs/run", "--dataset", "other.toml"]);
    fs::remove_dir_all(tree.at("train/b")).unwrap();
    let more = ["--set", "dataset.config.allow_empty_classes=true"];
    let one_class = run(&folder, &[&["evaluate", "runs/run", "--dataset", "other.toml"], &more[..]].concat());
    assert_eq!((no_test.status.code(), one_class.status.code()), (Some(4), Some(4)));
    insta::assert_snapshot!([no_test, one_class].map(|output| errors(&output, &folder)).join("\n"));
}

/// What scikit-learn says of the features in a folder.
fn peer(python: &OsString, folder: &Path, solver: &str) -> Value {
    let script = root().join("tests/integration/evaluation_sklearn.py").display().to_string();
    let output = Command::new(python).args([&script, solver]).current_dir(folder).output().unwrap();
    assert_ok(&output);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Compares the optimum and what it classifies, in percent of at least 1,000 images, for each strength.
fn compare_linear(peer: &Value, [(x, y), (x_test, y_test)]: [&(Tensor, Tensor); 2]) {
    assert!(y_test.numel() >= 1000);
    let samples = Samples::new(x, y, 10).unwrap();
    for fit in peer["linear"].as_array().unwrap() {
        let c = fit["c"].as_f64().unwrap();
        let own = LogisticRegression::fit(&samples, c, 1000, None).unwrap();
        let theirs = fit["objective"].as_f64().unwrap();
        println!("C = {c}: {} iterations, objective {} of {theirs}", own.iterations, own.objective);
        assert!(own.converged, "C = {c}: {} iterations", own.iterations);
        assert!((own.objective / theirs - 1.0).abs() < 1e-4, "C = {c}: {} and {theirs}", own.objective);
        let right = own.classify(x_test).unwrap().eq_tensor(y_test).sum(Kind::Int64).int64_value(&[]);
        let top1 = 100.0 * right as f64 / y_test.numel() as f64;
        let theirs = fit["top1"].as_f64().unwrap();
        assert!((top1 - theirs).abs() <= 0.1 + 1e-9, "C = {c}: {top1} and {theirs}");
    }
}

/// On the same exported features: the objective, the accuracy, and the neighbours' votes.
#[test]
fn scikit_learn_agrees_on_exported_features() {
    let Some(python) = python_with("sklearn, safetensors, numpy") else { return };
    let folder = tempfile::tempdir().unwrap();
    let images = ["dataset.config.train_length=600", "dataset.config.test_length=1000", "train.device=cpu"];
    assert_ok(&train(folder.path(), "run", &images));
    for split in ["train", "test"] {
        let file = format!("{split}.safetensors");
        let output = run(folder.path(), &["embed", "runs/run", "--split", split, "--out", &file, "--map", "map.png"]);
        assert_ok(&output);
    }
    assert!(fs::read(folder.path().join("map.png")).unwrap().starts_with(b"\x89PNG"));
    let read = |split: &str| {
        let bytes = fs::read(folder.path().join(format!("{split}.safetensors"))).unwrap();
        let mut tensors = read_tensors(&bytes).unwrap().tensors;
        (tensors.remove("features").unwrap().to_kind(Kind::Double), tensors.remove("labels").unwrap())
    };
    let (train, test) = (read("train"), read("test"));
    let exported = peer(&python, folder.path(), "lbfgs");
    compare_linear(&exported, [&train, &test]);
    let ((x, y), (x_test, _)) = (&train, &test);
    let neighbours = infomax::evaluator::Neighbours::new(&x.to_kind(Kind::Float), y, 10, 20, 0.1).unwrap();
    let own = Vec::<i64>::try_from(neighbours.classify(&x_test.to_kind(Kind::Float)).unwrap()).unwrap();
    let theirs: Vec<i64> = serde_json::from_value(exported["knn"].clone()).unwrap();
    let differ = own.iter().zip(&theirs).filter(|(a, b)| a != b).count();
    assert!(differ <= 1, "{differ} of {} votes differ, but for ties", own.len());
}

/// Channels of very different scales that hang together, as a representation without a norm has them.
#[test]
fn scikit_learn_agrees_where_features_have_very_different_scales() {
    let Some(python) = python_with("sklearn, safetensors, numpy") else { return };
    let folder = tempfile::tempdir().unwrap();
    tch::manual_seed(11);
    let double = (Kind::Double, tch::Device::Cpu);
    let (centres, mixing) = (Tensor::randn([10, 30], double), Tensor::randn([30, 30], double));
    // From a hundredth to a hundred.
    let scales = (Tensor::linspace(-2.0, 2.0, 30, double) * 10f64.ln()).exp();
    let made = |count: i64| {
        let y = Tensor::arange(count, (Kind::Int64, tch::Device::Cpu)).remainder(10);
        let noise = Tensor::randn([count, 30], double) * 5.0;
        let x = (centres.index_select(0, &y) + noise).matmul(&mixing) * &scales + 100.0;
        (x.to_kind(Kind::Float), y)
    };
    let parts = [("train", made(800)), ("test", made(2000))];
    for (name, (x, y)) in &parts {
        let list = [("features".to_owned(), x.shallow_clone()), ("labels".to_owned(), y.shallow_clone())];
        let bytes = write_tensors(&list, HashMap::new()).unwrap();
        fs::write(folder.path().join(format!("{name}.safetensors")), bytes).unwrap();
    }
    let peer = peer(&python, folder.path(), "newton-cholesky");
    let [train, test] = parts.map(|(_, (x, y))| (x.to_kind(Kind::Double), y));
    compare_linear(&peer, [&train, &test]);
}

#[test]
fn features_in_a_file_are_the_ones_of_the_encoder() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &SETTINGS));
    assert_ok(&run(folder.path(), &["embed", "runs/run"]));
    let bytes = fs::read(folder.path().join("runs/run/embedding-test.safetensors")).unwrap();
    let file = read_tensors(&bytes).unwrap().tensors;
    assert_eq!((file["features"].size(), file["labels"].size()), (vec![100, 16], vec![100]));
    // The same images in the same order, whatever the number of threads.
    let output = run(folder.path(), &["embed", "runs/run", "--out", "again.safetensors", "--set", "train.workers=0"]);
    assert_ok(&output);
    let again = read_tensors(&fs::read(folder.path().join("again.safetensors")).unwrap()).unwrap().tensors;
    assert_eq!(file["features"], again["features"]);
    let output = run(folder.path(), &["embed", "nowhere"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(errors(&output, folder.path()));
}

/// What a Python script beside this file prints in a folder.
fn beside(python: &OsString, script: &str, folder: &Path, arguments: &[&str]) -> String {
    let script = root().join("tests/integration").join(script);
    let output = Command::new(python).arg(script).args(arguments).current_dir(folder).output().unwrap();
    assert_ok(&output);
    out(&output)
}

#[test]
fn scikit_learn_agrees_on_confusions_and_classes() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &SETTINGS));
    let output = run(folder.path(), &["evaluate", "runs/run", "--label-fraction", "0.1", "--out", "two"]);
    assert_ok(&output);
    let text = out(&output);
    assert_eq!(text.matches("worst classes: ").count(), 1, "of all labels alone:\n{text}");
    assert!(text.contains("most often taken for another: ") && text.lines().all(|line| line.chars().count() < 160));
    let lines = |name: &str| fs::read_to_string(folder.path().join("two").join(name)).unwrap().lines().count();
    assert_eq!(lines("evaluation-classes.csv"), 1 + 2 * 10);
    assert!(lines("evaluation-confusion.csv") > 4 * 10);
    // The run's own: the report has them too.
    assert_ok(&run(folder.path(), &["evaluate", "runs/run"]));
    let own = folder.path().join("runs/run");
    let page = page(&own);
    let classes = self::text(&page, "Evaluation");
    assert!(classes.contains("By infomax evaluate after step 14, on 100 test images of shapes"), "{classes}");
    assert_eq!(page.matches("style=\"--heat:").count(), 100, "a cell for each pair of classes");
    let row = &rows(&own)[0];
    for class in row["classes"].as_array().unwrap() {
        let line =
            format!("{} | 10 | {:.2} % | ", class["class"].as_str().unwrap(), class["linear_top1"].as_f64().unwrap());
        assert!(classes.contains(&line), "{line}\n{classes}");
    }
    let Some(python) = python_with("sklearn") else { return };
    assert_eq!(beside(&python, "evaluation_confusion.py", &own, &[]), "the same\n");
}

#[test]
fn python_joins_features_with_images_places_and_what_is_said_of_them() {
    let Some(python) = python_with("safetensors, numpy") else { return };
    let tree = run_beside_photographs(12);
    let folder = tree.path("");
    let list = ["embed", "runs/run", "--dataset", "other.toml", "--out", "embedding.safetensors", "--map", "map.png"];
    let more = ["--by", "tsne", "--neighbours", "near.png", "--nearest", "3"];
    assert_ok(&run(&folder, &[&list[..], &more].concat()));
    assert_ok(&run(&folder, &["evaluate", "runs/run", "--dataset", "other.toml", "--out", "."]));
    let root = tree.path("tree").display().to_string();
    assert_eq!(beside(&python, "embedding_join.py", &folder, &[&root]), "joined\n");
}

/// An exported file's tensors.
fn tensors(path: &Path) -> HashMap<String, Tensor> {
    read_tensors(&fs::read(path).unwrap()).unwrap().tensors.into_iter().collect()
}

#[test]
fn maps_are_the_same_to_the_byte_and_what_has_no_effect_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &SETTINGS));
    let embed = |more: &[&str]| run(folder.path(), &[&["embed", "runs/run"], more].concat());
    for (map, out) in [("one.png", "one.safetensors"), ("two.png", "two.safetensors")] {
        assert_ok(&embed(&["--by", "tsne", "--perplexity", "12", "--map", map, "--out", out]));
    }
    let bytes = |name: &str| fs::read(folder.path().join(name)).unwrap();
    for (one, two) in [("one.png", "two.png"), ("one.safetensors", "two.safetensors"), ("one.csv", "two.csv")] {
        assert!(bytes(one) == bytes(two), "{one}");
    }
    let one = tensors(&folder.path().join("one.safetensors"));
    assert_eq!((one["map"].size(), one["map"].kind()), (vec![100, 2], Kind::Float));
    assert!(String::from_utf8(bytes("one.csv")).unwrap().starts_with("row,split,index,path,label,class,x,y\r\n"));
    // By PCA they are others, and without a map there are none.
    assert_ok(&embed(&["--by", "pca", "--out", "pca.safetensors"]));
    assert_ne!(tensors(&folder.path().join("pca.safetensors"))["map"], one["map"]);
    assert_ok(&embed(&["--out", "none.safetensors"]));
    assert!(!tensors(&folder.path().join("none.safetensors")).contains_key("map"));
    let refused = [
        &["--perplexity", "5"][..],
        &["--by", "tsne", "--perplexity", "34"],
        &["--neighbours", "near.png", "--image", "nothing.png"],
        &["--neighbours", "near.png", "--image", "100"],
    ];
    let refused = refused.map(|more| {
        let output = embed(more);
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        let said = errors(&output, folder.path());
        said[said.find("error: ").unwrap()..].to_owned()
    });
    assert!(!folder.path().join("near.png").exists());
    for more in [["--nearest", "3"], ["--among", "test"], ["--image", "3"], ["--perplexity", "1"]] {
        assert_eq!(embed(&more).status.code(), Some(2), "{more:?}");
    }
    insta::assert_snapshot!(refused.join("\n"));
}

#[test]
fn neighbours_are_the_nearest_by_cosine_and_never_the_image_itself() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "run", &SETTINGS));
    for split in ["train", "test"] {
        assert_ok(&run(
            folder.path(),
            &["embed", "runs/run", "--split", split, "--out", &format!("{split}.safetensors")],
        ));
    }
    let unit = |split: &str| {
        let x = tensors(&folder.path().join(format!("{split}.safetensors"))).remove("features").unwrap();
        let x = x.to_kind(Kind::Double);
        &x / x.norm_scalaropt_dim(2, [1i64].as_slice(), true)
    };
    for among in ["train", "test"] {
        let list = ["embed", "runs/run", "--neighbours", "near.png", "--image", "7", "--image", "42", "--nearest", "5"];
        assert_ok(&run(folder.path(), &[&list[..], &["--among", among]].concat()));
        let distance: Tensor = 1.0 - unit("test").matmul(&unit(among).transpose(0, 1));
        let csv = fs::read_to_string(folder.path().join("near.csv")).unwrap();
        let lines: Vec<Vec<String>> = csv.lines().skip(1).map(cells).collect();
        assert_eq!(lines.len(), 10);
        for line in &lines {
            let [index, rank, near] = [1, 4, 6].map(|cell| line[cell].parse::<i64>().unwrap());
            let mut all = Vec::<f64>::try_from(distance.get(index)).unwrap();
            let own = all[near as usize];
            assert!((line[9].parse::<f64>().unwrap() - own).abs() < 2e-6, "{line:?}");
            assert!(among == "train" || near != index, "{line:?}");
            if among == "test" {
                all.remove(index as usize);
            }
            all.sort_by(f64::total_cmp);
            assert!((own - all[rank as usize - 1]).abs() < 2e-6, "{line:?}");
        }
        let sheet = fs::read(folder.path().join("near.png")).unwrap();
        assert!(sheet.starts_with(b"\x89PNG"));
    }
    // Of ten classes two each.
    assert_ok(&run(folder.path(), &["embed", "runs/run", "--neighbours", "all.png", "--nearest", "1"]));
    let csv = fs::read_to_string(folder.path().join("all.csv")).unwrap();
    let classes: Vec<String> = csv.lines().skip(1).map(|line| cells(line)[3].clone()).collect();
    assert_eq!(classes.len(), 20);
    assert!(classes.chunks(2).all(|pair| pair[0] == pair[1]));
}

/// The cells of a line of CSV.
fn cells(line: &str) -> Vec<String> {
    let outside = |part: &str| part.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut cells = vec![String::new()];
    for (index, part) in line.split('"').enumerate() {
        let pieces = if index % 2 == 1 { vec![part.to_owned()] } else { outside(part) };
        *cells.last_mut().unwrap() += &pieces[0];
        cells.extend(pieces.into_iter().skip(1));
    }
    cells
}
