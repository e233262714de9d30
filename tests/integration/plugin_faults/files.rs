//! Library files that are missing, damaged, foreign or built for another host: refused before or while loading.

use super::rendered::rendered;
use crate::support::figures::figure;
use crate::support::{
    binary::{experiment, infomax},
    faulty::{fixture, loaded},
    workspace::built,
};
use infomax::plugin::{Candidate, Kind, LoadComponent, PluginError, Registry, lock::Lock};
use infomax_abi::abi_stable::std_types::RStr;
use infomax_sdk::Key;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A folder for one test.
fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

/// A copy of a fixture with bytes replaced by as many others.
fn patched(folder: &Path, from: &[u8], to: &[u8]) -> PathBuf {
    assert_eq!(from.len(), to.len(), "a patch keeps every offset");
    let mut bytes = fs::read(fixture("faulty")).unwrap();
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from).map(|(i, _)| i).collect();
    assert!(!places.is_empty(), "nothing to patch: {}", String::from_utf8_lossy(from));
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to);
    }
    let path = folder.join("patched.so");
    fs::write(&path, bytes).unwrap();
    path
}

fn refused(path: &Path) -> PluginError {
    match loaded(path) {
        Err(error) => error,
        Ok(_) => panic!("{} was loaded", path.display()),
    }
}

