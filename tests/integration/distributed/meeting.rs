//! Before the first step: whoever waits for others hears signals, strangers and failures, and waits no longer than was asked for.

use super::launch::{arguments, losses, text};
use crate::support::{binary::infomax, slurm::wait_until};
use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// One of two processes, in a launcher's environment.
fn rank(folder: &Path, rank: usize, port: u16, more: &[&str]) -> Command {
    let mut command = infomax(folder, &arguments("run", more));
    command.envs([("RANK", rank.to_string()), ("LOCAL_RANK", rank.to_string()), ("MASTER_PORT", port.to_string())]);
    command.envs([("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2"), ("MASTER_ADDR", "a.name.that.nobody.knows")]);
    command
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
}

fn free_port() -> u16 {
    TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

fn ended_within(child: Child, limit: Duration) -> Output {
    let began = Instant::now();
    let output = child.wait_with_output().expect("a process ends");
    assert!(began.elapsed() < limit, "{:?}: {}", began.elapsed(), text(&output));
    output
}

fn term(child: &Child) {
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
}

/// Generous: machines that run tests are busy.
const AT_ONCE: Duration = Duration::from_secs(20);

#[test]
fn one_machine_needs_no_name_service() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let children = [0, 1].map(|number| start(rank(folder.path(), number, port, &[])));
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    assert_eq!(losses(&folder.path().join("runs/run")).len(), 12);
}

#[test]
fn one_signal_ends_whoever_waits_and_leaves_the_name_free() {
    for number in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let child = start(rank(folder.path(), number, free_port(), &[]));
        let run = folder.path().join("runs/run");
        if number == 0 {
            assert!(wait_until(Duration::from_secs(60), || run.exists()), "it begins");
        }
        thread::sleep(Duration::from_secs(2));
        term(&child);
        let output = ended_within(child, AT_ONCE);
        assert_eq!(output.status.code(), Some(75), "rank {number}: {}", text(&output));
        assert!(text(&output).contains("interrupted before the first step"), "{}", text(&output));
        assert!(!run.exists(), "the name is free again");
    }
}

#[test]
fn a_signal_to_one_ends_the_others_that_wait_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    // A third that never comes.
    let of_three = |number| {
        let mut command = rank(folder.path(), number, port, &["train.batch_size=15"]);
        command.envs([("WORLD_SIZE", "3"), ("LOCAL_WORLD_SIZE", "3")]);
        start(command)
    };
    let (first, second) = (of_three(0), of_three(1));
    assert!(wait_until(Duration::from_secs(60), || folder.path().join("runs/run").exists()), "it begins");
    thread::sleep(Duration::from_secs(4));
    term(&second);
    assert_eq!(ended_within(second, AT_ONCE).status.code(), Some(75));
    let output = ended_within(first, AT_ONCE * 2);
    assert_eq!(output.status.code(), Some(75), "{}", text(&output));
}

#[test]
fn waiting_is_told_and_bounded_by_one_setting() {
    let folder = tempfile::tempdir().unwrap();
    let output = rank(folder.path(), 0, free_port(), &["distributed.meeting_seconds=7"]).output().unwrap();
    let told = text(&output);
    assert_eq!(output.status.code(), Some(7), "{told}");
    assert!(told.contains("waiting for rank 1 of 2 at 127.0.0.1"), "{told}");
    assert!(
        told.contains("rank 1 of 2 did not come within 7 s") && told.contains("distributed.meeting_seconds"),
        "{told}"
    );
    let output = rank(folder.path(), 1, free_port(), &["distributed.meeting_seconds=2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    assert!(text(&output).contains("rank 0 of this job is not at 127.0.0.1"), "{}", text(&output));
}

#[test]
fn a_failure_of_either_before_the_meeting_is_the_others_at_once() {
    // The name is taken: rank 0 finds out. Data that are not there: rank 1 alone is told so.
    for failing in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut more = vec!["distributed.meeting_seconds=120"];
        if failing == 0 {
            fs::create_dir_all(folder.path().join("runs/run/checkpoints")).unwrap();
        }
        let sound = start(rank(folder.path(), 1 - failing, port, &more));
        thread::sleep(Duration::from_secs(2));
        if failing == 1 {
            more.push("dataset.label_list=nowhere.txt");
        }
        let began = Instant::now();
        let failed = rank(folder.path(), failing, port, &more).output().unwrap();
        let output = sound.wait_with_output().unwrap();
        assert!(began.elapsed() < AT_ONCE * 2, "{:?}", began.elapsed());
        let (code, words) = if failing == 0 { (2, "is not empty") } else { (4, "nowhere.txt") };
        assert_eq!(failed.status.code(), Some(code), "{}", text(&failed));
        assert_eq!(output.status.code(), Some(code), "rank {failing} failed: {}", text(&output));
        assert!(
            text(&output).contains(words) && text(&output).contains(&format!("rank {failing}")),
            "{}",
            text(&output)
        );
    }
}

#[test]
fn a_stranger_at_the_port_is_told_apart_from_a_process_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let stranger = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = stranger.local_addr().unwrap().port();
    thread::spawn(move || {
        // Takes connections, and never says a word.
        let held: Vec<_> = stranger.incoming().collect();
        drop(held);
    });
    let first = rank(folder.path(), 0, port, &[]).output().unwrap();
    assert_eq!(first.status.code(), Some(7), "{}", text(&first));
    assert!(text(&first).contains(&format!("port {port} can't be opened")), "{}", text(&first));
    let second = rank(folder.path(), 1, port, &[]).output().unwrap();
    assert_eq!(second.status.code(), Some(7), "{}", text(&second));
    assert!(text(&second).contains("another program or job has the port"), "{}", text(&second));
}

#[test]
fn a_job_that_comes_to_anothers_store_is_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let waiting = start(rank(folder.path(), 0, port, &["distributed.meeting_seconds=60"]));
    assert!(wait_until(Duration::from_secs(60), || folder.path().join("runs/run").exists()), "it begins");
    thread::sleep(Duration::from_secs(2));
    let mut other = rank(folder.path(), 1, port, &["distributed.meeting_seconds=20"]);
    let output = other.env("TORCHELASTIC_RUN_ID", "other").output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    assert!(text(&output).contains("the store of another job"), "{}", text(&output));
    term(&waiting);
    assert_eq!(waiting.wait_with_output().unwrap().status.code(), Some(75));
}
