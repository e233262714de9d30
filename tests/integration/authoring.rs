//! What an author does: begin a crate of each kind outside of the workspace, build it, check it, train with it; and what the
//! check says of libraries with a planted fault.

use crate::support::{
    ended::infomax,
    faulty::fixture,
    workspace::{self, built, root},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const KINDS: [&str; 4] = ["dataset", "augmentation", "encoder", "loss"];

/// Runs cargo on a crate as an author does, with the workspace's intermediate files, so that dependencies are not built again.
pub fn cargo(folder: &Path, command: &str) -> Output {
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let mut cargo = workspace::cargo();
    cargo.args([command, "--quiet", "--release", "--offline"]).current_dir(folder);
    // Neither libtorch nor what a config of the workspace says of it.
    cargo.env_remove("LIBTORCH").env("CARGO_TARGET_DIR", folder.join("target"));
    cargo.env("CARGO_BUILD_BUILD_DIR", built().parent().expect("a profile lies in target"));
    cargo.output().expect("cargo runs")
}

/// Builds it, and says where the library lies.
pub fn build(folder: &Path) -> PathBuf {
    let output = cargo(folder, "build");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join("target/release")
}

#[test]
fn a_new_crate_of_each_kind_builds_passes_and_trains_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let name = format!("my-{kind}");
        let told = infomax(folder.path(), &["plugin", "new", kind, &name]);
        assert_eq!(told.code, 0, "{}", told.seen());
        assert!(told.out.contains("cargo build --release"), "{}", told.seen());
        let own = folder.path().join(&name);
        let library = build(&own).join(format!("libmy_{kind}.so"));
        let size = fs::metadata(&library).unwrap().len();
        assert!(size < 2 << 20, "{size} bytes");
        let symbols = object_names(&library);
        assert!(!symbols.contains("libtorch") && !symbols.contains("libc10"), "{kind} needs {symbols}");
        let checked = infomax(&own, &["plugin", "check", library.to_str().unwrap()]);
        assert_eq!(checked.code, 0, "{}", checked.seen());
        assert!(
            checked.out.contains(&format!("{kind} `{name}`")) && checked.out.contains(" 0 failed"),
            "{}",
            checked.seen()
        );
        let trained = infomax(&own, &["train", "experiment.toml", "--set", "train.steps=12"]);
        assert_eq!(trained.code, 0, "{}", trained.seen());
        assert!(own.join(format!("runs/{name}/encoder.safetensors")).is_file());
        let again = infomax(folder.path(), &["plugin", "new", kind, &name]);
        assert_eq!(again.code, 2, "{}", again.seen());
    }
}

/// The libraries that a library needs.
fn object_names(library: &Path) -> String {
    let output = Command::new("ldd").arg(library).output().expect("ldd is there");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_own_test_of_one_line_runs_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("my-own");
    let told = infomax(folder.path(), &["plugin", "new", "dataset", "my-own"]);
    assert_eq!(told.code, 0, "{}", told.seen());
    let test = |fault: bool| {
        let code = own.join("src/lib.rs");
        let text = fs::read_to_string(&code).unwrap();
        let wrong = text.replace("label: class as i64", "label: 9");
        assert_ne!(text, wrong);
        if fault {
            fs::write(&code, &wrong).unwrap();
        }
        fs::copy(root().join("Cargo.lock"), own.join("Cargo.lock")).unwrap();
        let mut cargo = workspace::cargo();
        // As an author calls it: in a folder of intermediate files of its own.
        cargo.args(["test", "--quiet", "--offline"]).current_dir(&own);
        cargo
            .env_remove("LIBTORCH")
            .env("CARGO_TARGET_DIR", own.join("target"))
            .env("INFOMAX", built().join("infomax"));
        cargo.output().expect("cargo runs")
    };
    let passed = test(false);
    assert!(passed.status.success(), "{}", String::from_utf8_lossy(&passed.stdout));
    let failed = test(true);
    let said = String::from_utf8_lossy(&failed.stdout).into_owned();
    assert!(!failed.status.success() && said.contains("FAIL  reading") && said.contains("its label is 9"), "{said}");
}

#[test]
fn names_and_folders_that_can_not_be_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["My-Loss", "my_loss", "a--b", "1st", "../loss"] {
        let told = infomax(folder.path(), &["plugin", "new", "loss", name]);
        assert_eq!(told.code, 2, "{}", told.seen());
        assert!(told.err.contains("lower-case words joined by `-`"), "{}", told.seen());
    }
    let told = infomax(folder.path(), &["plugin", "new", "loss", "mine", "--sdk", folder.path().to_str().unwrap()]);
    assert_eq!(told.code, 2, "{}", told.seen());
    assert!(told.err.contains("there is no infomax-sdk in it"), "{}", told.seen());
    let told = infomax(folder.path(), &["plugin", "new", "loss", "mine", "--sdk", "https://example.org/infomax.git"]);
    assert_eq!(told.code, 0, "{}", told.seen());
    let cargo = fs::read_to_string(folder.path().join("mine/Cargo.toml")).unwrap();
    assert!(cargo.contains("infomax-sdk = { git = \"https://example.org/infomax.git\" }"), "{cargo}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing of the refused ones is left");
}

