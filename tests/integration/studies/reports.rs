//! What a study came to, in every form; the shipped studies; the README's.

use super::small::{ablate, cells, results, study};
use crate::support::{ended, faulty::fixture, workspace::root};
use serde_json::Value;
use std::{fs, path::Path};

#[test]
fn a_report_tells_means_differences_and_what_failed() {
    let path = fixture("faulty").to_string_lossy().into_owned();
    let axes = format!(
        "[axes]\nloss = [\"amdim\", \"nt-xent\", {{ name = \"faulty\", path = \"{path}\", config = {{ callback = \"forward\", fault = \"panic\" }} }}]\n"
    );
    let folder = study("question = \"Which?\"\nseeds = [1, 2, 3]\nbaseline = { loss = \"nt-xent\" }", &axes);
    let folder = folder.path();
    let files = ["r.json", "r.html", "r.md", "r.csv", "r.tex", "r.png"];
    let before = ablate(folder, "report", &[]);
    assert_eq!(before.code, 0, "nothing is done yet: {}", before.seen());
    assert!(before.out.contains("0 of 3"), "{}", before.seen());
    assert_eq!(ablate(folder, "run", &[]).code, 9);
    let outs: Vec<&str> = files.iter().flat_map(|file| ["--out", file]).collect();
    let report = ablate(folder, "report", &outs);
    assert_eq!(report.code, 0, "{}", report.seen());
    for told in ["Which?", "0 of 3", "exit code 3", "baseline"] {
        assert!(report.out.contains(told), "{told}: {}", report.seen());
    }
    assert!(files.iter().all(|file| folder.join(file).metadata().is_ok_and(|file| file.len() > 100)));

    // The means are those of the runs' own metrics.
    let json: Value = serde_json::from_slice(&fs::read(folder.join("r.json")).unwrap()).unwrap();
    let groups = json["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 3, "{json:#}");
    let value = |cell: &Path| {
        let text = fs::read_to_string(cell.join("run/config.toml")).unwrap();
        let config: toml::Table = text.parse().unwrap();
        let last = results(cell).iter().rev().find_map(|row| row.get("linear_top1").and_then(Value::as_f64)).unwrap();
        (config["loss"]["name"].as_str().unwrap().to_owned(), last)
    };
    let done: Vec<(String, f64)> = cells(folder)
        .iter()
        .filter(|cell| cell.join("run/encoder.safetensors").exists())
        .map(|cell| value(cell))
        .collect();
    assert_eq!(done.len(), 6);
    for group in groups.iter().filter(|group| group["settings"]["loss"] != "faulty") {
        let own = done.iter().filter(|(loss, _)| group["settings"]["loss"] == loss.as_str());
        let mean = own.map(|(_, value)| value).sum::<f64>() / 3.0;
        let told = group["last"]["mean"].as_f64();
        assert!(told.is_some_and(|told| (told - mean).abs() < 1e-9), "{mean}: {group:#}");
    }
    let page = fs::read_to_string(folder.join("r.html")).unwrap();
    assert!(page.contains("nt-xent") && page.contains("faulty") && page.contains("Which?"));
}

#[test]
fn every_shipped_study_can_be_trained() {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(root().join("configs/studies")).unwrap() {
        let file = entry.unwrap().path().to_string_lossy().into_owned();
        // The same cells on data that is always there.
        let set = ["--set", "dataset.name=shapes", "--format", "json"];
        let plan = ended::infomax(folder.path(), &[&["ablate", "plan", &file], &set[..]].concat());
        assert_eq!(plan.code, 0, "{file}: {}", plan.seen());
        let cells: Vec<Value> = serde_json::from_str(&plan.out).unwrap();
        assert!(cells.len() >= 6 && cells.iter().all(|cell| cell["state"] == "missing"), "{file}: {}", plan.seen());
        assert!(cells.iter().all(|cell| cell["same_as"].is_null()), "{file}: cells are alike");
    }
}

#[test]
fn the_study_of_the_readme_can_be_trained() {
    let folder = tempfile::tempdir().unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let start = readme.find("```toml\nbase = ").expect("the README shows a study") + "```toml\n".len();
    let text = &readme[start..start + readme[start..].find("```").unwrap()];
    let base = root().join("configs/experiments/shapes-demo").to_string_lossy().into_owned();
    fs::write(folder.path().join("study.toml"), text.replace("experiments/shapes-demo", &base)).unwrap();
    let plan = ended::infomax(folder.path(), &["ablate", "plan", "study.toml"]);
    assert_eq!(plan.code, 0, "{}", plan.seen());
    assert!(plan.out.contains("60 cells: 60 missing"), "{}", plan.seen());
}
