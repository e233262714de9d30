//! Which library is meant, and whether it is the one that was locked: through the real binary.

use crate::{
    studies::small,
    support::{
        binary::{errors, experiment, infomax, run},
        ended,
        faulty::{self, fixture, training},
        figures::figure,
        workspace::built,
    },
    training::{arguments, assert_ok, train},
};
use infomax::plugin::{Candidate, Kind, PluginError, Registry};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{collections::HashMap, fs, path::Path, process::Output};

/// A build of the faulty plugin of its own, told apart by bytes behind its end.
fn build(path: &Path, mark: &str) -> String {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut bytes = fs::read(fixture("faulty")).unwrap();
    bytes.extend_from_slice(mark.as_bytes());
    fs::write(path, &bytes).unwrap();
    Candidate::read(path, &[]).unwrap().sha256
}

/// Folders `a` and `b` with a build each, of one file name.
fn two_builds(folder: &Path) -> [String; 2] {
    ["a", "b"].map(|name| build(&folder.join(name).join("libinfomax_faulty.so"), name))
}

/// Four updates with the faulty encoder and the faulty loss of these builds.
fn both(folder: &Path, name: &str, encoder: &str, loss: &str, more: &[&str]) -> Output {
    let changes = format!(
        r#"
encoder = {{ name = "{encoder}", path = "" }}
loss = {{ name = "{loss}", path = "" }}
train.steps = 4
plugins.search = ["a", "b"]
"#
    );
    faulty::experiment(folder, &changes);
    training(folder, name, more).output().unwrap()
}

fn told(output: &Output, folder: &Path) -> String {
    errors(output, folder).replace(&*built().to_string_lossy(), "[built]")
}

#[test]
fn p07_what_is_not_as_locked_is_refused_before_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let without = train(folder, "without", &["train.steps=1", "optimizer.warmup_steps=0"]);
    assert_ok(&without);
    let locked = |more: &[&str]| {
        let mut list = arguments("locked", &["train.steps=1", "optimizer.warmup_steps=0"]);
        list.extend(more.iter().map(|argument| (*argument).to_owned()));
        run(folder, &list)
    };
    let mut refused = 0;
    let none = locked(&["--locked"]);
    assert_eq!(none.status.code(), Some(2), "{}", told(&none, folder));
    assert!(told(&none, folder).contains("goes by `./plugins.lock`, which isn't there"), "{}", told(&none, folder));
    refused += 1;
    assert_ok(&run(folder, &["plugin", "lock"]));
    assert_ok(&run(folder, &["plugin", "verify"]));
    assert_ok(&locked(&["--locked"]));
    let lock = fs::read_to_string(folder.join("plugins.lock")).unwrap();
    let hash = Candidate::read(&built().join("libinfomax_amdim.so"), &[]).unwrap().sha256;
    let start = lock.find("[plugins.infomax-plugin-amdim]").unwrap();
    let end = lock[start + 1..].find("[plugins.").map_or(lock.len(), |end| start + 1 + end);

    // Another hash is refused with and without `--locked`.
    fs::write(folder.join("plugins.lock"), lock.replace(&hash, &"0".repeat(64))).unwrap();
    for more in [&[][..], &["--locked"]] {
        let output = locked(more);
        let text = told(&output, folder);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.contains(&format!("`infomax-plugin-amdim` has the hash {}…", &hash[..12])), "{text}");
        assert!(text.contains("says 000000000000…") && text.contains("hint: if you rebuilt it on purpose"), "{text}");
        assert!(text.lines().count() <= 4, "{text}");
        refused += 1;
    }
    let changed = run(folder, &["plugin", "verify"]);
    assert_eq!(changed.status.code(), Some(3));
    let text = told(&changed, folder);
    assert!(
        text.contains("1 plugin differs") && text.contains("changed  infomax-plugin-amdim: locked 0.1.0 (0000"),
        "{text}"
    );
    refused += 1;

    // What is not in the lock is trusted at first sight, but not under `--locked`, whatever the command.
    fs::write(folder.join("plugins.lock"), format!("{}{}", &lock[..start], &lock[end..])).unwrap();
    assert_ok(&run(folder, &["train", &experiment("shapes-demo"), "--smoke"]));
    let study =
        format!("base = [\"{}\"]\nbudget = {{ steps = 2 }}\n[axes]\nloss = [\"amdim\"]\n", experiment("shapes-demo"));
    fs::write(folder.join("small.toml"), study).unwrap();
    let shapes = experiment("shapes-demo");
    let commands: [&[&str]; 7] = [
        &["train", &shapes, "--locked"],
        &["config", "show", &shapes, "--locked"],
        &["data", "preview", &shapes, "--locked"],
        &["ablate", "plan", "small.toml", "--locked"],
        &["ablate", "run", "small.toml", "--locked"],
        &["evaluate", "runs/without", "--locked"],
        &["selfcheck", "--locked"],
    ];
    for command in commands {
        let output = run(folder, command);
        let text = told(&output, folder);
        assert_eq!(output.status.code(), Some(3), "{command:?}: {text}");
        assert!(text.contains("`infomax-plugin-amdim` is not in ./plugins.lock"), "{command:?}: {text}");
        refused += 1;
    }
    let new = told(&run(folder, &["plugin", "verify"]), folder);
    assert!(new.contains("  new      infomax-plugin-amdim: 0.1.0"), "{new}");

    // A locked plugin that isn't there.
    let gone = format!("{lock}[plugins.gone]\nversion = \"1.2.3\"\nsha256 = \"{}\"\n", "1".repeat(64));
    fs::write(folder.join("plugins.lock"), gone).unwrap();
    let output = run(folder, &["plugin", "verify"]);
    let text = told(&output, folder);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("  missing  gone: locked 1.2.3 (111111111111…), not found"), "{text}");
    assert!(text.contains("hint: if each change is meant"), "{text}");
    refused += 2;
    figure("P07", "lock mismatches refused", refused, 13);
    assert_eq!(refused, 13);
}

