//! Starts the ranks of a run on this machine, watches them, and ends them all when one fails: within a deadline, without
//! orphans, telling the first cause. Holds the store where they meet, so that it outlives any of them.

use super::{native::Store, place::STORE_IS_SERVED, report::Report};
use crate::{
    child::ends_with_this_process,
    error::{Error, Fault, Result},
    train::{Signals, held_for},
};
use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const POLL: Duration = Duration::from_millis(10);
/// How long the others have to notice that a rank is gone, before they are ended.
const GRACE: Duration = Duration::from_secs(5);
/// The folder in a run directory for what ranks say.
const FOLDER: &str = "ranks";

/// What to start.
pub struct Job<'a> {
    /// Arguments of each rank after the executable.
    pub arguments: Vec<OsString>,
    /// Environment beside what the ranks inherit.
    pub environment: Vec<(&'static str, OsString)>,
    pub run: PathBuf,
    pub nproc: usize,
    /// How long ranks wait for one another.
    pub timeout: Duration,
    /// What asks for an end, which is passed on.
    pub signals: &'a Signals,
    /// Called over and over while the ranks run.
    pub watch: &'a dyn Fn() -> Result<()>,
}

/// How a job ended without a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervised {
    /// Every rank finished.
    Finished,
    /// A signal asked for an end; the state of this step is saved.
    Interrupted { step: u64 },
}

/// One rank of this machine.
struct Rank {
    number: usize,
    child: Child,
    report: PathBuf,
    ended: Option<Ended>,
}

struct Ended {
    status: ExitStatus,
    /// Seconds since 1970.
    time: f64,
    /// Ended by the supervisor, since others had failed.
    by_us: bool,
    /// What the system said of it before that: `T` stopped, `D` waiting for a device, ….
    state: Option<char>,
    report: Option<Report>,
}

impl Ended {
    fn is_well(&self) -> bool {
        matches!(self.status.code(), Some(0 | 75))
    }
}

/// Runs a job to its end.
///
/// # Errors
/// The first cause of a failure: a rank's own error with its exit code, or what became of the rank (exit code 7).
pub fn supervise(job: &Job<'_>) -> Result<Supervised> {
    let (_store, port) = Store::serve(None, job.timeout).map_err(Error::native("open a port for the processes"))?;
    let folder = job.run.join(FOLDER);
    fs::create_dir_all(&folder).map_err(Error::io("make the folder", &folder))?;
    let mut ranks = Ranks(Vec::new());
    for number in 0..job.nproc {
        ranks.0.push(start(job, &folder, number, port)?);
    }
    let (mut deadline, mut was_passed_on) = (None, false);
    while ranks.0.iter().any(|rank| rank.ended.is_none()) {
        if job.signals.asked() && !was_passed_on {
            was_passed_on = true;
            ranks.send(libc::SIGTERM);
        }
        let failed = ranks.collect(false)?;
        (job.watch)()?;
        if failed && deadline.is_none() {
            deadline = Some(Instant::now() + GRACE);
        }
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            ranks.end()?;
        }
        thread::sleep(POLL);
    }
    (job.watch)()?;
    outcome(&ranks.0, &job.run)
}

fn start(job: &Job<'_>, folder: &Path, number: usize, port: u16) -> Result<Rank> {
    let report = folder.join(format!("rank-{number}.json"));
    let _ = fs::remove_file(&report);
    let executable = infomax_desk::program::program().map_err(Error::io("find the executable of", "/proc/self"))?;
    let mut command = Command::new(&executable);
    command.args(&job.arguments).envs(job.environment.iter().map(|(name, value)| (name, value)));
    let size = job.nproc.to_string();
    for (name, value) in [
        ("RANK", number.to_string()),
        ("LOCAL_RANK", number.to_string()),
        ("WORLD_SIZE", size.clone()),
        ("LOCAL_WORLD_SIZE", size),
        ("MASTER_ADDR", "127.0.0.1".to_owned()),
        ("MASTER_PORT", port.to_string()),
        (STORE_IS_SERVED, "True".to_owned()),
    ] {
        command.env(name, value);
    }
    if std::env::var_os("TORCH_CPP_LOG_LEVEL").is_none() {
        command.env("TORCH_CPP_LOG_LEVEL", "ERROR"); // c10d warns of every peer whose name it can't look up
    }
    if number > 0 {
        let path = folder.join(format!("rank-{number}.log"));
        let log = File::create(&path).map_err(Error::io("write", &path))?;
        let same = log.try_clone().map_err(Error::io("write", &path))?;
        command.stdout(Stdio::from(log)).stderr(Stdio::from(same));
    }
    command.stdin(Stdio::null());
    ends_with_this_process(&mut command, libc::SIGKILL);
    // What a rank is asked while it is being loaded, by a launcher or from here, is not its end. `selfcheck`'s don't listen.
    if job.arguments.first().is_some_and(|word| word == "train") {
        held_for(&mut command);
    }
    let child = command.spawn().map_err(Error::io("start", &executable))?;
    Ok(Rank { number, child, report, ended: None })
}

