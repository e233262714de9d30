//! Runs what is missing of a study: each cell in its own process, as many at once as there are slots, until all are done, failed or
//! somebody else's.
//!
//! What counts lies in the cells' folders, never here: a driver may be killed at any time, run again, or run on other machines
//! beside this one.

use super::{
    file::OnFailure,
    live::Live,
    plan::{Plan, Ready},
    process::{Process, last_line, last_words},
    slots::Slot,
};
use crate::{
    error::{Error, Result},
    record::{Identity, now},
    train::Signals,
};
use infomax_desk::study::{Asked, CellState, Failure, OUTPUT};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    thread,
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(20);
/// Between two looks at cells that others work on.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How often a cell whose process was interrupted by somebody else goes on.
const MOST_INTERRUPTIONS: u32 = 3;

/// What a driver is told beside the plan.
pub struct Work<'a> {
    pub slots: Vec<Slot>,
    /// The plugin folders, for the cells' processes.
    pub folders: OsString,
    /// Numbers of the cells that count; all where there are none.
    pub only: BTreeSet<usize>,
    /// Whether cells that failed before are tried again.
    pub retry_failed: bool,
    /// Whether to wait for cells that others work on.
    pub waits: bool,
    pub signals: Signals,
    pub live: &'a mut Live,
}

/// What became of the cells.
#[derive(Debug, Default)]
pub struct Summary {
    pub done: usize,
    /// Of those: the ones that this driver has trained.
    pub trained: usize,
    /// By number.
    pub failed: BTreeMap<usize, Failure>,
    /// That can't be trained, by number.
    pub impossible: BTreeSet<usize>,
    /// That others work on, or that are left.
    pub left: usize,
    /// Whether a signal asked for the end.
    pub was_interrupted: bool,
}

struct Running {
    cell: usize,
    process: Process,
    end: End,
}

/// What the driver has done to end a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing.
    Own,
    /// It took too long.
    TimeLimit,
    /// Another machine has taken it over.
    Lost,
}

struct Driver<'a, 'b> {
    plan: &'a Plan,
    work: &'a mut Work<'b>,
    running: Vec<Option<Running>>,
    /// Positions in the plan, in order.
    pending: Vec<usize>,
    /// When a cell that others hold is looked at again.
    held_until: BTreeMap<usize, Instant>,
    tries: BTreeMap<usize, u64>,
    interruptions: BTreeMap<usize, u32>,
    summary: Summary,
    is_stopping: bool,
}

/// Trains what is missing.
///
/// # Errors
/// What keeps the driver itself from its work; a cell that fails is no error of the driver.
pub fn drive(plan: &Plan, work: &mut Work<'_>) -> Result<Summary> {
    let running = work.slots.iter().map(|_| None).collect();
    let mut driver = Driver {
        plan,
        work,
        running,
        pending: Vec::new(),
        held_until: BTreeMap::new(),
        tries: BTreeMap::new(),
        interruptions: BTreeMap::new(),
        summary: Summary::default(),
        is_stopping: false,
    };
    driver.collect()?;
    if let Err(error) = driver.go() {
        driver.end_all();
        return Err(error);
    }
    let mut summary = driver.summary;
    summary.left += driver.pending.len();
    Ok(summary)
}

impl Driver<'_, '_> {
    /// Finds what there is to do.
    fn collect(&mut self) -> Result<()> {
        let mut known = BTreeSet::new();
        for (position, cell) in self.plan.cells.iter().enumerate() {
            if !self.work.only.is_empty() && !self.work.only.contains(&cell.number) {
                continue;
            }
            match &cell.ready {
                Err(_) => drop(self.summary.impossible.insert(cell.number)),
                Ok(ready) if !known.insert(&ready.id) => {} // the same experiment twice
                Ok(ready) => match self.plan.store.state(&ready.id)? {
                    CellState::Done => self.summary.done += 1,
                    CellState::Failed(failure) if !self.work.retry_failed && !failure.is_interruption() => {
                        self.summary.failed.insert(cell.number, failure);
                    }
                    _ => self.pending.push(position),
                },
            }
        }
        self.work.live.begin(known.len(), self.summary.done, self.summary.failed.len());
        Ok(())
    }

