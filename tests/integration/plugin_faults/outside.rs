//! Crates outside the workspace, written into a temporary folder and built there as an author would: a loss of its own,
//! the same against the next minor version of the interface, and a host of that version.
//!
//! They share the workspace's intermediate files, so that libtorch's wrappers are not built again; what they make lies
//! apart, because the host looks for plugins beside its executable.

use super::{
    calls::{facts, features},
    rendered::rendered,
};
use crate::support::{
    ended::infomax,
    faulty::{loaded, request},
    workspace::{self, built, root},
};
use infomax::{
    dataset::Source,
    loss::ForeignLoss,
    plugin::{Component, Kind, LoadComponent, Registry},
};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::Duration,
};
use tempfile::TempDir;

const LOSS: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("outside/loss/Cargo.toml.in")),
    ("build.rs", include_str!("outside/loss/build.rs")),
    ("src/config.rs", include_str!("outside/loss/config.rs")),
    ("src/lib.rs", include_str!("outside/loss/lib.rs")),
];
const LOSS_BEFORE_TENSORS: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../../fixtures/sdk-before-tensors/cosine/Cargo.toml.in")),
    ("build.rs", include_str!("../../fixtures/sdk-before-tensors/cosine/build.rs")),
    ("src/config.rs", include_str!("../../fixtures/sdk-before-tensors/cosine/config.rs")),
    ("src/lib.rs", include_str!("../../fixtures/sdk-before-tensors/cosine/lib.rs")),
];
const DATASET: [(&str, &str); 3] = [
    ("Cargo.toml", include_str!("outside/dataset/Cargo.toml.in")),
    ("build.rs", include_str!("outside/dataset/build.rs")),
    ("src/lib.rs", include_str!("outside/dataset/lib.rs")),
];
const NEWER_HOST: [(&str, &str); 2] = [
    ("Cargo.toml", include_str!("outside/host/Cargo.toml.in")),
    ("src/main.rs", include_str!("outside/host/main.rs.in")),
];

/// Builds a crate outside the workspace, and copies what it made into a folder of its own.
fn build(files: &[(&str, &str)], features: &[&str], artefact: &str) -> (TempDir, PathBuf) {
    build_against(&root(), files, features, artefact)
}

/// As [`build`], against the SDK of another workspace.
fn build_against(workspace: &Path, files: &[(&str, &str)], features: &[&str], artefact: &str) -> (TempDir, PathBuf) {
    /// Crates of one name share an output file: built and copied one after the other.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    let folder = outside().join("crates").join(workspace.file_name().expect("a workspace has a name")).join(artefact);
    for (name, text) in files {
        let text = text.replace("@root@", workspace.to_str().expect("the workspace's path is text"));
        write(&folder.join(name), &text);
    }
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let abi = fs::read_to_string(workspace.join("sdk/abi/Cargo.toml")).unwrap();
    // A copy of the SDK may be of another version than the lock file's.
    let version = abi.lines().find_map(|line| line.strip_prefix("version = ")?.split('"').nth(1)).expect("a version");
    let (before, after) = lock.split_once("name = \"infomax-abi\"\nversion = \"").expect("the lock file lists it");
    let rest = after.split_once('"').expect("a version ends").1;
    write(&folder.join("Cargo.lock"), &format!("{before}name = \"infomax-abi\"\nversion = \"{version}\"{rest}"));
    let shared = built().parent().expect("a profile lies in target");
    let target = shared.join("outside");
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--quiet", "--offline", "--release"]).current_dir(&folder);
    cargo.arg("--features").arg(features.join(",")).env("LIBTORCH", libtorch());
    cargo.env("CARGO_TARGET_DIR", &target).env("CARGO_BUILD_BUILD_DIR", shared);
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let copies = tempfile::tempdir().expect("a temporary folder can be made");
    let copy = copies.path().join(artefact);
    fs::copy(target.join("release").join(artefact), &copy).unwrap();
    (copies, copy)
}

/// A folder outside the workspace that stays, so that a second run builds nothing.
fn outside() -> PathBuf {
    let hash = Sha256::digest(root().as_os_str().as_encoded_bytes());
    let name: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    std::env::temp_dir().join(format!("infomax-outside-{name}"))
}

/// Writes a file where it differs: cargo goes by the time of writing.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a file lies in a folder")).unwrap();
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The libtorch that the workspace is built with.
fn libtorch() -> PathBuf {
    std::env::var_os("LIBTORCH").map_or_else(|| root().join(".libtorch/link"), PathBuf::from)
}

