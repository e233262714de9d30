//! A request to end that is heard twice or thrice, as Slurm, systemd and a terminal make it, which signal every process of a job: the
//! state is saved, whatever has begun the run, and the same command line goes on with it.

use crate::{
    distributed::launchers::launched,
    studies::small,
    support::{
        binary::infomax,
        family::family,
        figures::{figure, sampled},
        python::python_with,
    },
    training::arguments,
};
use infomax::checkpoint::CheckpointSet;
use infomax_sdk::{Key, KeyedRng};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

const CASES: u32 = 100;
const STEPS: u64 = 60;
const MOST_SPACING: f64 = 1.2; // seconds: three signals lie within what counts as one request

/// What has begun a run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Itself,
    Nproc,
    Torchrun,
    Study,
}

impl By {
    /// The command, which begins and goes on.
    fn command(self, folder: &Path) -> Command {
        let steps = format!("train.steps={STEPS}");
        let settings =
            [&steps, "evaluation.every_steps=20", "checkpoint.every_steps=8", "dataset.config.test_length=100"];
        let mut list = arguments("run", &settings);
        list.extend(["--resume".to_owned(), "auto".to_owned()]);
        match self {
            Self::Itself => infomax(folder, &list),
            Self::Nproc => infomax(folder, &[list, vec!["--nproc".to_owned(), "2".to_owned()]].concat()),
            Self::Torchrun => {
                let python = python_with("torch.distributed.run").expect("looked for before");
                let options = ["-m", "torch.distributed.run", "--no-python", "--standalone", "--nproc-per-node=2"];
                launched(folder, &python.to_string_lossy(), &options, &list)
            }
            Self::Study => {
                let head = format!("budget = {{ steps = {STEPS} }}\n");
                small::write(folder, &head, "[axes]\n\"optimizer.lr\" = [1e-4, 2e-4]\n");
                infomax(folder, &["ablate", "run", "small.toml", "--workers", "2"])
            }
        }
    }

    /// The directories of its runs, as far as they exist.
    fn runs(self, folder: &Path) -> Vec<PathBuf> {
        let runs = match self {
            Self::Study => small::cells(folder).iter().map(|cell| cell.join("run")).collect(),
            _ => vec![folder.join("runs/run")],
        };
        runs.into_iter().filter(|run| run.join("run.lock").exists()).collect()
    }
}

/// Starts it with its words in a file: nobody reads a pipe meanwhile.
fn start(by: By, folder: &Path) -> Child {
    let said = File::create(folder.join("said")).unwrap();
    let mut command = by.command(folder);
    command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap()
}

/// Sends the same signal to all of a job, twice or thrice, as long as it is there.
fn ask(child: &mut Child, rng: &mut KeyedRng) {
    let signal = [libc::SIGTERM, libc::SIGINT][rng.below(2) as usize];
    for n in 0..2 + rng.below(2) {
        if n > 0 {
            thread::sleep(Duration::from_secs_f64(rng.uniform(0.0, MOST_SPACING)));
        }
        if child.try_wait().unwrap().is_some() {
            return;
        }
        for pid in family(child.id()) {
            // SAFETY: `kill` has no preconditions; the processes are this test's child, not waited for, and what is below it.
            unsafe { libc::kill(pid as libc::pid_t, signal) };
        }
    }
}

/// The steps that a run has recorded.
fn steps(run: &Path) -> Vec<u64> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let rows = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    rows.filter(|row| row.get("lr").is_some()).map(|row| row["step"].as_u64().unwrap()).collect()
}

/// Whether all that a run has done is in its newest checkpoint.
fn is_saved(run: &Path) -> bool {
    let newest = CheckpointSet::new(run.join("checkpoints")).newest().0;
    newest.map_or(0, |newest| newest.manifest.step) >= steps(run).last().copied().unwrap_or(0)
}

#[test]
fn t08_a_request_heard_twice_or_thrice_saves_whatever_has_begun_the_run() {
    let mut ways = vec![By::Itself, By::Nproc, By::Study];
    if python_with("torch.distributed.run").is_some() {
        ways.push(By::Torchrun);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut durations = Vec::new();
    for by in &ways {
        let folder = folder.path().join(format!("{by:?}"));
        fs::create_dir(&folder).unwrap();
        let mut whole = start(*by, &folder);
        wait_for_run(*by, &folder, &mut whole);
        let began = Instant::now();
        assert!(whole.wait().unwrap().success(), "{}", said(&folder));
        durations.push(began.elapsed());
    }
    let cases = sampled("t08-requests", (0..CASES).collect());
    let (mut saved, mut finished) = (0, 0);
    for &case in &cases {
        let way = case as usize % ways.len();
        let by = ways[way];
        let mut rng = Key::new(8).purpose(&format!("requests {case}")).rng();
        let folder = folder.path().join(case.to_string());
        fs::create_dir(&folder).unwrap();
        let mut child = start(by, &folder);
        wait_for_run(by, &folder, &mut child);
        thread::sleep(durations[way].mul_f64(rng.uniform(0.0, 0.8)));
        ask(&mut child, &mut rng);
        let status = child.wait().unwrap();
        let lost: Vec<_> = by.runs(&folder).into_iter().filter(|run| !is_saved(run)).collect();
        assert!(lost.is_empty(), "case {case} ({by:?}): {lost:?} {}", said(&folder));
        match ending(by, status) {
            Some(true) => finished += 1,
            Some(false) => saved += 1,
            None => panic!("case {case} ({by:?}): {status:?} {}", said(&folder)),
        }
        assert!(start(by, &folder).wait().unwrap().success(), "case {case} ({by:?}): {}", said(&folder));
        let runs = by.runs(&folder);
        assert_eq!(runs.len(), if by == By::Study { 2 } else { 1 });
        for run in runs {
            assert_eq!(steps(&run), (1..=STEPS).collect::<Vec<_>>(), "case {case} ({by:?})");
        }
    }
    assert!(saved > finished, "{finished} of {} ended before they were asked", cases.len());
    figure("T08", "saved at a request heard twice or thrice, and gone on", saved + finished, cases.len());
}

/// Until the run exists, from when on it has something to lose.
fn wait_for_run(by: By, folder: &Path, child: &mut Child) {
    let began = Instant::now();
    while by.runs(folder).is_empty() {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none() && began.elapsed() < Duration::from_secs(120), "{ended:?} {}", said(folder));
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether it has finished; none for an exit that is neither that nor an interruption. torchrun has codes of its own.
fn ending(by: By, status: ExitStatus) -> Option<bool> {
    match status.code() {
        Some(0) => Some(true),
        Some(75) => Some(false),
        _ => (by == By::Torchrun).then_some(false),
    }
}

/// The last that it said: how it ended.
fn said(folder: &Path) -> String {
    const LINES: usize = 40;
    let text = fs::read_to_string(folder.join("said")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