    fn go(&mut self) -> Result<()> {
        let beat = self.plan.store.lifetime / 10;
        let mut last_beat = Instant::now();
        loop {
            if self.work.signals.asked() && !self.summary.was_interrupted {
                self.summary.was_interrupted = true;
                self.is_stopping = true;
                let running = self.running.iter().flatten().count();
                self.work.live.note(&format!(
                    "interrupted: {running} cells save their state; asking again in some seconds ends this at once"
                ));
                self.running.iter().flatten().for_each(|running| running.process.ask_to_end());
            }
            for slot in 0..self.running.len() {
                self.look_after(slot)?;
            }
            if last_beat.elapsed() >= beat {
                last_beat = Instant::now();
                self.keep_leases()?;
            }
            if !self.is_stopping {
                self.fill_slots()?;
            }
            let nothing_runs = self.running.iter().all(Option::is_none);
            if nothing_runs && (self.is_stopping || self.pending.is_empty() || !self.work.waits) {
                return Ok(());
            }
            self.work.live.update();
            thread::sleep(POLL);
        }
    }

    /// Lets all cells save their state, where the driver itself can't go on.
    fn end_all(&mut self) {
        self.running.iter().flatten().for_each(|running| running.process.ask_to_end());
        self.running.iter_mut().flatten().for_each(|running| running.process.wait());
    }

    fn ready(&self, position: usize) -> &Ready {
        self.plan.cells[position].ready.as_ref().expect("only such cells are pending")
    }

    fn fill_slots(&mut self) -> Result<()> {
        for slot in 0..self.running.len() {
            if self.running[slot].is_none() {
                let Some((position, process)) = self.next(slot)? else { return Ok(()) };
                let cell = &self.plan.cells[position];
                let output = self.plan.store.folder(&self.ready(position).id).join(OUTPUT);
                self.work.live.started(slot, cell.number, &self.plan.title(cell), output);
                self.running[slot] = Some(Running { cell: position, process, end: End::Own });
            }
        }
        Ok(())
    }

    /// The first cell that is nobody's, started.
    fn next(&mut self, slot: usize) -> Result<Option<(usize, Process)>> {
        let mut index = 0;
        while let Some(&position) = self.pending.get(index) {
            if self.held_until.get(&position).is_some_and(|time| Instant::now() < *time) {
                index += 1;
                continue;
            }
            let cell = self.ready(position).clone();
            let lease = match self.plan.store.lease(&cell.id)? {
                Asked::Taken(lease) => lease,
                Asked::Held(_) => {
                    self.held_until.insert(position, Instant::now() + LOOK_AGAIN);
                    index += 1;
                    continue;
                }
            };
            // Somebody else may have ended it since this driver looked.
            let (number, store) = (self.plan.cells[position].number, &self.plan.store);
            if store.is_done(&cell.id) {
                self.pending.remove(index);
                self.summary.done += 1;
                self.work.live.was_done(number);
                continue;
            }
            if let Some(failure) = store.failure(&cell.id)? {
                let is_over = !self.work.retry_failed && !failure.is_interruption();
                if is_over && !self.tries.contains_key(&position) {
                    self.pending.remove(index);
                    self.summary.failed.insert(number, failure);
                    continue;
                }
                store.forgive(&cell.id, &failure)?;
            }
            self.pending.remove(index);
            *self.tries.entry(position).or_default() += 1;
            let process =
                Process::start(&self.plan.study, store, &cell, &self.work.slots[slot], lease, &self.work.folders)?;
            return Ok(Some((position, process)));
        }
        Ok(None)
    }

    /// Sees how a slot's cell goes.
    fn look_after(&mut self, slot: usize) -> Result<()> {
        let Some(running) = &mut self.running[slot] else { return Ok(()) };
        let limit = self.plan.study.text.timeout_seconds.map(Duration::from_secs);
        if limit.is_some_and(|limit| running.process.began.elapsed() > limit) && running.end == End::Own {
            running.end = End::TimeLimit;
            running.process.kill();
        }
        let Some(status) = running.process.ended()? else { return Ok(()) };
        let ended = self.running[slot].take().expect("seen above");
        self.ended(slot, &ended, status)
    }

