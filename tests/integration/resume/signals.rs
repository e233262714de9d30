//! A signal asks for an end after the step at hand: the state is saved, the exit code is 75, and the run goes on later to the same
//! bytes. A second signal ends the process at once.

use super::exact::copy;
use crate::{
    support::{
        binary::{errors, infomax, run},
        family::family,
        figures::{figure, sampled},
    },
    training::{arguments, assert_ok, train},
};
use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Long enough to be met anywhere: loading, warm-up, steps, tests, checkpoints.
const SETTINGS: [&str; 5] = [
    "train.steps=60",
    "evaluation.every_steps=12",
    "checkpoint.every_steps=8",
    "checkpoint.keep=100",
    "dataset.config.test_length=200",
];

fn start(folder: &Path, name: &str, environment: &[(&str, &str)]) -> Child {
    let mut command = infomax(folder, &arguments(name, &SETTINGS));
    command.envs(environment.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: `kill` has no preconditions; the child was started here and is waited for later.
    unsafe { libc::kill(child.id() as libc::pid_t, signal) };
}

fn wait_until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never came to that");
        thread::sleep(Duration::from_millis(1));
    }
}

fn assert_ends_alike(folder: &Path, whole: &str, name: &str) {
    assert_ok(&run(folder, &["train", "--resume", &format!("runs/{name}")]));
    let last = |name: &str| fs::read(folder.join("runs").join(name).join("encoder.safetensors")).unwrap();
    assert!(last(whole) == last(name), "{name} ends elsewhere");
}

#[test]
fn t08_a_signal_at_any_time_saves_and_exits_75() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    assert_ok(&train(folder.path(), "whole", &SETTINGS));
    let mut duration = began.elapsed();
    let cases = sampled("t08", (0..100u32).collect());
    let (mut saved, mut finished, mut waits) = (0, 0, Vec::new());
    for &case in &cases {
        let name = format!("cut-{case}");
        let place = folder.path().join("runs").join(&name);
        let mut cut = || {
            let mut child = start(folder.path(), &name, &[]);
            // From the moment that the run exists, spread over all of it by the golden ratio.
            wait_until(|| place.join("run.lock").exists());
            let (exists, wait) = (Instant::now(), duration.mul_f64(0.9 * (f64::from(case) * 0.618_034).fract()));
            while exists.elapsed() < wait && child.try_wait().unwrap().is_none() {
                thread::sleep(Duration::from_millis(2));
            }
            if child.try_wait().unwrap().is_some() {
                duration = duration.min(exists.elapsed()); // the machine is faster than it was
            } else {
                signal(&child, [libc::SIGTERM, libc::SIGINT, libc::SIGUSR1][case as usize % 3]);
            }
            let asked = Instant::now();
            let output = child.wait_with_output().unwrap();
            waits.push(asked.elapsed().as_secs_f64());
            let was_saved = output.status.code() == Some(75);
            let ended = was_saved || output.status.success();
            assert!(ended, "case {case}: {:?} {}", output.status, errors(&output, folder.path()));
            assert_ends_alike(folder.path(), "whole", &name);
            was_saved
        };
        let mut was_saved = cut();
        // One that ended before its signal is made again, by the time that it took.
        for _ in 0..2 {
            if !was_saved {
                fs::remove_dir_all(&place).unwrap();
                was_saved = cut();
            }
        }
        if was_saved {
            saved += 1;
        } else {
            finished += 1;
        }
    }
    waits.sort_by(f64::total_cmp);
    println!("t08: seconds to exit: median {:.2}, most {:.2}", waits[waits.len() / 2], waits[waits.len() - 1]);
    assert!(saved > finished, "{finished} of {} runs ended before their signal", cases.len());
    figure("T08", "saved at a signal and ended alike", saved + finished, cases.len());
}

/// The signals of a set in a `status` of `/proc`, as bits: `SigBlk`, those that are held; `SigCgt`, those with a handler.
fn bits(status: &str, set: &str) -> u64 {
    let bits = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(':'));
    bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

/// Of each thread of a process: its name, and which of the three signals it holds.
fn held(pid: u32) -> Vec<(String, Vec<i32>)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    let one = |text: String| {
        let name = text.lines().find_map(|line| line.strip_prefix("Name:"))?.trim().to_owned();
        let three = [libc::SIGTERM, libc::SIGINT, libc::SIGUSR1];
        let blocked = bits(&text, "SigBlk");
        Some((name, three.into_iter().filter(|signal| blocked & (1 << (signal - 1)) != 0).collect()))
    };
    texts.filter_map(one).collect()
}

