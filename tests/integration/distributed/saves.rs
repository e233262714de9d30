//! What several processes save, and go on from: one of them writes for all, and all go on from what that one has.

use super::launch::{free_port, losses, ranks, text};
use crate::resume::exact::{copy, cut};
use crate::support::{
    binary::{errors, infomax, run},
    figures::figure,
};
use infomax::checkpoint::CheckpointSet;
use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
};

/// The processes of one run, as a launcher on two machines would start them: each with a folder of its own.
fn launched(folders: [&Path; 2], lists: [&[&str]; 2]) -> [Output; 2] {
    let port = free_port().to_string();
    let start = |rank: usize| {
        let mut command = infomax(folders[rank], lists[rank]);
        let rank = rank.to_string();
        command.envs([("RANK", rank.as_str()), ("LOCAL_RANK", &rank), ("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2")]);
        command.envs([("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", &port)]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children = [start(0), start(1)];
    children.map(|child| child.wait_with_output().unwrap())
}

/// The second machine has an older checkpoint, and then one that the first does not have.
#[test]
fn r09_all_go_on_from_what_the_first_has() {
    let folder = tempfile::tempdir().unwrap();
    let keep = ["checkpoint.keep=10"];
    let output = ranks(folder.path(), "whole", 2, &keep).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let whole = folder.path().join("runs/whole");
    let machines = ["one", "two"].map(|name| folder.path().join(name));
    let cases = [(8, 4), (4, 8)];
    for (first, second) in cases {
        for (machine, last) in machines.iter().zip([first, second]) {
            let _ = fs::remove_dir_all(machine);
            fs::create_dir_all(machine.join("runs")).unwrap();
            copy(&whole, &machine.join("runs/run"));
            cut(&machine.join("runs/run"), last);
        }
        let list = ["train", "--resume", "runs/run"];
        let outputs = launched([&machines[0], &machines[1]], [&list, &list]);
        assert!(outputs.iter().all(|output| output.status.success()), "{}\n{}", text(&outputs[0]), text(&outputs[1]));
        assert_eq!(losses(&machines[0].join("runs/run")), losses(&whole), "from {first}, {second}");
        let encoder = |run: &Path| fs::read(run.join("encoder.safetensors")).unwrap();
        assert!(encoder(&machines[0].join("runs/run")) == encoder(&whole));
    }
    figure("R09", "cases that go on from the first one's", cases.len(), cases.len());
}

/// A signal that comes after the last step leaves a run whose end is still to be written, which rank 0 alone can see.
#[test]
fn r09_a_run_that_lacks_its_end_alone_is_finished_by_all() {
    let folder = tempfile::tempdir().unwrap();
    let output = ranks(folder.path(), "run", 2, &["checkpoint.keep=10"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let encoder = folder.path().join("runs/run/encoder.safetensors");
    let whole = fs::read(&encoder).unwrap();
    fs::remove_file(&encoder).unwrap();
    for said in ["done", "this run is finished"] {
        let output = run(folder.path(), &["train", "--resume", "runs/run", "--nproc", "2"]);
        assert!(output.status.success() && text(&output).contains(said), "{}", text(&output));
        assert!(fs::read(&encoder).unwrap() == whole);
    }
}

#[test]
fn r10_a_save_that_fails_commits_nothing_and_is_told_by_all() {
    let folder = tempfile::tempdir().unwrap();
    let faults = ["checkpoint.write@5:full", "checkpoint.sync@8:full", "checkpoint.write@8:full"];
    for (number, fault) in faults.iter().enumerate() {
        let name = format!("run-{number}");
        let mut command = ranks(folder.path(), &name, 2, &["checkpoint.keep=10"]);
        let output = command.env("INFOMAX_FAULT", fault).output().unwrap();
        let said = errors(&output, folder.path());
        assert_eq!(output.status.code(), Some(8), "{fault}: {said}");
        assert!(said.contains("rank 0") && said.contains("step-000000008") && said.contains("--resume"), "{said}");
        let set = CheckpointSet::new(folder.path().join("runs").join(&name).join("checkpoints"));
        assert_eq!(set.newest().0.unwrap().manifest.step, 4);
        let output = run(folder.path(), &["train", "--resume", &format!("runs/{name}")]);
        assert!(output.status.success(), "{}", text(&output));
    }
    figure("R10", "failed saves that commit nothing", faults.len(), faults.len());
}