    fn ended(&mut self, slot: usize, ended: &Running, status: ExitStatus) -> Result<()> {
        let position = ended.cell;
        let (cell, plan) = (&self.plan.cells[position], self.plan);
        let ready = self.ready(position).clone();
        let title = plan.title(cell);
        let seconds = ended.process.began.elapsed().as_secs_f64();
        let tries = self.tries.get(&position).copied().unwrap_or(1);
        if ended.end == End::Lost {
            // What becomes of it is the other's to say.
            self.work.live.note(&format!(
                "cell {} is another machine's now: this one gave no sign of life for too long",
                cell.number
            ));
            self.pending.push(position);
            return Ok(());
        }
        let killed_for = (ended.end == End::TimeLimit).then_some("it took longer than `timeout_seconds`");
        let failure = match look_at(plan, &ready, status, killed_for, tries)? {
            Ended::Done => {
                self.summary.done += 1;
                self.summary.trained += 1;
                let result = last_value(plan, &ready.id);
                self.work.live.done(slot, cell.number, &title, seconds, result.as_deref());
                return Ok(());
            }
            // Whoever ends a job ends its cells too, one way or another: nothing speaks against the cell.
            Ended::Failed(_) if self.summary.was_interrupted => {
                self.work.live.stopped(slot, cell.number, &title);
                self.tries.remove(&position);
                self.pending.insert(0, position);
                return Ok(());
            }
            Ended::Interrupted(failure) => {
                self.work.live.stopped(slot, cell.number, &title);
                let times = self.interruptions.entry(position).or_default();
                *times += 1;
                if self.is_stopping || *times <= MOST_INTERRUPTIONS {
                    self.tries.remove(&position);
                    self.pending.insert(0, position);
                    return Ok(());
                }
                failure
            }
            Ended::Failed(failure) => failure,
        };
        plan.store.write_failure(&ready.id, &failure)?;
        self.work.live.failed(slot, cell.number, &title, &failure);
        if tries <= plan.study.text.retries && !self.is_stopping {
            self.pending.insert(0, position);
            return Ok(());
        }
        self.summary.failed.insert(cell.number, failure);
        if plan.study.text.on_failure == OnFailure::Stop && !self.is_stopping {
            self.is_stopping = true;
            self.work.live.note("a cell failed, and `on_failure = \"stop\"`: no further one starts");
        }
        Ok(())
    }

    fn keep_leases(&mut self) -> Result<()> {
        for running in self.running.iter_mut().flatten() {
            if !running.process.lease.keep()? {
                running.end = End::Lost;
                running.process.kill();
            }
        }
        Ok(())
    }
}

/// How a cell's process ended.
pub enum Ended {
    Done,
    /// Its state is saved; a failure where that happens again and again.
    Interrupted(Failure),
    Failed(Failure),
}

/// Judges a cell whose process has ended: by its exit code, and by what it left.
///
/// # Errors
/// A wrong result that can't be put aside.
pub fn look_at(plan: &Plan, cell: &Ready, status: ExitStatus, killed_for: Option<&str>, tries: u64) -> Result<Ended> {
    let output = plan.store.folder(&cell.id).join(OUTPUT);
    let wrong = if status.success() { wrong_result(plan, cell) } else { Some(last_words(&output)) };
    if status.success() && wrong.is_some() {
        // Or it would count as done from now on.
        plan.store.set_aside(&cell.id)?;
    }
    let told = killed_for.map(|reason| format!("error: {reason}")).or(wrong);
    let Some(told) = told else { return Ok(Ended::Done) };
    let failure = Failure { tries, exit_code: status.code(), signal: status.signal(), told, at: now() };
    let is_interrupted = failure.is_interruption() && killed_for.is_none();
    Ok(if is_interrupted { Ended::Interrupted(failure) } else { Ended::Failed(failure) })
}

/// What is wrong with a cell whose process ended well.
fn wrong_result(plan: &Plan, cell: &Ready) -> Option<String> {
    if !plan.store.is_done(&cell.id) {
        return Some("error: the cell's process ended well, but its run is not finished".to_owned());
    }
    let identity = match Identity::read(&plan.store.run(&cell.id)) {
        Ok(identity) => identity,
        Err(error) => return Some(error.to_string()),
    };
    if identity.dataset.fingerprint != cell.identity.data {
        return Some("error: the data changed while the study ran\nhint: run the study again".to_owned());
    }
    let built = |hash: &String| identity.plugins.values().any(|plugin| plugin.sha256 == *hash);
    let missing = cell.identity.plugins.iter().find(|(_, hash)| !built(hash));
    missing.map(|(kind, _)| {
        format!("error: another build of the {kind} was trained than planned\nhint: run the study again")
    })
}

/// The study's metric, for the line that says that a cell is done.
fn last_value(plan: &Plan, id: &str) -> Option<String> {
    let metric = &plan.study.text.metric;
    let value = plan.store.last_value(id, metric)?;
    Some(format!("{metric} {value:.2}"))
}

/// What one line says of where a cell stands.
pub fn standing(output: &std::path::Path) -> String {
    last_line(output, 2048).unwrap_or_default()
}

/// The error of a study that is not whole.
///
/// # Errors
/// Always, but where all cells are done.
pub fn verdict(plan: &Plan, summary: &Summary) -> Result<()> {
    let file = plan.study.file().display().to_string();
    if summary.was_interrupted {
        return Err(Error::StudyInterrupted { left: summary.left, study: file });
    }
    let failed = summary.failed.len() + summary.impossible.len();
    if failed > 0 {
        return Err(Error::StudyFailed { failed, cells: plan.cells.len(), study: file });
    }
    Ok(())
}
