//! Processes as a user starts them: `--nproc`, a launcher's environment, and what a failing one does to the others.

use crate::support::{
    binary::{errors, experiment, infomax, run},
    faulty::fixture,
};
use serde_json::Value;
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

const SMALL: &[&str] = &[
    "dataset.config.train_length=96",
    "dataset.config.test_length=40",
    "encoder.config.ndf=4",
    "encoder.config.n_rkhs=16",
    "train.batch_size=16",
    "train.steps=12",
    "train.log_every_steps=1",
    "train.device=cpu",
    "train.threads=1",
    "train.workers=0",
    "optimizer.warmup_steps=0",
    "evaluation.every_steps=1000",
    "evaluation.untrained=false",
    "checkpoint.every_steps=4",
    "record.contact_sheet=false",
    "record.plot=false",
];
/// No settings besides.
const NOTHING: [&str; 0] = [];
/// Steps of a run that something else ends.
const LONG: &str = "train.steps=100000";

fn set<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    values.into_iter().flat_map(|value| ["--set".to_owned(), value.to_owned()]).collect()
}

/// The command line of a small run in `runs/<name>`.
pub fn arguments(name: &str, more: &[impl AsRef<str>]) -> Vec<String> {
    let mut list = vec!["train".to_owned(), experiment("shapes-demo"), "--set".into(), format!("record.name={name}")];
    list.extend(set(SMALL.iter().copied().chain(more.iter().map(AsRef::as_ref))));
    list
}

/// A small run of some processes.
pub fn ranks(folder: &Path, name: &str, nproc: usize, more: &[impl AsRef<str>]) -> Command {
    let mut list = arguments(name, more);
    list.extend(["--nproc".to_owned(), nproc.to_string()]);
    infomax(folder, &list)
}

fn finished(mut command: Command) -> Output {
    command.output().expect("the binary runs")
}

/// A fault of the loss in one rank.
fn faulty(callback: &str, fault: &str, rank: usize, step: u64) -> Vec<String> {
    vec![
        "loss.name=faulty".to_owned(),
        format!("loss.path={}", fixture("faulty").display()),
        format!("loss.config={{ callback = \"{callback}\", fault = \"{fault}\", rank = {rank}, step = {step} }}"),
    ]
}

pub fn losses(run: &Path) -> Vec<f64> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?.get("loss")?.as_f64()).collect()
}

/// The largest difference of two runs' losses, relative to them; both have `steps`.
pub fn losses_apart(one: &Path, other: &Path, steps: usize) -> f64 {
    let (one, other) = (losses(one), losses(other));
    assert_eq!((one.len(), other.len()), (steps, steps));
    one.iter().zip(&other).map(|(a, b)| (a - b).abs() / a.abs()).fold(0.0, f64::max)
}

pub fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A run under way, ended when dropped.
struct Running {
    child: Child,
    run: PathBuf,
}

impl Running {
    fn start(folder: &Path, name: &str, nproc: usize, more: &[&str]) -> Self {
        let mut command = ranks(folder, name, nproc, more);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        Self { child, run: folder.join("runs").join(name) }
    }

    /// Waits until some steps are done.
    fn wait_for_steps(&self, steps: usize) {
        let began = Instant::now();
        while losses(&self.run).len() < steps {
            assert!(began.elapsed() < Duration::from_secs(120), "no {steps} steps in two minutes");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The number of each rank's process, by rank.
    fn pids(&self) -> Vec<u32> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<u32>().ok());
            let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
            let rank = String::from_utf8_lossy(&environment)
                .split('\0')
                .find_map(|pair| pair.strip_prefix("RANK=")?.parse::<usize>().ok());
            if let (Some(rank), true) = (rank, parent == Some(self.child.id())) {
                found.push((rank, pid));
            }
        }
        found.sort_unstable();
        found.into_iter().map(|(_, pid)| pid).collect()
    }

    fn end(self) -> Output {
        self.child.wait_with_output().expect("a process ends")
    }
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().expect("kill runs").success());
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn fifty_steps_of_ranks_stay_with_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let steps = "train.steps=50";
    for (nproc, one, more) in [
        (2, "batch_norm.chunk_size=8", "batch_norm.mode=local"),
        (4, "batch_norm.chunk_size=4", "batch_norm.mode=local"),
        (2, "batch_norm.mode=local", "batch_norm.mode=sync"),
    ] {
        let (ours, theirs) = (format!("one-{nproc}-{more}"), format!("ranks-{nproc}-{more}"));
        let (ours, theirs) = (ours.replace('=', "-"), theirs.replace('=', "-"));
        let list = arguments(&ours, &[steps, one]);
        let output = run(folder.path(), &list);
        assert!(output.status.success(), "{}", text(&output));
        let output = finished(ranks(folder.path(), &theirs, nproc, &[steps, more]));
        assert!(output.status.success(), "{}", text(&output));
        let worst = losses_apart(&runs.join(ours), &runs.join(theirs), 50);
        println!("{nproc} ranks, {more}: loss within {worst:.1e} over 50 steps");
        assert!(worst < 1e-3, "{nproc} ranks, {more}: {worst:.1e}");
    }
}