#[test]
fn p01_bad_path_is_refused_with_what_was_found() {
    let folder = folder();
    let place = |name: &str| folder.path().join(name);
    fs::create_dir(place("folder.so")).unwrap();
    fs::write(place("empty.so"), "").unwrap();
    fs::write(place("text.so"), "[train]\nsteps = 1\n").unwrap();
    let status = std::process::Command::new("mkfifo").arg(place("pipe.so")).status().unwrap();
    assert!(status.success());
    let names = ["missing.so", "folder.so", "empty.so", "text.so", "pipe.so"];
    let texts = names.map(|name| rendered(refused(&place(name)), folder.path()));
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn p02_damaged_locked_plugin_is_refused_before_loading() {
    let folder = folder();
    let path = folder.path().join("locked.so");
    let good = fs::read(fixture("faulty")).unwrap();
    fs::write(&path, &good).unwrap();
    Lock::write(folder.path(), &[Candidate::read(&path, &[]).unwrap()]).unwrap();
    let find = || {
        let lock = Lock::read(folder.path(), true).unwrap();
        Registry::search(Vec::new(), &[], lock).find(Kind::Loss, "faulty", Some(&path)).map(drop)
    };
    find().unwrap_or_else(|error| panic!("the good file is refused: {}", error.fault()));

    let mut refused = 0;
    for cut in 0..16 {
        fs::write(&path, &good[..good.len() * cut / 16]).unwrap();
        refused += usize::from(find().is_err());
    }
    let mut draw = Key::new(2).purpose("p02").rng();
    for _ in 0..64 {
        let mut bytes = good.clone();
        bytes[draw.below(good.len() as u64) as usize] ^= 1 << draw.below(8);
        fs::write(&path, &bytes).unwrap();
        refused += usize::from(find().is_err());
    }
    assert_eq!(refused, 80);
    figure("P02", "damaged libraries refused before loading", refused, 80);
    let mut bytes = good.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    let text = rendered(find().unwrap_err(), folder.path());
    let hashes = text.split_whitespace().filter(|word| word.contains('…')).count();
    assert_eq!(hashes, 2, "both hashes are named: {text}");
}

#[test]
fn p02_truncated_plugin_is_refused_by_its_bounds() {
    let folder = folder();
    let path = folder.path().join("cut.so");
    for library in [fixture("faulty"), built().join("libinfomax_amdim.so"), built().join("libinfomax_datasets.so")] {
        let good = fs::read(&library).unwrap();
        for cut in 0..16 {
            fs::write(&path, &good[..good.len() * cut / 16]).unwrap();
            rendered(refused(&path), folder.path());
        }
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        rendered(refused(&path), folder.path());
    }
}

#[test]
fn p03_library_without_manifest_or_entry_is_refused() {
    let examples = fixture("no_entry").parent().unwrap().to_owned();
    let texts = ["no_manifest", "no_entry"].map(|name| rendered(refused(&fixture(name)), &examples));
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn p04_library_for_another_host_is_refused() {
    let cases: [(&str, &str); 5] = [
        (r#""abi":[1,1]"#, r#""abi":[9,0]"#),
        (r#""panic":"unwind""#, r#""panic":"abort" "#),
        (r#""libtorch":"2.11.0""#, r#""libtorch":"2.10.0""#),
        (r#"{"name":"#, r#"["name":"#),
        ("abi stable library", "abi_stable library"),
    ];
    let texts = cases.map(|(from, to)| {
        let folder = folder();
        rendered(refused(&patched(folder.path(), from.as_bytes(), to.as_bytes())), folder.path())
    });
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn p04_other_libtorch_is_accepted_where_allowed() {
    let folder = folder();
    let path = patched(folder.path(), br#""libtorch":"2.11.0""#, br#""libtorch":"2.10.0""#);
    let registry = Registry::search(Vec::new(), &["infomax-plugin-faulty".to_owned()], None);
    registry.load(Kind::Loss, "faulty", Some(&path)).unwrap_or_else(|error| panic!("{}", error.fault()));
}

#[test]
fn p05_same_major_is_accepted_and_another_is_refused() {
    // A folder each: writing over a library that is loaded would end this process.
    let load_with = |to: &str| {
        let folder = folder();
        let path = patched(folder.path(), br#""abi":[1,1]"#, format!(r#""abi":{to}"#).as_bytes());
        loaded(&path).map(drop).map_err(|error| rendered(error, folder.path()))
    };
    assert_eq!(load_with("[1,9]"), Ok(()), "a newer minor version is accepted");
    for major in ["[0,9]", "[2,0]"] {
        let text = load_with(major).unwrap_err();
        assert!(text.contains("this host 1.1"), "{text}");
    }
}

#[test]
fn p06_every_library_gives_itself() {
    let paths = [fixture("faulty"), built().join("libinfomax_amdim.so"), built().join("libinfomax_datasets.so")];
    let libraries = paths.map(|path| loaded(&path).unwrap_or_else(|error| panic!("{}", error.fault())));
    let mut compared = 0;
    for one in &libraries {
        for other in &libraries {
            for component in &other.candidate.manifest.components {
                let (kind, name): (RStr<'_>, RStr<'_>) =
                    (component.kind.as_str().into(), component.name.as_str().into());
                let answer = one.module.describe()(kind, name, "{}".into());
                let unknown = answer.into_result().err().is_some_and(|error| {
                    error.message == format!("this plugin has no {} `{}`", component.kind, component.name).as_str()
                });
                assert_eq!(unknown, one.candidate.sha256 != other.candidate.sha256, "{}", component.name);
                compared += 1;
            }
        }
    }
    assert!(compared >= 3 * libraries.len());
}

#[test]
fn p04_library_that_ends_its_process_is_refused_by_a_living_host() {
    let folder = folder();
    let library = fixture("dies");
    let set = format!("loss.path={}", library.display());
    let cache = folder.path().join("cache");
    let mut command =
        infomax(folder.path(), &["train", &experiment("shapes-demo"), "--set", "loss.name=faulty", "--set", &set]);
    let ended = command.env("XDG_CACHE_HOME", &cache).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{text}");
    assert!(text.contains("it ends the process that loads it, by signal 6"), "{text}");
    assert!(text.lines().count() <= 6, "{text}");
    let hash = Candidate::read(&library, &[]).unwrap().sha256;
    assert!(!cache.join("infomax/loaded").join(hash).exists(), "it must be tried again next time");
    // The libraries that do load are remembered, so that the next run starts faster.
    assert!(std::fs::read_dir(cache.join("infomax/loaded")).unwrap().count() >= 1);
}

#[test]
fn p02_library_that_is_overwritten_while_loaded_goes_on_working() {
    let folder = folder();
    let path = folder.path().join("libinfomax_faulty.so");
    // Bytes of its own behind the end: another library than the one that other tests load.
    let mut bytes = fs::read(fixture("faulty")).unwrap();
    bytes.extend_from_slice(b"overwritten later");
    fs::write(&path, &bytes).unwrap();
    let library = loaded(&path).unwrap_or_else(|error| panic!("{}", error.fault()));
    fs::write(&path, vec![0; bytes.len()]).unwrap();
    fs::write(&path, b"").unwrap();
    let answer = library.module.describe()("loss".into(), "no-such".into(), "{}".into()).into_result();
    assert_eq!(answer.unwrap_err().message.as_str(), "this plugin has no loss `no-such`");
    assert_eq!(fs::read(library.bytes()).unwrap(), bytes, "the copy is what was loaded");
}
