//! The config of a run: what `config show` prints, on every path by which a run starts, and what reads back to the same bytes.

use crate::{
    support::binary::{errors, infomax, run},
    training::{arguments, assert_ok},
};
use std::{fs, net::TcpListener, path::Path, process::Stdio};

const SHORT: [&str; 4] =
    ["train.steps=2", "optimizer.warmup_steps=1", "record.plot=false", "record.contact_sheet=false"];

fn written(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join("runs").join(name).join("config.toml")).unwrap()
}

/// What `infomax config show` says of the same arguments.
fn shown(folder: &Path, train: &[String], more: &[&str]) -> String {
    let mut arguments: Vec<&str> = vec!["config", "show"];
    arguments.extend(train[1..].iter().map(String::as_str));
    arguments.extend(more);
    let output = run(folder, &arguments);
    assert!(output.status.success(), "{}", errors(&output, folder));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn c08_config_of_a_run_is_what_was_shown_and_reads_back_on_every_path() {
    let folder = tempfile::tempdir().unwrap();
    let alone = arguments("alone", &SHORT);
    assert_ok(&run(folder.path(), &alone));
    assert_eq!(written(folder.path(), "alone"), shown(folder.path(), &alone, &[]), "one process");

    let supervised = arguments("supervised", &SHORT);
    assert_ok(&run(folder.path(), &[&supervised[..], &["--nproc".to_owned(), "2".to_owned()]].concat()));
    let expected = shown(folder.path(), &supervised, &["--set", "distributed.nproc=2"]);
    assert_eq!(written(folder.path(), "supervised"), expected, "processes under a supervisor");

    let launched = arguments("launched", &SHORT);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let start = |rank: &str| {
        let mut command = infomax(folder.path(), &launched);
        command.envs([("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2")]);
        command.envs([("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", &port)]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for child in ["0", "1"].map(start) {
        assert_ok(&child.wait_with_output().unwrap());
    }
    let expected = shown(folder.path(), &launched, &["--set", "distributed.nproc=2"]);
    assert_eq!(written(folder.path(), "launched"), expected, "processes of a launcher");

    for name in ["alone", "supervised", "launched"] {
        let before = written(folder.path(), name);
        for config in [format!("runs/{name}/config.toml"), format!("runs/{name}")] {
            let again = run(folder.path(), &["config", "show", &config]);
            assert_eq!(before, String::from_utf8(again.stdout).unwrap(), "{config}");
        }
        let explained = run(folder.path(), &["config", "explain", "train.steps", &format!("runs/{name}")]);
        let line = 1 + before.lines().position(|line| line.starts_with("steps = ")).unwrap();
        let place = format!("runs/{name}/config.toml:{line}  2  holds\n");
        assert!(String::from_utf8_lossy(&explained.stdout).contains(&place), "{explained:?}");
        assert_ok(&run(folder.path(), &["train", "--resume", &format!("runs/{name}")]));
        assert_eq!(before, written(folder.path(), name), "{name} went on");
    }
}

/// Fields without an effect are left out, so that they are no fault when the config is read back, whatever is chosen.
#[test]
fn c08_configs_of_every_choice_read_back() {
    let folder = tempfile::tempdir().unwrap();
    for set in [
        "optimizer.name=sgd",
        "optimizer.name=lars",
        "optimizer.schedule=cosine",
        "train.precision=f16",
        "evaluation.mlp=false",
        "evaluation.knn=true",
        "dataset.on_bad=skip",
    ] {
        let one = shown(folder.path(), &arguments("x", &[set]), &[]);
        fs::write(folder.path().join("config.toml"), &one).unwrap();
        let again = run(folder.path(), &["config", "show", "config.toml"]);
        assert!(again.status.success(), "{set}: {}", errors(&again, folder.path()));
        assert_eq!(one, String::from_utf8(again.stdout).unwrap(), "{set}");
    }
}