/// The ranks under way; ended when dropped.
struct Ranks(Vec<Rank>);

impl Ranks {
    fn running(&mut self) -> impl Iterator<Item = &mut Rank> {
        self.0.iter_mut().filter(|rank| rank.ended.is_none())
    }

    fn send(&mut self, signal: i32) {
        for rank in self.running() {
            // SAFETY: the child has not been waited for, so its number is still its own.
            unsafe { libc::kill(rank.child.id() as libc::pid_t, signal) };
        }
    }

    /// Notes who has ended; whether one of them failed.
    fn collect(&mut self, by_us: bool) -> Result<bool> {
        let mut failed = false;
        for rank in self.running() {
            let state = by_us.then(|| state(rank.child.id())).flatten();
            if by_us {
                let _ = rank.child.kill();
            }
            let waited = if by_us { rank.child.wait().map(Some) } else { rank.child.try_wait() };
            let Some(status) = waited.map_err(Error::io("wait for a rank of", "/proc/self"))? else { continue };
            let report = fs::read(&rank.report).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            let ended = Ended { status, time, by_us, state, report };
            failed |= !ended.is_well();
            rank.ended = Some(ended);
        }
        Ok(failed)
    }

    fn end(&mut self) -> Result<()> {
        self.collect(true).map(drop)
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The letter that the system gives a process's state.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// How the job ended.
fn outcome(ranks: &[Rank], run: &Path) -> Result<Supervised> {
    let ended: Vec<(usize, &Ended)> =
        ranks.iter().map(|rank| (rank.number, rank.ended.as_ref().expect("all have ended"))).collect();
    if ended.iter().all(|(_, ended)| ended.is_well()) {
        let interrupted = ended.iter().find(|(_, ended)| ended.status.code() == Some(75));
        let step = |ended: &Ended| ended.report.as_ref().and_then(|report| report.step).unwrap_or(0);
        return Ok(interrupted.map_or(Supervised::Finished, |(_, ended)| Supervised::Interrupted { step: step(ended) }));
    }
    let last_step = ended.iter().filter_map(|(_, ended)| ended.report.as_ref()?.step).max();
    let place = |rank: usize| match last_step {
        Some(step) => format!("step {step}, rank {rank}"),
        None => format!("before the first step, rank {rank}"),
    };
    let log = |rank: usize| match rank {
        0 => String::new(),
        rank => format!("see {}; ", run.join(FOLDER).join(format!("rank-{rank}.log")).display()),
    };
    let lost = |rank: usize, message: String| {
        let hint = format!("{}continue with `infomax train --resume {}`", log(rank), run.display());
        Err(Error::Distributed { fault: Fault::new(message).at(place(rank)).hint(hint), lost_peer: false })
    };
    // A rank that died, or failed by itself, is the cause; the first of several.
    let own = |ended: &Ended| !ended.is_well() && !ended.by_us && ended.report.as_ref().is_none_or(|r| !r.lost_peer);
    let time = |ended: &Ended| ended.report.as_ref().map_or(ended.time, |report| report.time);
    let first = ended.iter().filter(|(_, e)| own(e)).min_by(|(_, a), (_, b)| time(a).total_cmp(&time(b)));
    if let Some((rank, first)) = first {
        return match (&first.report, first.status.signal()) {
            (Some(report), _) => {
                let (exit_code, faults) = (report.exit_code, report.faults.clone());
                Err(Error::Rank { rank: *rank, exit_code, faults })
            }
            (None, Some(signal)) => lost(*rank, format!("rank {rank} was killed by signal {signal}{}", name(signal))),
            (None, None) => {
                let code = first.status.code().unwrap_or(-1);
                lost(*rank, format!("rank {rank} ended with exit code {code}"))
            }
        };
    }
    // Everybody lost a peer: the one that had to be ended did not answer.
    if let Some((rank, silent)) = ended.iter().find(|(_, ended)| ended.by_us) {
        let what = if silent.state == Some('T') { "it is stopped" } else { "it hangs" };
        return lost(*rank, format!("rank {rank} did not answer in time: {what}"));
    }
    let first = ended.iter().filter(|(_, e)| !e.is_well()).min_by(|(_, a), (_, b)| time(a).total_cmp(&time(b)));
    let (rank, first) = first.expect("not all are well");
    let faults = first.report.as_ref().map(|report| report.faults.clone()).unwrap_or_default();
    Err(Error::Rank { rank: *rank, exit_code: 7, faults })
}

fn name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal).map(|name| format!(" ({name})")).unwrap_or_default()
}