#[test]
fn a_request_interrupts_no_thread_that_computes() {
    let folder = tempfile::tempdir().unwrap();
    let more = ["train.steps=100000", "evaluation.every_steps=100000", "checkpoint.every_steps=3"];
    let list = [arguments("run", &more), vec!["--nproc".to_owned(), "2".to_owned()]].concat();
    let mut command = infomax(folder.path(), &list);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let metrics = folder.path().join("runs/run/metrics.jsonl");
    wait_until(|| metrics.metadata().is_ok_and(|file| file.len() > 0));
    let is_engine =
        |pid: &u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("infomax-engine"));
    let engines: Vec<u32> = family(child.id()).into_iter().filter(is_engine).collect();
    assert_eq!(engines.len(), 3, "the supervisor and two ranks");
    for pid in engines {
        let threads = held(pid);
        let (hold, hear): (Vec<_>, Vec<_>) = threads.iter().partition(|(_, held)| held.len() == 3);
        assert!(hear.len() == 1 && hear[0].0 == "signals" && hear[0].1.is_empty(), "{threads:?}");
        assert!(pid == child.id() || hold.len() > 2, "a rank has more threads than one: {threads:?}");
    }
    signal(&child, libc::SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", errors(&output, folder.path()));
}

#[test]
fn t08_a_second_request_ends_it_at_once_and_the_same_one_heard_twice_does_not() {
    let folder = tempfile::tempdir().unwrap();
    // The first checkpoint takes twenty seconds, which the first signal waits for.
    let mut child = start(folder.path(), "run", &[("INFOMAX_FAULT", "checkpoint.write@1:sleep=20000")]);
    let beside = folder.path().join("runs/run/checkpoints/.writing-step-000000008");
    wait_until(|| beside.exists());
    for asked in [libc::SIGTERM, libc::SIGTERM, libc::SIGINT] {
        signal(&child, asked);
        thread::sleep(Duration::from_millis(300));
    }
    assert!(child.try_wait().unwrap().is_none(), "signals within seconds are one request");
    thread::sleep(Duration::from_secs(5));
    let began = Instant::now();
    signal(&child, libc::SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(output.status.code(), Some(130));
    assert_ok(&train(folder.path(), "whole", &SETTINGS));
    assert_ends_alike(folder.path(), "whole", "run");
}

/// Before `main`, while libraries are loaded, for a third of a second.
#[test]
fn t08_a_signal_before_the_program_begins_is_heard_when_it_does() {
    let folder = tempfile::tempdir().unwrap();
    for (n, asked) in [libc::SIGTERM, libc::SIGINT, libc::SIGUSR1].into_iter().enumerate() {
        let child = start(folder.path(), &format!("run-{n}"), &[]);
        // Held, and not listened to: a program that has begun holds it, too.
        let is_held = || {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            let is_in = |set: &str| bits(&status, set) & (1 << (asked - 1)) != 0;
            is_in("SigBlk") && !is_in("SigCgt")
        };
        wait_until(is_held);
        signal(&child, asked);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(75), "{:?} {}", output.status, errors(&output, folder.path()));
    }
}

#[test]
fn t09_a_signal_while_a_checkpoint_is_written_leaves_one_of_its_step() {
    let folder = tempfile::tempdir().unwrap();
    let child = start(folder.path(), "run", &[("INFOMAX_FAULT", "checkpoint.write@2:sleep=1000")]);
    let checkpoints = folder.path().join("runs/run/checkpoints");
    wait_until(|| checkpoints.join(".writing-step-000000008").exists());
    signal(&child, libc::SIGINT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", errors(&output, folder.path()));
    let mut names: Vec<_> = fs::read_dir(&checkpoints).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    let text = errors(&output, folder.path());
    let last = names.last().unwrap().to_string_lossy().into_owned();
    assert!(names.len() <= 2 && names.iter().all(|n| n.to_string_lossy().starts_with("step-")), "{names:?}");
    let step: u64 = last["step-".len()..].parse().unwrap();
    assert!(text.contains(&format!("interrupted after step {step};")), "{last}: {text}");
    assert_ok(&train(folder.path(), "whole", &SETTINGS));
    assert_ends_alike(folder.path(), "whole", "run");
}

#[test]
fn t10_a_kill_before_the_save_is_done_leaves_the_checkpoint_before() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "whole", &SETTINGS));
    for n in 1..=3 {
        let name = format!("run-{n}");
        // The second checkpoint: its n-th file takes too long for whoever asks.
        let fault = format!("checkpoint.write@{}:sleep=3000", 4 + n);
        let mut child = start(folder.path(), &name, &[("INFOMAX_FAULT", &fault)]);
        let checkpoints = folder.path().join("runs").join(&name).join("checkpoints");
        wait_until(|| checkpoints.join(".writing-step-000000016").exists());
        signal(&child, libc::SIGTERM);
        thread::sleep(Duration::from_millis(50));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        let torn = format!("run-{n}-torn");
        copy(&folder.path().join("runs").join(&name), &folder.path().join("runs").join(&torn));
        let (newest, _) = infomax::checkpoint::CheckpointSet::new(&checkpoints).newest();
        assert_eq!(newest.unwrap().manifest.step, 8);
        assert_ends_alike(folder.path(), "whole", &name);
        assert!(!checkpoints.join(".writing-step-000000016").exists(), "what was torn is swept");
    }
    figure("T10", "resumed after a kill within the grace", 3, 3);
}