/// A lock beside the config holds in the processes that a supervisor starts, too.
#[test]
fn p07_a_lock_beside_the_config_counts_in_every_process() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let name = |build: &str| format!("faulty@sha256:{build}");
    let [a, _] = two_builds(folder);
    let text = both(folder, "unused", &name(&a), &name(&a), &["train.steps=1"]);
    assert_ok(&text);
    fs::create_dir(folder.join("own")).unwrap();
    fs::copy(folder.join("experiment.toml"), folder.join("own/experiment.toml")).unwrap();
    for build in ["a", "b"] {
        fs::create_dir_all(folder.join("own").join(build)).unwrap();
        let file = format!("{build}/libinfomax_faulty.so");
        fs::copy(folder.join(&file), folder.join("own").join(&file)).unwrap();
    }
    let lock = run(&folder.join("own"), &["plugin", "lock"]);
    assert_ok(&lock);
    let only = ["train", "own/experiment.toml", "--locked", "--nproc", "2"];
    // The faulty plugin is in folders that the config adds, which `plugin lock` does not know.
    let output = run(folder, &only);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output, folder));
    let path = folder.join("own/plugins.lock");
    let entry = format!("[plugins.infomax-plugin-faulty]\nversion = \"0.1.0\"\nsha256 = \"{a}\"\n");
    fs::write(&path, fs::read_to_string(&path).unwrap() + &entry).unwrap();
    assert_ok(&run(folder, &only));
}

#[test]
fn p07_two_plugins_of_one_name_are_refused_with_both() {
    let folder = tempfile::tempdir().unwrap();
    let builds = two_builds(folder.path());
    let output = both(folder.path(), "run", "faulty", "faulty", &[]);
    let text = told(&output, folder.path());
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("several plugins have the encoder `faulty`"), "{text}");
    assert!(builds.iter().all(|build| text.contains(&build[..12])), "{text}");
    assert!(text.contains("hint: name one build: `faulty@sha256:"), "{text}");
}

#[test]
fn p07_a_build_is_named_by_enough_of_its_hash() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let path = folder.join("one.so");
    let hash = build(&path, "one");
    let find = |names: &str| {
        let registry = Registry::search(vec![folder.to_owned()], &[], None);
        registry.find(Kind::Loss, names, None).map(|(candidate, name)| (candidate.path, name))
    };
    for digits in [8, 12, 64] {
        let found = find(&format!("faulty@sha256:{}", &hash[..digits])).unwrap_or_else(|e| panic!("{}", e.fault()));
        assert_eq!(found, (path.clone(), "faulty".to_owned()));
    }
    assert!(find(&format!("faulty@sha256:{}", hash.to_uppercase())).is_ok());
    for bad in ["", &hash[..7], "0123456x", &format!("{hash}0")] {
        let error = find(&format!("faulty@sha256:{bad}")).unwrap_err();
        assert!(matches!(error, PluginError::Refused { .. }), "{bad}: {}", error.fault());
        assert_eq!(error.exit_code(), 3);
    }
    let other = if hash.starts_with('0') { "1" } else { "0" }.repeat(12);
    assert!(matches!(find(&format!("faulty@sha256:{other}")), Err(PluginError::Unknown { .. })));

    // Two builds whose hashes begin alike: found among some ten thousand ends of the same file.
    let start = Sha256::new_with_prefix(fs::read(fixture("faulty")).unwrap());
    let mut seen: HashMap<[u8; 4], u32> = HashMap::new();
    let (one, two) = (0u32..)
        .find_map(|mark| {
            let hash = start.clone().chain_update(mark.to_string()).finalize();
            let first: [u8; 4] = hash[..4].try_into().unwrap();
            seen.insert(first, mark).map(|before| (before, mark))
        })
        .unwrap();
    fs::remove_file(&path).unwrap();
    let hashes = [one, two].map(|mark| build(&folder.join(format!("{mark}.so")), &mark.to_string()));
    assert_eq!(hashes[0][..8], hashes[1][..8]);
    let error = find(&format!("faulty@sha256:{}", &hashes[0][..8])).unwrap_err();
    let text = error.fault().to_string();
    assert!(matches!(error, PluginError::Ambiguous { .. }), "{text}");
    assert!(hashes.iter().all(|hash| text.contains(&hash[..12])), "{text}");
    assert!(find(&format!("faulty@sha256:{}", &hashes[1][..12])).is_ok());
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn hash_of(path: &Path) -> String {
    Candidate::read(path, &[]).unwrap().sha256
}