/// Each planted fault, and the check that must find it.
fn planted() -> Vec<(&'static str, Value, &'static str)> {
    let at = |callback: &str, fault: &str| json!({ "callback": callback, "fault": fault });
    let by_hand = |fault: &str| json!({ "callback": "forward_backward", "fault": fault, "by_hand": true });
    vec![
        ("dataset", at("read", "panic"), "reading"),
        ("dataset", at("read", "shape"), "reading"),
        ("dataset", at("labels", "shape"), "reading"),
        ("dataset", at("facts", "missing"), "facts"),
        ("augmentation", at("describe", "missing"), "description"),
        ("augmentation", at("describe", "shape"), "description"),
        ("augmentation", at("train_views", "panic"), "every byte, by the key alone"),
        ("augmentation", at("eval_view", "panic"), "any image"),
        ("encoder", at("describe", "missing"), "description"),
        ("encoder", at("create", "panic"), "creation"),
        ("encoder", at("forward", "shape"), "maps"),
        ("encoder", at("forward", "rank"), "maps"),
        ("encoder", at("forward", "kind"), "maps"),
        ("encoder", at("forward", "missing"), "maps"),
        ("encoder", at("forward", "detached"), "maps"),
        ("encoder", at("forward", "not_a_number"), "maps"),
        ("encoder", at("forward", "replaced"), "modes"),
        ("encoder", at("forward", "threads_left"), "determinism"),
        ("encoder", at("forward", "by_place"), "order of the batch"),
        ("encoder", at("forward", "own_statistics"), "two ranks against one"),
        ("encoder", at("forward", "branches"), "two ranks against one"),
        ("encoder", at("load", "panic"), "state"),
        ("loss", at("describe", "view_too_few"), "description"),
        ("loss", at("before_step", "panic"), "before a step"),
        ("loss", at("forward", "shape"), "purity"),
        ("loss", at("forward", "kind"), "purity"),
        ("loss", at("forward", "term_undefined"), "purity"),
        ("loss", at("forward", "threads_left"), "purity"),
        ("loss", at("forward", "draws"), "purity"),
        ("loss", at("forward", "by_place"), "order of the batch"),
        ("loss", at("forward", "detached"), "gradients"),
        ("loss", at("forward", "overflows_in_half"), "bf16 and f16"),
        ("loss", at("forward", "term_not_a_number"), "degenerate batches"),
        ("loss", at("forward", "leak"), "memory"),
        ("loss", by_hand("gradient_shape"), "gradients by hand"),
        ("loss", by_hand("gradient_missing"), "gradients by hand"),
        ("loss", by_hand("gradient_wrong"), "gradients by hand"),
        ("loss", at("after_update", "panic"), "after an update"),
    ]
}

#[test]
fn planted_faults_are_found_by_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let library = fixture("faulty");
    let library = library.to_str().unwrap();
    let mut found = 0;
    for (kind, config, check) in planted() {
        let mut arguments = vec!["plugin".to_owned(), "check".to_owned(), library.to_owned()];
        for (field, value) in config.as_object().expect("a table") {
            arguments.extend(["--set".to_owned(), format!("{kind}.faulty.{field}={value}")]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let told = infomax(folder.path(), &arguments);
        assert_eq!(told.code, 3, "{kind} {config}: {}", told.seen());
        assert!(told.out.contains(&format!("FAIL  {check}: ")), "{kind} {config}: `{check}`: {}", told.seen());
        // Nothing of the other components is blamed.
        for part in told.out.split("\n\n").filter(|part| part.contains("FAIL")) {
            assert!(part.starts_with(&format!("{kind} `faulty`")), "{kind} {config}: {part}");
        }
        found += 1;
    }
    println!("planted faults that `plugin check` finds: {found}/{}", planted().len());
    let sound = infomax(folder.path(), &["plugin", "check", library]);
    assert_eq!(sound.code, 0, "{}", sound.seen());
}

#[test]
fn settings_of_the_check_that_name_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let library = fixture("faulty");
    let check = |arguments: &[&str]| {
        infomax(folder.path(), &[&["plugin", "check", library.to_str().unwrap()], arguments].concat())
    };
    for (setting, said) in [
        ("loss.faulty", "has no value"),
        ("loss=1", "names no field of a component"),
        ("loss.fautly.step=1", "names a loss `fautly` that the library has not"),
        ("loss.faulty.stepp=1", "names no field of loss `faulty`, which has `callback`"),
    ] {
        let told = check(&["--set", setting]);
        assert_eq!(told.code, 2, "{}", told.seen());
        assert!(told.err.contains(said), "{}", told.seen());
    }
    let told = check(&["--only", "other"]);
    assert!(told.code == 2 && told.err.contains("the library has no component `other`"), "{}", told.seen());
}
