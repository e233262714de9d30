//! Writes checkpoints off the training thread, one at a time. Training may run ahead of one that is not done by a number of
//! steps: a process that is killed loses those besides the interval.

use super::{CheckpointSet, Manifest, Retention, Snapshot};
use crate::{
    console::log_course,
    error::{Error, Fault, Result},
    patience::within,
    report::size,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Writes the checkpoints of a run.
pub struct Writer {
    /// By its absolute path: a plugin may change the working directory meanwhile, until its call is over.
    set: CheckpointSet,
    /// The folder as the user calls it.
    shown: PathBuf,
    retention: Retention,
    verify: bool,
    deadline: Duration,
    under_way: Option<UnderWay>,
    last: Option<u64>,
}

struct UnderWay {
    step: u64,
    done: Receiver<Result<PathBuf>>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// A writer into a set; a checkpoint that takes longer than the deadline ends the run.
    pub fn new(set: CheckpointSet, retention: Retention, verify: bool, deadline: Duration) -> Self {
        let (set, shown) = (set.absolute(), set.folder().to_owned());
        Self { set, shown, retention, verify, deadline, under_way: None, last: None }
    }

    /// Whether a checkpoint of this step is written or under way.
    pub fn has(&self, step: u64) -> bool {
        self.last == Some(step)
    }

    /// Hands over a state; waits for the one before.
    ///
    /// # Errors
    /// What went wrong with the one before.
    pub fn write(&mut self, manifest: Manifest, snapshot: Snapshot) -> Result<()> {
        self.finish()?;
        let (set, retention, verify) = (self.set.clone(), self.retention.clone(), self.verify);
        let (step, shown) = (manifest.step, self.shown.clone());
        let told = move |error: Error, set: &CheckpointSet| unsaved(as_shown(error, set.folder(), &shown));
        let (send, done) = sync_channel(1);
        let began = Instant::now();
        let write = move || {
            let files = snapshot.files()?;
            let path = set.write(manifest, &files, verify).map_err(|error| told(error, &set))?;
            let bytes = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
            let seconds = began.elapsed().as_secs_f64();
            log_course(format!("checkpoint of step {step} written: {} in {seconds:.1} s", size(bytes)));
            set.retain(&retention).map_err(|error| told(error, &set))?;
            Ok(path)
        };
        let body = move || {
            let written = catch_unwind(AssertUnwindSafe(write));
            let panicked = || Err(Error::Bug { what: "the thread that writes checkpoints panicked".to_owned() });
            let _ = send.send(written.unwrap_or_else(|_| panicked()));
        };
        let thread = thread::Builder::new().name("checkpoint".to_owned()).spawn(body);
        let thread = thread.map_err(Error::io("start a thread for", "checkpoints"))?;
        self.under_way = Some(UnderWay { step, done, thread });
        self.last = Some(step);
        Ok(())
    }

    /// Looks whether the one under way is done; waits only where it is of a step before `oldest`.
    ///
    /// # Errors
    /// What went wrong with it.
    pub fn poll(&mut self, oldest: u64) -> Result<()> {
        let Some(under_way) = &self.under_way else { return Ok(()) };
        if under_way.step < oldest {
            return self.finish();
        }
        match under_way.done.try_recv() {
            Err(TryRecvError::Empty) => Ok(()),
            received => {
                self.under_way = None;
                received.unwrap_or_else(|_| Err(gone())).map(drop)
            }
        }
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// What went wrong, or that it takes too long.
    pub fn finish(&mut self) -> Result<()> {
        let Some(under_way) = self.under_way.take() else { return Ok(()) };
        let received = within(self.deadline, |slice| match under_way.done.recv_timeout(slice) {
            Err(RecvTimeoutError::Timeout) => None,
            other => Some(other),
        });
        match received {
            Some(Ok(written)) => {
                let _ = under_way.thread.join();
                written.map(drop)
            }
            Some(Err(_)) => Err(gone()),
            None => {
                let (seconds, step) = (self.deadline.as_secs(), under_way.step);
                let fault = Fault::new(format!("the checkpoint of step {step} is not written after {seconds} s"));
                let hint = "the disk is too slow or hangs; `checkpoint.timeout_seconds` is how long it is waited for";
                Err(Error::Checkpoint { fault: fault.hint(hint) })
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            log::warn!("{error}");
        }
    }
}

fn gone() -> Error {
    Error::Bug { what: "the thread that writes checkpoints ended".to_owned() }
}

/// An error with the folder as the user calls it.
fn as_shown(error: Error, folder: &Path, shown: &Path) -> Error {
    match error {
        Error::Io { action, path, source } => {
            let path = path.strip_prefix(folder).map_or_else(|_| path.clone(), |rest| shown.join(rest));
            Error::Io { action, path, source }
        }
        other => other,
    }
}

/// A disk that is full has an exit code of its own; anything else that keeps a checkpoint from being written is told as that.
fn unsaved(error: Error) -> Error {
    if error.exit_code() == 8 {
        return error;
    }
    match &error {
        Error::Io { path, .. } => {
            let at = path.display().to_string();
            let message = error.faults().remove(0).message;
            let fault = Fault::new(format!("a checkpoint can't be saved: {message}")).at(at);
            let hint = "check that the run directory is there and can be written to, then go on with `--resume`";
            Error::Checkpoint { fault: fault.hint(hint) }
        }
        _ => error,
    }
}