#[test]
fn two_builds_of_a_plugin_stand_side_by_side_in_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [a, b] = two_builds(folder);
    let name = |build: &str| format!("faulty@sha256:{}", &build[..12]);
    assert_ok(&both(folder, "run", &name(&a), &name(&b), &[]));
    let own = folder.join("runs/run");
    let identity = json(&own.join("run.json"));
    let kept = |kind: &str| {
        let plugin = &identity["plugins"][identity["components"][kind].as_str().unwrap()];
        (plugin["sha256"].as_str().unwrap().to_owned(), own.join("plugins").join(plugin["file"].as_str().unwrap()))
    };
    for (kind, hash) in [("encoder", &a), ("loss", &b)] {
        let (told, file) = kept(kind);
        assert_eq!((&told, &hash_of(&file)), (hash, hash), "{kind}");
    }
    // It goes on, is measured and repeated with them, whatever became of the files.
    fs::remove_dir_all(folder.join("a")).unwrap();
    fs::remove_dir_all(folder.join("b")).unwrap();
    assert_ok(&run(folder, &["evaluate", "runs/run"]));
    assert_ok(&run(folder, &["reproduce", "runs/run"]));
    let again = json(&folder.join("runs/run-again-1/run.json"));
    assert_eq!(again["plugins"], identity["plugins"]);

    // A copy that somebody has changed is not used.
    let (_, file) = kept("encoder");
    let mut bytes = fs::read(&file).unwrap();
    bytes.push(0);
    fs::write(&file, bytes).unwrap();
    for command in ["evaluate", "reproduce"] {
        let output = run(folder, &[command, "runs/run"]);
        let text = told(&output, folder);
        assert_eq!(output.status.code(), Some(3), "{command}: {text}");
        assert!(text.contains("the run was trained with"), "{text}");
    }
}

#[test]
fn two_builds_of_a_component_are_two_cells_of_a_study() {
    let folder = small::study("", "");
    let folder = folder.path();
    let [a, b] = two_builds(folder);
    let axes = format!("[axes]\nloss = [\"faulty@sha256:{}\", \"faulty@sha256:{}\"]\n", &a[..8], &b[..8]);
    small::write(folder, "", &axes);
    let file = folder.join("small.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[config]\n", "[config]\nplugins.search = [\"a\", \"b\"]\n")).unwrap();
    let out = small::run(folder, &[]);
    assert!(out.contains("2 cells are done, 2 of them trained now"), "{out}");
    let cells = small::cells(folder);
    assert_eq!(cells.len(), 2);
    let mut hashes: Vec<String> = cells
        .iter()
        .map(|cell| {
            json(&cell.join("run/run.json"))["plugins"]["infomax-plugin-faulty"]["sha256"].as_str().unwrap().to_owned()
        })
        .collect();
    hashes.sort();
    let mut expected = [a, b];
    expected.sort();
    assert_eq!(hashes, expected);
    let again = ended::infomax(folder, &["ablate", "run", "small.toml"]);
    assert!(again.out.contains("2 cells are done, 0 of them trained now"), "{}", again.seen());
}

/// A library whose constructor ends the process with a code that the host itself uses.
#[test]
fn p04_a_constructor_that_exits_is_refused_whatever_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let library = fixture("dies");
    let set = format!("loss.path={}", library.display());
    let codes = ["0", "3"];
    for code in codes {
        let mut command =
            infomax(folder.path(), &["train", &experiment("shapes-demo"), "--set", "loss.name=faulty", "--set", &set]);
        let cache = folder.path().join("cache");
        let output = command.env("XDG_CACHE_HOME", &cache).env("FAULTY_EXIT", code).output().unwrap();
        let text = told(&output, folder.path());
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.contains(&format!("it ends the process that loads it, with exit code {code}")), "{text}");
        assert!(!cache.join("infomax/loaded").join(hash_of(&library)).exists());
    }
    figure("P04", "constructors that exit refused", codes.len(), codes.len());
}
