//! Plugins of all four kinds, built by other Rust compilers than the host's, loaded and trained: `.ci/compilers` fetches those.

use crate::{
    support::{
        binary::run,
        faulty::fixture,
        figures::figure,
        workspace::{self, built, root},
    },
    training::{assert_ok, metrics},
};
use infomax::plugin::Candidate;
use std::{
    fs,
    path::{Path, PathBuf},
};

const VERSIONS: [&str; 2] = ["1.85", "1.96"];

/// The library of the four kinds, as another compiler makes it; none, said loudly, where that isn't here.
fn built_by(version: &str) -> Option<PathBuf> {
    let target = built().parent().expect("a profile lies in target");
    let compiler = target.join("compilers").join(version).join("rustc");
    if !compiler.is_file() {
        eprintln!("SKIPPED: rustc {version} is missing; `.ci/compilers` fetches it where there is apt-get");
        return None;
    }
    let folder = target.join("compilers").join(version).join("target");
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--quiet", "--release", "--offline", "--package", "infomax-plugin-faulty"]);
    cargo.args(["--example", "infomax_faulty", "--no-default-features"]).current_dir(root());
    cargo.env("RUSTC", compiler).env("CARGO_TARGET_DIR", &folder).env_remove("RUSTC_WRAPPER");
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "rustc {version}: {}", String::from_utf8_lossy(&output.stderr));
    Some(folder.join("release/examples/libinfomax_faulty.so"))
}

/// Fifty updates in which every component is the library's.
fn train(folder: &Path, name: &str, library: &Path) {
    let path = toml::Value::from(library.to_string_lossy().into_owned());
    let tables = ["dataset", "augmentation", "encoder", "loss"]
        .map(|kind| format!("[{kind}]\nname = \"faulty\"\npath = {path}\n"));
    let text = format!(
        r#"{}
[optimizer]
lr = 1e-3
warmup_steps = 0
milestones = []
[train]
steps = 50
batch_size = 8
threads = 1
device = "cpu"
log_every_steps = 1
[evaluation]
linear = false
mlp = false
[checkpoint]
every_steps = 25
[record]
name = "{name}"
plot = false
contact_sheet = false
report = false
"#,
        tables.concat()
    );
    fs::write(folder.join("experiment.toml"), text).unwrap();
    assert_ok(&run(folder, &["train", "experiment.toml"]));
}

#[test]
fn plugins_of_other_compilers_train_to_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, "own", &fixture("faulty"));
    let own = metrics(&folder.join("runs/own"));
    assert_eq!(own.iter().filter(|row| row.get("loss").is_some()).count(), 50);
    let mut good = 0;
    for version in VERSIONS {
        let Some(library) = built_by(version) else { continue };
        let compiler =
            Candidate::read(&library, &[]).unwrap_or_else(|error| panic!("{}", error.fault())).manifest.rustc;
        assert!(compiler.contains(&format!("{version}.")), "built by {compiler}");
        train(folder, version, &library);
        assert_eq!(metrics(&folder.join("runs").join(version)), own, "rustc {version}");
        good += 1;
    }
    figure("P05", "other compilers' plugins of all kinds trained", good, VERSIONS.len());
}
