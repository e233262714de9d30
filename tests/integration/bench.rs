//! `infomax bench`: which rows it gives, and what it refuses. How fast anything is, is not tested.

use crate::support::{ended::infomax, image_tree::ImageTree};
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

const SMALL: [&str; 8] = ["--device", "cpu", "--seconds", "0", "--model", "32:8/32/1@8", "--batch", "16"];

fn measured(folder: &Path, arguments: &[&str]) -> Value {
    let told = infomax(folder, &[&["bench", "--json", "bench.json"], &SMALL[..], arguments].concat());
    assert_eq!(told.code, 0, "{}", told.seen());
    let text = fs::read(folder.join("bench.json")).unwrap();
    let all: Value = serde_json::from_slice(&text).unwrap();
    for row in all["rows"].as_array().unwrap() {
        assert!(told.out.matches(row["what"].as_str().unwrap()).count() >= 2, "told and in the table: {row}");
    }
    all
}

/// The rows of a part: what, by whom, and whether there is a figure.
fn rows(all: &Value, part: &str) -> Vec<(String, String, bool)> {
    let of_part = all["rows"].as_array().unwrap().iter().filter(|row| row["part"] == part);
    let figure = |row: &Value| {
        [&row["images_per_second"], &row["seconds"]].iter().any(|f| f.as_f64().is_some_and(f64::is_finite))
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    of_part.map(|row| (text(&row["what"]), text(&row["by"]), figure(row))).collect()
}

/// A program in Python's place.
fn peer(folder: &Path, script: &str) -> String {
    let path = folder.join("python");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_part_gives_its_rows_beside_those_of_a_peer() {
    let tree = ImageTree::sound(8);
    let folder = tree.path("");
    let python = peer(&folder, r#"echo '{ "what": "a figure of Python", "seconds": 1.5 }'"#);
    let photos = tree.path("tree");
    let parts = [
        "--what",
        "methods,data,loss,study",
        "--method",
        "byol,moco-v2",
        "--loss",
        "amdim,vicreg",
        "--data",
        photos.to_str().unwrap(),
        "--python",
        &python,
    ];
    let all = measured(&folder, &parts);
    assert_eq!(all["lines"].as_array().unwrap().len(), 0, "no step was asked for");
    for (part, by, expected) in [
        (
            "data",
            "torchvision",
            &["photos decoded, a core", "photos to two views of 128, a core", "to two views of 32, a core"][..],
        ),
        (
            "loss",
            "PyTorch",
            &["amdim, maps of 32, batch 16, whole", "amdim, maps of 32, batch 16, a rank of 8", "vicreg, maps"],
        ),
        ("methods", "PyTorch", &["byol, resnet18, 32 px, batch 16", "moco-v2, resnet18, 32 px, batch 16"]),
        (
            "study",
            "PyTorch",
            &["`plugin list`", "a run beside its updates", "pictures and report", "a study's cell beside its updates"],
        ),
    ] {
        let rows = rows(&all, part);
        assert!(rows.iter().all(|(what, _, figure)| *figure && !what.is_empty()), "{part}: {rows:?}");
        for expected in expected {
            let of_this = |(what, by, _): &&(String, String, bool)| what.contains(expected) && by == "infomax";
            assert_eq!(rows.iter().filter(of_this).count(), 1, "{part}: `{expected}`: {rows:?}");
        }
        assert!(rows.contains(&("a figure of Python".to_owned(), by.to_owned(), true)), "{part}: {rows:?}");
    }
    let amdim = rows(&all, "loss").iter().filter(|(what, ..)| what.starts_with("amdim")).count();
    assert_eq!(amdim, 4, "1, 2, 4 and 8 ranks");
}

#[test]
fn steps_alone_give_lines_and_a_peer_that_fails_a_row_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let all = measured(folder.path(), &["--precision", "f32", "--alone"]);
    let line = &all["lines"][0];
    assert!(line["model"] == "32:8/32/1@8" && line["images_per_second"].as_f64().unwrap() > 0.0, "{line}");
    assert!(line["step"]["peak_bytes"].as_u64().unwrap() > 1 << 20, "the process's own memory counts on a CPU: {line}");
    assert!(all["rows"].as_array().unwrap().is_empty());
    let python = peer(folder.path(), "echo 'No module named torchvision' >&2; exit 1");
    let all = measured(folder.path(), &["--what", "data", "--python", &python]);
    let last = all["rows"].as_array().unwrap().last().unwrap();
    assert!(last["note"] == "No module named torchvision" && last["by"] == "torchvision", "{last}");
}

/// Of three rounds each line and each row stands once, by the one in the middle.
#[test]
fn rounds_give_the_middle_of_each_figure() {
    let folder = tempfile::tempdir().unwrap();
    let python = peer(
        folder.path(),
        r#"echo x >> count; n=$(wc -l < count)
case $1 in
    steps.py) echo "{ \"variant\": \"${17}\", \"images_per_second\": $((n * 7 % 5 + 1)) }" ;;
    *) echo "{ \"what\": \"a figure of Python\", \"seconds\": $((n * 7 % 5 + 1)) }" ;;
esac"#,
    );
    let script = ["--peer", "steps.py", "--variants", "compiled", "--python", &python];
    let rounds = ["--what", "step,study", "--rounds", "3", "--precision", "f32"];
    let all = measured(folder.path(), &[&rounds[..], &script].concat());
    // Calls 1, 3 and 5 are those of the steps, which make 3, 2 and 1; the others make 5 and 4, and 3 of the sixth.
    let lines = all["lines"].as_array().unwrap();
    let own = |what: &str| lines.iter().filter(|line| line["what"] == what).collect::<Vec<_>>();
    assert!(own("f32").len() == 1 && own("PyTorch compiled").len() == 1, "{lines:?}");
    assert_eq!(own("PyTorch compiled")[0]["images_per_second"], 2.0, "{lines:?}");
    let rows = all["rows"].as_array().unwrap();
    let of_python: Vec<_> = rows.iter().filter(|row| row["by"] == "PyTorch").collect();
    assert!(of_python.len() == 1 && of_python[0]["seconds"] == 4.0, "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row["what"] == "a run beside its updates").count(), 1, "{rows:?}");
}

/// Operations, exchanges and the bytes given to them: from sizes alone, and as libtorch's operators are seen.
#[test]
fn what_the_model_of_many_cards_counts_is_what_libtorch_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let all = measured(folder.path(), &["--what", "scale", "--alone", "--ranks", "1,16"]);
    let rows = all["rows"].as_array().unwrap();
    let work = |ranks: &str, by: &str| {
        let what = format!("32:8/32/1@8, {ranks}");
        let found = rows.iter().rfind(|row| row["what"] == what.as_str() && row["by"] == by);
        found.unwrap_or_else(|| panic!("{what}, {by}: {rows:?}"))["work"].clone()
    };
    for ranks in ["alone", "a rank of 2"] {
        let (model, counted) = (work(ranks, "model"), work(ranks, "infomax"));
        assert_eq!(model, counted, "{ranks}");
        assert!(counted["operations"].as_f64().unwrap() > 1e8, "{counted}");
    }
    assert_eq!(work("a rank of 2", "infomax")["exchanges"], 15);
    let many = rows.iter().find(|row| row["what"] == "32:8/32/1@8, a rank of 16").unwrap();
    assert!(
        many["seconds"].as_f64().unwrap() > 0.0 && many["note"].as_str().unwrap().contains(" exchanges; "),
        "{many}"
    );
}

#[test]
fn what_can_not_be_measured_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    for (arguments, code, said) in [
        (&["--what", "speed"][..], 2, "[possible values: step, methods, data, loss, study, scale]"),
        (&["--what", "data", "--data", "missing"], 2, "`--data` names `missing`, which is not there"),
        (&["--data", "empty"], 2, "add `--what data`"),
        (&["--what", "data", "--data", "empty"], 4, "empty"),
        (&["--what", "loss", "--loss", "amdmi"], 3, "did you mean `amdim`?"),
        (&["--what", "loss", "--batch", "1"], 2, "1 is not in 2..=1048576"),
        (&["--what", "scale", "--card", "60e12"], 2, "write `OPERATIONS,BYTES,SECONDS`"),
        (&["--what", "scale", "--ranks", "0"], 2, "0 is not in 1..=65536"),
        (&["--alone", "--python", "python3"], 2, "cannot be used with"),
    ] {
        let told = infomax(folder.path(), &[&["bench", "--device", "cpu", "--seconds", "0"], arguments].concat());
        assert!(told.code == code && told.err.contains(said), "{arguments:?}: {}", told.seen());
    }
}