#[test]
fn r01_killed_rank_ends_the_run_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (callback, step, ranks_to_kill) in
        [("create", 0, &[0, 1][..]), ("forward", 3, &[0, 1]), ("after_update", 0, &[1]), ("save", 0, &[0])]
    {
        for &rank in ranks_to_kill {
            let name = format!("{callback}-{rank}");
            let fault = faulty(callback, "kill", rank, step);
            let output = finished(ranks(folder.path(), &name, 2, &fault));
            let said = errors(&output, folder.path());
            assert_eq!(output.status.code(), Some(7), "{name}: {}", text(&output));
            assert!(said.contains(&format!("error: rank {rank} was killed by signal 9 (SIGKILL)")), "{said}");
            if callback == "forward" {
                assert!(said.contains(&format!("at: step 3, rank {rank}")), "{said}");
            }
        }
    }
}

#[test]
fn r01_kill_from_outside_ends_all_ranks_within_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let mut seconds = Vec::new();
    for (round, rank) in [0, 1, 2, 1, 0, 2].into_iter().enumerate() {
        let running = Running::start(folder.path(), &format!("kill-{round}"), 3, &[LONG, "train.batch_size=24"]);
        running.wait_for_steps(3 + 2 * round);
        let pids = running.pids();
        assert_eq!(pids.len(), 3);
        signal(pids[rank], "-9");
        let began = Instant::now();
        let output = running.end();
        seconds.push(began.elapsed().as_secs_f64());
        let said = errors(&output, folder.path());
        assert_eq!(output.status.code(), Some(7), "{said}");
        assert!(said.contains(&format!("rank {rank} was killed by signal 9 (SIGKILL)\n  at: step ")), "{said}");
        assert!(said.contains("--resume"), "{said}");
        assert!(pids.iter().all(|&pid| !is_alive(pid)), "no orphan is left");
    }
    seconds.sort_by(f64::total_cmp);
    println!("seconds from kill -9 to the end: median {:.2}, most {:.2}", seconds[3], seconds[5]);
    assert!(seconds[5] < 30.0, "{seconds:?}");
}

#[test]
fn r01_killed_supervisor_leaves_no_orphan() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), "supervisor", 2, &[LONG]);
    running.wait_for_steps(3);
    let pids = running.pids();
    signal(running.child.id(), "-9");
    running.end();
    let began = Instant::now();
    while pids.iter().any(|&pid| is_alive(pid)) {
        assert!(began.elapsed() < Duration::from_secs(20), "orphans");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn r02_first_error_of_a_rank_is_told_with_its_own_code() {
    let folder = tempfile::tempdir().unwrap();
    for (fault, wanted) in [("panic", "panicked"), ("torch_error", "failed in `before_step`")] {
        let set = faulty("before_step", fault, 1, 0);
        let output = finished(ranks(folder.path(), fault, 2, &set));
        let said = errors(&output, folder.path());
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(wanted) && said.contains("step 0, rank 1"), "{said}");
        assert_eq!(said.lines().filter(|line| line.starts_with("error:")).count(), 1, "{said}");
    }
}

#[test]
fn r03_stopped_rank_is_noticed_within_the_deadline_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), "stopped", 2, &[LONG, "distributed.timeout_seconds=3"]);
    running.wait_for_steps(3);
    let pids = running.pids();
    signal(pids[1], "-STOP");
    let began = Instant::now();
    let output = running.end();
    let said = errors(&output, folder.path());
    println!("seconds from SIGSTOP to the end: {:.1}, of which 3 are the deadline", began.elapsed().as_secs_f64());
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("rank 1 did not answer in time: it is stopped"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert!(pids.iter().all(|&pid| !is_alive(pid)), "no orphan is left");
}