/// The loss of one minus the cosine, and its gradient, as the host gets them.
fn run_cosine(library: &Path) {
    let (library, name) = Registry::search(Vec::new(), &[], None)
        .load(Kind::Loss, "cosine", Some(library))
        .unwrap_or_else(|error| panic!("{}", error.fault()));
    let component = Component::new(library, Kind::Loss, name);
    let loss = ForeignLoss::create(&component, &request(json!({ "weight": 2.0 })))
        .unwrap_or_else(|error| panic!("{}", error.fault()));
    let features = features();
    let terms = loss.forward(&features, &facts(), 0..2).unwrap_or_else(|error| panic!("{}", error.fault()));
    let [one_bd, two_bd] = [0, 1].map(|view| features.items()[view].tensor.flatten(1, -1));
    let cosine = tch::Tensor::cosine_similarity(&one_bd, &two_bd, 1, 1e-8).mean(tch::Kind::Float).double_value(&[]);
    let expected = 2.0 * (1.0 - cosine);
    assert!((terms.total.double_value(&[]) - expected).abs() < 1e-5);
    assert_eq!(terms.terms[0].0, "cosine");
    terms.total.backward();
    assert!(features.items().iter().all(|feature| feature.tensor.grad().norm().double_value(&[]) > 0.0));
}

/// What the newer host prints of a library.
fn newer_host(library: &Path) -> String {
    let (_folder, host) = build(&NEWER_HOST, &[], "newer-host");
    let libraries = fs::canonicalize(libtorch().join("lib/libtorch_cpu.so")).expect("libtorch lies there");
    let output = Command::new(host).arg(library).env("LD_LIBRARY_PATH", libraries.parent().unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn external_crate_adds_a_loss() {
    let (_folder, library) = build(&LOSS, &[], "libcosine.so");
    run_cosine(&library);
    let manifest = loaded(&library).unwrap_or_else(|error| panic!("{}", error.fault())).candidate.manifest;
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("cosine", "0.3.0"));
    assert_eq!(manifest.libtorch, None);
}

#[test]
fn p05_newer_plugin_works_in_this_host() {
    let (_folder, library) = build(&LOSS, &["next"], "libcosine.so");
    run_cosine(&library);
    // It really is newer: the newer host finds what was appended.
    let expected = "module appended: Some(2)\nloss appended: Some(2)\nloss state: null\n";
    assert_eq!(newer_host(&library), expected);
}

#[test]
fn p05_plugin_of_today_works_in_a_newer_host() {
    let (_folder, library) = build(&LOSS, &[], "libcosine.so");
    assert_eq!(newer_host(&library), "module appended: None\nloss appended: None\nloss state: null\n");
}

/// A loss of the time when plugins brought tch along: it computes with libtorch itself, in the host's process.
#[test]
fn p05_plugin_built_before_the_operator_table_works_in_this_host() {
    let frozen = root().join("tests/fixtures/sdk-before-tensors");
    let copy = outside().join("before-tensors");
    copy_files(&frozen, &copy);
    let (_folder, library) = build_against(&copy, &LOSS_BEFORE_TENSORS, &[], "libcosine.so");
    let manifest = loaded(&library).unwrap_or_else(|error| panic!("{}", error.fault())).candidate.manifest;
    assert_eq!((manifest.abi, manifest.libtorch.as_deref()), ([1, 1], Some("2.11.0")));
    run_cosine(&library);
    trains(&library);
}

/// A crate that computes with tch beside the SDK's tensors, and is bound to the libtorch it was built against.
#[test]
fn external_crate_mixes_tch_and_tensors() {
    let mut files = LOSS;
    let cargo = LOSS[0].1.replace("@root@/sdk\" }", "@root@/sdk\", features = [\"tch\"] }");
    let own = "let cosine = one_bd.cosine_similarity(&two_bd, 1, EPS).mean();";
    let mixed = "let [one_bd, two_bd] = [&one_bd, &two_bd].map(infomax_sdk::tch::Tensor::from);
        let cosine = infomax_sdk::tch::Tensor::cosine_similarity(&one_bd, &two_bd, 1, EPS);
        let cosine = infomax_sdk::Tensor::from(&cosine).mean();";
    assert!(LOSS[3].1.contains(own) && cargo != LOSS[0].1);
    let code = LOSS[3].1.replace(own, mixed);
    (files[0].1, files[3].1) = (&cargo, &code);
    let (_folder, library) = build(&files, &[], "libcosine.so");
    run_cosine(&library);
    let manifest = loaded(&library).unwrap_or_else(|error| panic!("{}", error.fault())).candidate.manifest;
    assert_eq!(manifest.libtorch.as_deref(), Some("2.11.0"));
}

/// Ten steps of the real binary with the loss `cosine` of a library.
fn trains(library: &Path) {
    let folder = library.parent().expect("a library lies in a folder");
    let experiment = root().join("configs/experiments/shapes-demo.toml");
    let run = format!("record.run_directory={:?}", folder.join("run").to_str().unwrap());
    let search = format!("plugins.search=[{:?}]", folder.to_str().unwrap());
    let mut arguments = vec!["train", experiment.to_str().unwrap()];
    for setting in
        [run.as_str(), &search, "loss.name=cosine", "loss.config={}", "train.steps=10", "optimizer.warmup_steps=2"]
    {
        arguments.extend(["--set", setting]);
    }
    let ended = infomax(folder, &arguments);
    assert_eq!(ended.code, 0, "{}", ended.seen());
}

/// A dataset of version 1.0 of the boundary, which lacks `labels`: the host learns them from the images.
#[test]
fn p05_library_for_an_older_version_of_the_boundary_works_in_this_host() {
    let (_folder, library) = build_against(&older_sdk(), &DATASET, &[], "libnumbers.so");
    let manifest = loaded(&library).unwrap_or_else(|error| panic!("{}", error.fault())).candidate.manifest;
    assert_eq!(manifest.abi, [1, 0]);
    let (library, name) = Registry::search(Vec::new(), &[], None)
        .load(Kind::Dataset, "numbers", Some(&library))
        .unwrap_or_else(|error| panic!("{}", error.fault()));
    let table = serde_json::from_value(json!({"name": "numbers"})).unwrap();
    let source = Source::open(&Component::new(library, Kind::Dataset, name), &table, None).unwrap();
    let stage = source.stage(&[0]);
    assert_eq!(source.labels(&stage, 2, Duration::from_secs(60)).unwrap(), [0, 1, -1, 0, 1, -1]);
}

/// A copy of the SDK as it was before the boundary's version 1.1.
fn older_sdk() -> PathBuf {
    let without = |text: String, from: &str, to: &str| {
        let (start, end) = (text.find(from).expect(from), text.find(to).expect(to));
        format!("{}{}", &text[..start], &text[end + to.len()..])
    };
    copied_sdk("older", |name, text| match name {
        "sdk/abi/src/dataset.rs" => without(text, "    /// The labels of a split's", "FfiResult<RVec<i64>>,\n"),
        "sdk/src/ffi/dataset.rs" => {
            let text = text.replace("        labels: Self::labels,\n", "");
            without(text, "    extern \"C\" fn labels", "dataset.labels(split as usize)?.into())) }\n    }\n")
        }
        "sdk/abi/src/module.rs" | "sdk/manifest/src/lib.rs" => text.replace("[u32; 2] = [1, 1]", "[u32; 2] = [1, 0]"),
        "sdk/abi/Cargo.toml" => text.replace("\"1.1.0\"", "\"1.0.0\""),
        _ => text,
    })
}

/// A copy of the SDK in which two fields of an error are swapped.
fn reordered_sdk() -> PathBuf {
    copied_sdk("reordered", |name, text| if name == "sdk/abi/src/result.rs" { reordered(&text) } else { text })
}

/// Copies a folder's files as they are.
fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copy = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy_files(&path, &copy);
        } else {
            write(&copy, &fs::read_to_string(&path).unwrap());
        }
    }
}

