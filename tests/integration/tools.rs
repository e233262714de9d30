//! The commands beside training, and what is shipped: configs and the README.

use crate::support::{
    binary::{errors, experiment, infomax, run},
    family::family,
    workspace::root,
};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

#[test]
fn every_shipped_experiment_resolves() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for entry in fs::read_dir(root().join("configs/experiments")).unwrap() {
        let path = entry.unwrap().path();
        let output = run(folder.path(), &["config", "show", &path.to_string_lossy()]);
        assert!(output.status.success(), "{}: {}", path.display(), errors(&output, folder.path()));
        count += 1;
    }
    assert!(count >= 4);
}

#[test]
fn shown_config_trains_as_the_original() {
    let folder = tempfile::tempdir().unwrap();
    let shown = run(folder.path(), &["config", "show", &experiment("shapes-demo"), "--set", "train.seed=9"]);
    fs::write(folder.path().join("shown.toml"), &shown.stdout).unwrap();
    let again = run(folder.path(), &["config", "show", "shown.toml"]);
    assert_eq!(String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&again.stdout));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("seed = 9"));
}

#[test]
fn plugin_list_names_every_reference_component() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["plugin", "list"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let datasets = ["cifar10", "cifar100", "stl10", "image-folder", "shapes"];
    let augmentations = ["amdim", "asymmetric", "multi-crop", "none", "randaugment", "simclr"];
    let encoders = ["resnet18", "resnet34", "resnet50", "vit-tiny", "wide-resnet"];
    for component in datasets.into_iter().chain(augmentations).chain(encoders) {
        assert!(text.lines().any(|line| line.split_whitespace().nth(1) == Some(component)), "{component}:\n{text}");
    }
}

#[test]
fn data_preview_writes_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["data", "preview", &experiment("shapes-demo"), "--out", "sheet.png"]);
    assert!(output.status.success(), "{}", errors(&output, folder.path()));
    let bytes = fs::read(folder.path().join("sheet.png")).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000);
}

#[test]
fn readme_names_only_what_exists() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let aliases = fs::read_to_string(root().join(".cargo/config.toml")).unwrap();
    for path in quoted(&text).filter(|word| word.contains('/') && !word.contains(['<', '*', ' ', '$', '=', ':'])) {
        let is_made = ["target/", "runs/", "data/", "checkpoints/", "evaluate/", "../shared", ".libtorch", ".infomax"]
            .iter()
            .any(|p| path.starts_with(p));
        assert!(is_made || root().join(path).exists(), "the README names `{path}`, which does not exist");
    }
    for alias in quoted(&text).filter_map(|word| word.strip_prefix("cargo ")) {
        let alias = alias.split_whitespace().next().unwrap_or_default();
        let is_own = aliases.lines().any(|line| line.starts_with(&format!("{alias} =")));
        assert!(is_own || ["build", "test", "bench", "doc"].contains(&alias), "the README names `cargo {alias}`");
    }
    let folder = tempfile::tempdir().unwrap();
    for command in quoted(&text).filter_map(|word| word.strip_prefix("infomax ")) {
        let words: Vec<&str> =
            command.split_whitespace().take_while(|w| w.chars().all(|c| c.is_ascii_lowercase())).collect();
        let output = run(folder.path(), &[&words[..], &["--help"]].concat());
        assert!(output.status.success(), "the README names `infomax {command}`: {}", errors(&output, folder.path()));
    }
}

/// What stands between backticks or on lines of code blocks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let blocks =
        text.split("```").skip(1).step_by(2).flat_map(str::lines).map(|l| l.split('#').next().unwrap_or(l).trim());
    let inline = text.split("```").step_by(2).flat_map(|part| part.split('`').skip(1).step_by(2));
    blocks.chain(inline)
}

#[test]
fn doctor_finds_nothing_wrong_here_and_says_what_is() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["doctor", "--json"]);
    assert!(output.status.success(), "{}", errors(&output, folder.path()));
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let found =
        |what: &str| findings.as_array().unwrap().iter().find(|finding| finding["what"] == what).unwrap().clone();
    assert!(found("libtorch")["found"].as_str().unwrap().starts_with("2.11.0 in "));
    assert_eq!(found("plugins")["state"], "good");

    let broken = folder.path().join("plugins");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("libbroken.so"), "not a library").unwrap();
    let mut command = infomax(folder.path(), &["doctor"]);
    let output = command.env("INFOMAX_PLUGIN_PATH", &broken).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("WRONG  plugin") && text.contains("libbroken.so"), "{text}");
}

#[test]
fn selfcheck_passes_here_and_writes_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["selfcheck", "--device", "cpu", "--json", "checks.json"]);
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stdout), errors(&output, folder.path()));
    let text = fs::read(folder.path().join("checks.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let with = |word: &str| checks.iter().filter(|check| check["name"].as_str().unwrap().contains(word)).count();
    assert_eq!((with("recorded"), with("against f32"), with("over gloo"), with("images/s")), (3, 5, 8, 2));
    assert!(checks.iter().all(|check| check["verdict"] != "failed"));
}

/// Before its comparisons, among its processes, and after them, while it measures.
#[test]
fn selfcheck_ends_at_a_signal_with_all_of_its_processes() {
    for (signal, after) in [(libc::SIGINT, "recorded"), (libc::SIGTERM, "against f32"), (libc::SIGTERM, "over gloo")] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = infomax(folder.path(), &["selfcheck", "--device", "cpu"]);
        command.env("TMPDIR", folder.path());
        // What was started in the background ignores an interrupt, and so would its children.
        // SAFETY: between fork and exec the closure makes one system call.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGINT, libc::SIG_DFL);
                Ok(())
            });
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains(after)), "no line with `{after}`");
        let all = family(child.id());
        // SAFETY: `kill` has no preconditions; the child is waited for below.
        unsafe { libc::kill(child.id() as libc::pid_t, signal) };
        let asked = Instant::now();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(signal), "after `{after}`: {status:?}");
        assert!(asked.elapsed() < Duration::from_secs(10), "after `{after}`: {:?}", asked.elapsed());
        let is_there =
            |pid: &u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("infomax-engine"));
        while all.iter().any(is_there) {
            assert!(asked.elapsed() < Duration::from_secs(20), "after `{after}`: processes are left");
            thread::sleep(Duration::from_millis(20));
        }
    }
}