#[test]
fn r03_slow_rank_is_named_with_its_time() {
    let folder = tempfile::tempdir().unwrap();
    // The dataset reads slowly in one rank: before it needs the others.
    let slow = [
        "train.log_every_steps=3".to_owned(),
        "dataset.name=faulty".to_owned(),
        format!("dataset.path={}", fixture("faulty").display()),
        "dataset.config={ callback = \"read\", fault = \"sleep\", rank = 1 }".to_owned(),
        "train.batch_size=4".to_owned(),
        "evaluation.linear=false".to_owned(),
        "evaluation.mlp=false".to_owned(),
        "evaluation.untrained=false".to_owned(),
    ];
    let more: Vec<&str> = slow.iter().map(String::as_str).collect();
    let mut list = arguments("slow", &NOTHING);
    list.retain(|value| !value.starts_with("dataset.config.") && !value.starts_with("evaluation."));
    let list: Vec<String> = without_lone_set(list).into_iter().chain(set(more)).collect();
    let list: Vec<&str> = list.iter().map(String::as_str).chain(["--nproc", "2"]).collect();
    let output = run(folder.path(), &list);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("rank 1 holds the others up: "), "{}", text(&output));
}

/// A `--set` whose value was taken out goes too.
fn without_lone_set(list: Vec<String>) -> Vec<String> {
    let lone = |i: usize| list[i] == "--set" && list.get(i + 1).is_none_or(|next| next.starts_with("--"));
    (0..list.len()).filter(|&i| !lone(i)).map(|i| list[i].clone()).collect()
}

/// Two processes in a launcher's environment; each with values of its own.
fn launched(folder: &Path, port: u16, own: [&[&str]; 2]) -> [Output; 2] {
    let start = |rank: usize| {
        let list = arguments("launched", own[rank]);
        let mut command = infomax(folder, &list);
        command.envs([("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", 2)].map(|(k, v)| (k, v.to_string())));
        command.envs([("MASTER_ADDR", "127.0.0.1".to_owned()), ("MASTER_PORT", port.to_string())]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
    };
    [0, 1].map(start).map(|child| child.wait_with_output().expect("a process ends"))
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn launchers_environment_trains_together() {
    let folder = tempfile::tempdir().unwrap();
    let outputs = launched(folder.path(), free_port(), [&[], &[]]);
    assert!(outputs.iter().all(|output| output.status.success()), "{}\n{}", text(&outputs[0]), text(&outputs[1]));
    assert_eq!(losses(&folder.path().join("runs/launched")).len(), 12);
    assert_eq!(fs::read_dir(folder.path().join("runs")).unwrap().count(), 1, "rank 0 alone writes");
}

#[test]
fn launchers_number_of_processes_is_held_to_the_configs_rules() {
    let folder = tempfile::tempdir().unwrap();
    for (set, wanted) in [
        ("train.batch_size=15", "`train.batch_size` = 15 is not a multiple of `distributed.nproc` = 2"),
        ("batch_norm.chunk_size=16", "`batch_norm.chunk_size` = 16 does not divide the 8 images of a pass"),
    ] {
        for output in launched(folder.path(), free_port(), [&[set], &[set]]) {
            let said = errors(&output, folder.path());
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains(wanted), "{said}");
        }
    }
}

#[test]
fn r04_different_config_names_rank_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let outputs = launched(folder.path(), free_port(), [&[], &["train.seed=2", "optimizer.lr=0.5"]]);
    for output in &outputs {
        let said = errors(output, folder.path());
        assert_eq!(output.status.code(), Some(7), "{said}");
        assert!(said.contains("rank 1 has `optimizer.lr` = 0.5, rank 0 has 0.001"), "{said}");
        assert!(said.contains("rank 1 has `train.seed` = 2, rank 0 has 1"), "{said}");
    }
}

#[test]
fn r05_different_plugin_or_data_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("libother.so");
    let mut bytes = fs::read(fixture("faulty")).unwrap();
    bytes.push(0);
    fs::write(&other, bytes).unwrap();
    let path = |file: &Path| format!("loss.path={}", file.display());
    let (ours, theirs) = (path(&fixture("faulty")), path(&other));
    let plugin = ["loss.name=faulty", "loss.config={}"];
    let (mut first, mut second) = (plugin.to_vec(), plugin.to_vec());
    first.push(&ours);
    second.push(&theirs);
    let outputs = launched(folder.path(), free_port(), [&first, &second]);
    let said = errors(&outputs[0], folder.path());
    assert_eq!(outputs[0].status.code(), Some(7), "{said}");
    assert!(said.contains("rank 1 has `plugin ") && !said.contains("loss.path"), "{said}");

    let outputs = launched(folder.path(), free_port(), [&[], &["dataset.config.train_length=112"]]);
    let said = errors(&outputs[1], folder.path());
    assert_eq!(outputs[1].status.code(), Some(7), "{said}");
    assert!(said.contains("rank 1 has `dataset` = "), "{said}");
}