/// A copy of the SDK with some of its files changed.
fn copied_sdk(folder: &str, change: impl Fn(&str, String) -> String) -> PathBuf {
    let copy = outside().join(folder);
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.lines().find(|line| line.starts_with("members = ")).expect("a workspace has members");
    write(&copy.join("Cargo.toml"), &manifest.replace(members, r#"members = ["sdk/abi", "sdk/manifest", "sdk"]"#));
    let mut folders = vec![root().join("sdk")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| ["rs", "toml", "md"].iter().any(|known| extension == *known))
            {
                let name = path.strip_prefix(root()).expect("the SDK lies in the workspace");
                let text = fs::read_to_string(&path).unwrap();
                let name = name.to_str().expect("the SDK's files are named in text");
                write(&copy.join(name), &change(name, text));
            }
        }
    }
    copy
}

fn reordered(text: &str) -> String {
    let (message, causes) = ("    pub message: RString,", "    pub causes: RVec<RString>,");
    assert!(text.contains(message) && text.contains(causes));
    text.replace(message, "@").replace(causes, message).replace('@', causes)
}

#[test]
fn p04_library_of_another_layout_is_refused_in_a_line() {
    let sdk = reordered_sdk();
    let (folder, library) = build_against(&sdk, &LOSS, &[], "libcosine.so");
    let Err(error) = loaded(&library) else { panic!("a reordered interface was accepted") };
    insta::assert_snapshot!(rendered(error, folder.path()));
}