#[test]
fn r06_uneven_data_give_equal_steps() {
    let folder = tempfile::tempdir().unwrap();
    for length in [47, 48, 49] {
        let name = format!("length-{length}");
        let length_set = format!("dataset.config.train_length={length}");
        let mut list = arguments(&name, &[&length_set, "train.epochs=2"]);
        list.retain(|value| value != "train.steps=12");
        let list = without_lone_set(list);
        let list: Vec<&str> = list.iter().map(String::as_str).chain(["--nproc", "2"]).collect();
        let output = run(folder.path(), &list);
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(losses(&folder.path().join("runs").join(name)).len(), 2 * (length / 16));
    }
}

#[test]
fn r07_two_jobs_at_once_finish_and_a_taken_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = ["first", "second"].map(|name| Running::start(folder.path(), name, 2, &[]));
    for job in jobs {
        let output = job.end();
        assert!(output.status.success(), "{}", text(&output));
    }
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let list = arguments("taken", &NOTHING);
    let mut command = infomax(folder.path(), &list);
    command.envs([("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", &port)]);
    let output = finished(command);
    let said = errors(&output, folder.path());
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains(&port) && said.contains("in use"), "{said}");
}

#[test]
fn r08_run_begins_again_from_its_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("killed");
    let config =
        |once: &str| format!("loss.config={{ callback = \"forward\", fault = \"kill\", rank = 1, step = 6{once} }}");
    let mut set = faulty("forward", "kill", 1, 6);
    set[2] = config(&format!(", once = \"{}\"", marker.display()));
    set.push("distributed.max_restarts=2".to_owned());
    let output = finished(ranks(folder.path(), "again", 2, &set));
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(text(&output).matches("restart 1 of at most 2").count(), 1, "{}", text(&output));
    let control = faulty("nowhere", "none", 1, 6);
    let control = finished(ranks(folder.path(), "control", 2, &control));
    assert!(control.status.success(), "{}", text(&control));
    let runs = folder.path().join("runs");
    assert_eq!(losses(&runs.join("again")), losses(&runs.join("control")));
}

#[test]
fn r11_flipped_bit_is_found_at_the_next_check() {
    let folder = tempfile::tempdir().unwrap();
    let mut set = faulty("after_update", "flip_bit", 1, 5);
    set.push("distributed.check_every_steps=4".to_owned());
    let output = finished(ranks(folder.path(), "flipped", 2, &set));
    let said = errors(&output, folder.path());
    assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    assert!(said.contains("`loss.scale` on rank 1 is not what it is on rank 0\n  at: step 8"), "{said}");
}

#[test]
fn r12_ranks_without_a_device_are_refused_before_training() {
    if Path::new("/proc/driver/nvidia").exists() {
        return eprintln!("SKIPPED: this machine has a GPU; the rule is also tested by itself");
    }
    let folder = tempfile::tempdir().unwrap();
    let output = finished(ranks(folder.path(), "gpus", 2, &["train.device=cuda"]));
    let said = errors(&output, folder.path());
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("CUDA devices can be used"), "{said}");
    let mut list = arguments("gpus", &NOTHING);
    list.push("--nproc".to_owned());
    let output = run(folder.path(), &list);
    let said = errors(&output, folder.path());
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("one process per GPU"), "{said}");
}

#[test]
fn signal_saves_and_another_number_of_ranks_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), "signal", 2, &["train.steps=40"]);
    running.wait_for_steps(5);
    signal(running.child.id(), "-TERM");
    let output = running.end();
    let said = errors(&output, folder.path());
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains("the state is saved"), "{said}");
    let before = losses(&folder.path().join("runs/signal")).len();
    let refused = run(folder.path(), &["train", "--resume", "runs/signal", "--nproc", "3"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(errors(&refused, folder.path()).contains("`distributed.nproc` = 3"), "{}", text(&refused));
    for nproc in ["1", "4"] {
        let output = run(folder.path(), &["train", "--resume", "runs/signal", "--nproc", nproc]);
        assert!(output.status.success(), "{}", text(&output));
    }
    assert!(before < 40 && losses(&folder.path().join("runs/signal")).len() == 40);
}
